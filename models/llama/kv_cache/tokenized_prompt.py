"""Prompts as tokens, with the places in them where state is worth keeping."""

from collections.abc import Sequence
from dataclasses import dataclass

from models.engine import Prompt, Turn
from models.llama.kv_cache.chat_template import ChatTemplate
from models.llama.kv_cache.slots import common_prefix


@dataclass(frozen=True, slots=True)
class TokenizedPrompt:
    """A prompt as tokens. The first `system_tokens` of them every prompt with this system text begins with, the first
    `history_tokens` every prompt that goes on from this history; `text_end` is how its text ends.
    """

    tokens: list[int]
    system_tokens: int
    history_tokens: int
    text_end: str


class PromptTokenizer:
    """Renders prompts. Every call belongs to the `llama` thread."""

    def __init__(self, template: ChatTemplate) -> None:
        self._template = template
        self._system: tuple[str, list[int]] = ("", [])

    def tokenize_prompt(self, prompt: Prompt) -> TokenizedPrompt:
        """The whole prompt. Raises EngineFailed when the template refuses it."""
        rendered = self._template.render_turns(prompt.turns())
        head = prompt.turns()[:-1]
        history = common_prefix(rendered.tokens, self._with_tail(head, _different_tail(prompt.tail)))
        return TokenizedPrompt(
            rendered.tokens, self._count_system_tokens(prompt, rendered.tokens), history, rendered.text[-64:]
        )

    def tokenize_head(self, prompt: Prompt) -> TokenizedPrompt:
        """What the template makes of system and history, whatever question follows."""
        head = prompt.turns()[:-1]
        one = self._with_tail(head, "A")
        history = common_prefix(one, self._with_tail(head, "1"))
        return TokenizedPrompt(one[:history], self._count_system_tokens(prompt, one[:history]), history, "")

    def _with_tail(self, head: Sequence[Turn], tail: str) -> list[int]:
        return self._template.render_turns([*head, Turn("user", tail)]).tokens

    def _count_system_tokens(self, prompt: Prompt, tokens: list[int]) -> int:
        if not prompt.system:
            return 0
        if self._system[0] != prompt.system:
            head = [Turn("system", prompt.system)]
            one, other = (self._with_tail(head, tail) for tail in ("A", "1"))
            self._system = (prompt.system, one[: common_prefix(one, other)])
        return common_prefix(self._system[1], tokens)


def _different_tail(tail: str) -> str:
    """A tail that begins in another way."""
    return "1" if tail.lstrip()[:1] == "A" else "A"
