"""Tokenized prompts, with the boundaries at which a snapshot is worth storing."""

from collections.abc import Sequence
from dataclasses import dataclass

from models.engine import Prompt, Turn
from models.llama.kv_cache.chat_template import ChatTemplate
from models.llama.kv_cache.slots import common_prefix


@dataclass(frozen=True, slots=True)
class TokenizedPrompt:
    """A prompt as tokens. Its first `system_tokens` are a prefix of every prompt with this system text, its first
    `history_tokens` of every prompt that continues this history, its first `turn_tokens` of every prompt in which an
    answer and another turn follow. `text_end` is the end of the rendered text. `day` is the proleptic ordinal of the
    date in it, 0 for none.
    """

    tokens: list[int]
    system_tokens: int
    history_tokens: int
    text_end: str
    turn_tokens: int = 0
    day: int = 0


class PromptTokenizer:
    """Renders and tokenizes prompts. Used on the inference thread only."""

    def __init__(self, template: ChatTemplate) -> None:
        self._template = template
        self._system: tuple[str, list[int]] = ("", [])
        self._reply_start_tokens: int | None = None

    def tokenize_prompt(self, prompt: Prompt) -> TokenizedPrompt:
        """The whole prompt. Raises EngineFailed when the template rejects it."""
        rendered = self._template.render_turns(prompt.turns())
        head = prompt.turns()[:-1]
        history_tokens = common_prefix(rendered.tokens, self._with_tail(head, _tail_starting_differently(prompt.tail)))
        return TokenizedPrompt(
            rendered.tokens,
            self._count_system_tokens(prompt, rendered.tokens),
            history_tokens,
            rendered.text[-64:],
            len(rendered.tokens) - self._count_reply_start_tokens(),
        )

    def tokenize_head(self, prompt: Prompt) -> TokenizedPrompt:
        """System and history alone: the tokens that are the same for every question. Raises as `tokenize_prompt`."""
        head = prompt.turns()[:-1]
        first = self._with_tail(head, "A")
        history_tokens = common_prefix(first, self._with_tail(head, "1"))
        return TokenizedPrompt(
            first[:history_tokens], self._count_system_tokens(prompt, first[:history_tokens]), history_tokens, ""
        )

    def _count_reply_start_tokens(self) -> int:
        """Number of tokens after the last message of a prompt that are not there once an answer follows."""
        if self._reply_start_tokens is None:
            prompt = self._with_tail((), "A")
            continued = self._with_tail((Turn("user", "A"), Turn("assistant", "A")), "A")
            self._reply_start_tokens = len(prompt) - common_prefix(prompt, continued)
        return self._reply_start_tokens

    def _with_tail(self, head: Sequence[Turn], tail: str) -> list[int]:
        return self._template.render_turns([*head, Turn("user", tail)]).tokens

    def _count_system_tokens(self, prompt: Prompt, tokens: list[int]) -> int:
        if not prompt.system:
            return 0
        shared_tokens = common_prefix(self._system[1], tokens)
        # Also when its template prints another date than before.
        if self._system[0] != prompt.system or shared_tokens < len(self._system[1]):
            head = [Turn("system", prompt.system)]
            first, second = (self._with_tail(head, tail) for tail in ("A", "1"))
            self._system = (prompt.system, first[: common_prefix(first, second)])
            shared_tokens = common_prefix(self._system[1], tokens)
        return shared_tokens


def _tail_starting_differently(tail: str) -> str:
    """A tail with another first character."""
    return "1" if tail.lstrip()[:1] == "A" else "A"
