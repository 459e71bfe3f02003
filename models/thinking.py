"""Filter that separates a model's thinking from its streamed answer."""

from typing import Literal

from models.thinking_marks import (
    CALL_HEADER,
    CHANNEL,
    HARMONY_ANSWER,
    KNOWN_MARKS,
    MESSAGE,
    MESSAGE_END,
    MESSAGE_START,
    ThinkingMarks,
)

_Phase = Literal["start", "header", "thinking", "unclear", "answer"]

_HARMONY_CLOSINGS = (MESSAGE_END, MESSAGE_START, CHANNEL)
_CLOSED_FOR_ANSWER = f"{MESSAGE_END}{MESSAGE_START}{HARMONY_ANSWER}"
# `<|channel|>commentary to=functions.name <|constrain|>json<|message|>`: longer ones are no headers.
_MAX_HEADER_CHARACTERS = 200
_MARK_STARTS = ("<", "◁")


class ThinkingFilter:
    """Separates thinking, which stands at the beginning of a reply, from the answer that follows it.

    Marks count at the beginning only: a reply that mentions `<think>` later, or in code, keeps all its text. Thinking
    that never closes is given back as the answer when there is no other.
    """

    def __init__(
        self,
        prompt_end: str = "",
        marks: ThinkingMarks = KNOWN_MARKS,
        *,
        may_begin_inside: bool = False,
        has_begun: bool = False,
        has_tools: bool = False,
    ) -> None:
        """`prompt_end` is the end of the rendered prompt: a template may open the thinking itself.

        With `may_begin_inside` a reply is held until a closing mark shows that it began inside the thinking, or until
        its end: for models that think, under a template that does not say so. `has_begun`: the prompt ends within the
        answer. `has_tools`: messages of gpt-oss to a function are calls and part of the answer, with their headers.
        """
        self._marks = marks
        self._has_tools = has_tools
        self._opening = None if has_begun else marks.opened_by(prompt_end)
        self._is_harmony = prompt_end.rstrip().endswith(MESSAGE_START) or self._opening == CHANNEL
        self._closings = self._closings_of(self._opening)
        self._phase: _Phase = "thinking" if self._opening else "unclear" if may_begin_inside else "start"
        if has_begun:
            self._phase = "answer"
        self._wrapper_end = next(
            (end for mark, end in marks.answer_pairs.items() if prompt_end.rstrip().endswith(mark)), ""
        )
        self._held = ""
        self._thought: list[str] = []
        self._new_thinking = ""
        self._was_closed = True
        self._after_thinking = self._is_ending = self._has_shown = False
        self.began_inside = False
        """Whether a reply that was held turned out to begin inside the thinking."""

    @property
    def is_thinking(self) -> bool:
        """Whether the reply is inside its thinking, or inside the header of a channel."""
        return self._phase in ("thinking", "header")

    @property
    def is_in_mark(self) -> bool:
        """Whether the reply has begun with what may become a mark. No JSON does, but with `[`."""
        return self._phase == "start" and self._held.lstrip()[:1] in _MARK_STARTS

    @property
    def is_answering(self) -> bool:
        """Whether the answer has begun, after which no mark counts any more."""
        return self._phase == "answer"

    @property
    def closing_text(self) -> str:
        """The text that ends the thinking that is open."""
        if self._phase == "header" or self._closings == _HARMONY_CLOSINGS:
            return _CLOSED_FOR_ANSWER
        closing = self._closings[0] if self._closings else ""
        return f"\n{closing}\n\n" if closing.startswith("</") or closing.endswith(":") else closing

    def push_text(self, piece: str) -> str:
        """The text of the answer that may be shown now and was not returned before."""
        if self._phase == "answer" and not self._wrapper_end and (self._has_shown or not self._after_thinking):
            self._has_shown = self._has_shown or bool(piece)
            return piece
        self._held += piece
        return self._advance()

    def take_thinking(self) -> str:
        """The thinking that was not returned before; it precedes all text of the answer."""
        thinking, self._new_thinking = self._new_thinking, ""
        return thinking

    def note_forced_closing(self) -> None:
        """Take note that the model did not close its thinking itself, so that an empty answer is given it back."""
        self._was_closed = False

    def flush(self) -> str:
        """The rest of the answer, for the end of the stream; all of the thinking when it never closed and nothing else
        was shown.
        """
        self._is_ending = True
        shown = self._advance()
        held, self._held = self._held, ""
        if self._phase == "thinking":
            self._think(held)
            self._was_closed = False
        elif self._phase == "header":
            shown += held if self._has_shown or held.strip() else ""
        elif not (self._after_thinking and not held.strip()):
            shown += held
        if not (self._has_shown or shown.strip() or self._was_closed):
            return self._given_back()
        return shown

    def _given_back(self) -> str:
        thought = "".join(self._thought)
        # A reply that explains `<think>` goes on with a space; a model that thinks begins a line.
        mark = self._opening if self._opening and thought[:1] == " " else ""
        return f"{mark}{thought}".strip()

    def _advance(self) -> str:
        shown = ""
        while True:
            before = (self._phase, self._held)
            match self._phase:
                case "start":
                    self._read_start()
                case "header":
                    self._read_header()
                case "thinking":
                    self._read_thinking()
                case "unclear":
                    self._read_unclear()
                case "answer":
                    shown += self._read_answer()
            if before == (self._phase, self._held):
                self._has_shown = self._has_shown or bool(shown)
                return shown

    def _read_start(self) -> None:
        text = self._held.lstrip()
        if not text:
            return
        marks = (*self._marks.at_start, *_HARMONY_CLOSINGS) if self._is_harmony else self._marks.at_start
        if not self._is_ending and any(mark.startswith(text) and mark != text for mark in marks):
            return
        mark = next((mark for mark in marks if text.startswith(mark)), None)
        rest = text[len(mark or "") :]
        if mark is None:
            self._begin_answer(text if self._after_thinking else self._held)
        elif mark == CHANNEL:
            self._held, self._phase, self._is_harmony = rest, "header", True
        elif mark in self._marks.pairs:
            self._open(mark, rest)
        elif mark in self._marks.answer_pairs:
            self._read_wrapper(mark, rest)
        else:  # a closing mark without an opening one, or the start of Harmony's next message
            self._held, self._after_thinking = rest, True

    def _read_wrapper(self, mark: str, rest: str) -> None:
        """Drop a mark around the answer; a text that explains such a mark goes on with a space."""
        if not rest and not self._is_ending:
            return
        if rest[:1] == " " and not self._after_thinking:
            self._begin_answer(self._held)
        else:
            self._wrapper_end = self._marks.answer_pairs[mark]
            self._begin_answer(rest.lstrip())

    def _read_header(self) -> None:
        header, message, rest = self._held.partition(MESSAGE)
        if message and (header.split() or [""])[0] == "final":
            self._after_thinking = True
            self._begin_answer(rest.lstrip())
        elif message and self._has_tools and (function := CALL_HEADER.search(header)) is not None:
            self._after_thinking = True
            self._begin_answer(f"{CHANNEL}commentary {function[0]}<|constrain|>json{MESSAGE}{rest}")
        elif message:
            self._open(CHANNEL, rest)
        elif len(header) > _MAX_HEADER_CHARACTERS:
            self._begin_answer(header)

    def _read_thinking(self) -> None:
        position, closing = self._find_closing()
        self._think(self._held[:position])
        self._held = self._held[position:].removeprefix(closing)
        if closing:
            self._after_thinking = self._was_closed = True
            self._wrapper_end = self._marks.answer_pairs.get(closing, "")
            self._phase = "header" if closing == CHANNEL else "start"

    def _read_unclear(self) -> None:
        """Begin as usual with an opening mark; else hold everything until a closing mark ends a line."""
        text = self._held.lstrip()
        if any(text.startswith(mark) for mark in self._marks.at_start):
            self._phase = "start"
            return
        for closing in self._marks.closings:
            before, mark, rest = self._held.partition(closing)
            ends_line = rest[:1] == "\n" or (self._is_ending and not rest)
            if mark and ends_line and before.count("`") % 2 == 0 and not any(each in before for each in self._openings):
                self._think(before)
                self._held, self._phase = rest, "start"
                self._after_thinking = self.began_inside = True
                return
        if self._is_ending:
            self._phase = "start"

    @property
    def _openings(self) -> tuple[str, ...]:
        return tuple(self._marks.pairs)

    def _read_answer(self) -> str:
        text = self._held.lstrip() if self._after_thinking and not self._has_shown else self._held
        if not self._wrapper_end:
            self._held = ""
            return text
        position = text.find(self._wrapper_end)
        while position >= 0 and text[position + len(self._wrapper_end) :].strip():
            position = text.find(self._wrapper_end, position + 1)
        if position >= 0 and self._is_ending:
            self._held = ""
            return text[:position].rstrip()
        if self._is_ending:
            position = len(text)
        else:  # with the white space in front of the mark
            end = position if position >= 0 else possible_start(text, (self._wrapper_end,))
            position = len(text[:end].rstrip())
        self._held = text[position:]
        return text[:position]

    def _find_closing(self) -> tuple[int, str]:
        """Position and text of the first closing mark that is no code; without one, where one could begin, and ""."""
        start = 0
        while True:
            found = [(at, mark) for mark in self._closings if (at := self._held.find(mark, start)) >= 0]
            if not found:
                return (len(self._held) if self._is_ending else possible_start(self._held, self._closings)), ""
            position, mark = min(found)
            end = position + len(mark)
            before = self._held[position - 1] if position else "".join(self._thought[-1:])[-1:]
            if before != "`":
                return position, mark
            if end == len(self._held) and not self._is_ending:
                return position, ""  # the next character tells whether it is code
            if self._held[end : end + 1] != "`":
                return position, mark
            start = end

    def _closings_of(self, mark: str | None) -> tuple[str, ...]:
        if mark is None:
            return ()
        return _HARMONY_CLOSINGS if mark == CHANNEL else (self._marks.pairs[mark],)

    def _open(self, mark: str, rest: str) -> None:
        self._opening, self._closings, self._held, self._phase = mark, self._closings_of(mark), rest, "thinking"
        self._was_closed = False

    def _begin_answer(self, text: str) -> None:
        self._held, self._phase = text, "answer"

    def _think(self, text: str) -> None:
        if text:
            self._thought.append(text)
            self._new_thinking += text


def possible_start(text: str, marks: tuple[str, ...]) -> int:
    """Start of the longest suffix that could become a mark; the length of the text without one."""
    starts = (
        len(text) - length
        for mark in marks
        for length in range(min(len(mark) - 1, len(text)), 0, -1)
        if text.endswith(mark[:length])
    )
    return min(starts, default=len(text))
