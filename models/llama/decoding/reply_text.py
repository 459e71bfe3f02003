"""Text of one reply, made of its tokens: thinking and answer apart, with a limit of tokens for each."""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from models.detokenize import Utf8Decoder
from models.engine import ReasoningEffort, Sampling, ThinkingText
from models.llama.tool_calls.parser import CallParser
from models.stop import StopStrings
from models.thinking import ThinkingFilter
from models.thinking_marks import KNOWN_MARKS, ThinkingMarks
from models.tool_calls import ToolCallPiece

Piece = str | ThinkingText | ToolCallPiece

_SHARE_OF_EFFORT = {"none": 0.25, "low": 0.25, "medium": 0.5, "high": 1.0}
"""Of `thinking_tokens`. Models whose thinking cannot be turned off think a little with "none", too."""

_ANSWER_SHARE = 4
"""A quarter of the room in the context, at most, is left for the answer when thinking fills it."""


@dataclass(slots=True)
class ThinkingHabits:
    """How a model thinks: its marks, its limit of tokens, and whether a reply may begin inside the thinking although
    nothing says so. That is unknown until the first reply has ended. Used on the inference thread only.
    """

    marks: ThinkingMarks = KNOWN_MARKS
    thinking_tokens: int = 1024
    is_on: bool = False
    may_begin_inside: bool = False

    def limit_tokens(self, effort: ReasoningEffort | None) -> int:
        """The most tokens of thinking for an effort; None: as the settings say."""
        effort = effort or ("high" if self.is_on else "none")
        return max(1, round(self.thinking_tokens * _SHARE_OF_EFFORT[effort]))

    def observe_reply(self, *, began_inside: bool) -> None:
        """Take note of the first reply that ended by itself."""
        self.may_begin_inside = self.may_begin_inside and began_inside


@dataclass(frozen=True, slots=True)
class TokenLimits:
    """The most tokens of an answer, of the thinking before it, and of both together."""

    answer: int
    thinking: int
    total: int


class ReplyText:
    """Whole characters of a reply, apart as thinking and answer; nothing from a stop string on."""

    def __init__(
        self,
        habits: ThinkingHabits,
        prompt_end: str,
        sampling: Sampling,
        limits: TokenLimits,
        *,
        has_begun: bool = False,
        calls: CallParser | None = None,
    ) -> None:
        """`has_begun`: the prompt ends within the answer. `calls` finds calls of tools in the answer."""
        self._habits = habits
        self._limits = limits
        self._has_begun = has_begun
        self._utf8 = Utf8Decoder()
        self._thinking = ThinkingFilter(
            prompt_end,
            habits.marks,
            may_begin_inside=habits.may_begin_inside,
            has_begun=has_begun,
            has_tools=calls is not None,
        )
        self.calls = calls
        self._stops = StopStrings(sampling.stop)
        self._forced: deque[int] = deque()
        self._answer_tokens = 0
        self._was_closed = False
        self.thinking_tokens = 0
        """Number of tokens before the answer."""

    @property
    def stopped(self) -> bool:
        """Whether a stop string has ended the answer."""
        return self._stops.stopped

    @property
    def is_thinking(self) -> bool:
        """Whether the next token is one of thinking, or of a mark. A call may begin as a mark does."""
        is_in_mark = self._thinking.is_in_mark and not (self.calls is not None and self.calls.is_bound)
        return self._thinking.is_thinking or is_in_mark

    @property
    def is_answering(self) -> bool:
        """Whether the answer has begun, so that no mark of thinking can follow."""
        return self._thinking.is_answering

    @property
    def is_full(self) -> bool:
        """Whether the answer, or the context, has no room for another token."""
        total = self._answer_tokens + self.thinking_tokens
        return self._answer_tokens >= self._limits.answer or total >= self._limits.total

    @property
    def left_tokens(self) -> int:
        """The most tokens that may follow without a look at the limits."""
        if self._forced:
            return 0
        total = self._limits.total - self._answer_tokens - self.thinking_tokens
        if self.is_thinking:
            return min(total, max(0, self._limits.thinking - self.thinking_tokens))
        return min(total, self._limits.answer - self._answer_tokens)

    def next_forced(self) -> int | None:
        """The next token that is given, such as one of the text that closes the thinking, in place of a sampled one."""
        return self._forced.popleft() if self._forced else None

    def force_tokens(self, tokens: Iterable[int]) -> None:
        """Have these tokens next."""
        self._forced.extend(tokens)

    def push_token(self, data: bytes, tokenize: Callable[[str], list[int]]) -> list[Piece]:
        """The text that the bytes of a token complete. `tokenize` is for the text that closes thinking that has
        reached its limit.
        """
        was_thinking = self.is_thinking
        pieces = self._split(self._thinking.push_text(self._utf8.push_bytes(data)), is_ending=False)
        if was_thinking or self.is_thinking:
            self.thinking_tokens += 1
            if self._thinking.is_thinking and self.thinking_tokens >= self._limits.thinking and not self._was_closed:
                self._was_closed = True
                self._forced.extend(tokenize(self._thinking.closing_text))
                self._thinking.note_forced_closing()
        else:
            self._answer_tokens += 1
        return pieces

    def flush(self, *, is_whole: bool) -> list[Piece]:
        """The text held back, for the end of the reply, which ended by itself if `is_whole`. A character that was cut
        is left out.
        """
        text = self._thinking.flush()
        if is_whole and not self._has_begun:
            self._habits.observe_reply(began_inside=self._thinking.began_inside)
        pieces = self._split(text, is_ending=True)
        if rest := self._stops.flush():
            pieces.append(rest)
        return pieces

    def _split(self, text: str, *, is_ending: bool) -> list[Piece]:
        """Thinking, then text up to a stop string, and pieces of calls."""
        thinking = self._thinking.take_thinking()
        pieces: list[Piece] = [ThinkingText(thinking)] if thinking else []
        answer: list[str | ToolCallPiece] = [text]
        if self.calls is not None:
            answer = self.calls.push_text(text) + (self.calls.flush() if is_ending else [])
        for piece in answer:
            shown = self._stops.push_text(piece) if isinstance(piece, str) else piece
            pieces += [shown] if shown else []
        return pieces


def token_limits(habits: ThinkingHabits, effort: ReasoningEffort | None, max_tokens: int, room: int) -> TokenLimits:
    """The limits of a reply of up to `max_tokens` tokens of answer, for which the context has `room` tokens."""
    kept_for_answer = min(max_tokens, room // _ANSWER_SHARE)
    thinking = min(habits.limit_tokens(effort), room - kept_for_answer)
    return TokenLimits(min(max_tokens, room), max(1, thinking), room)
