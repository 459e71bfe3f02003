"""Tokenized prompts, with the boundaries at which a snapshot is worth storing."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from models.engine import EngineFailed, Prompt, Turn
from models.llama.kv_cache.chat_template import ChatTemplate, RenderOptions
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
        self._system: tuple[str, RenderOptions, list[int]] = ("", RenderOptions(), [])
        # Tokens after the last message that are not there once an answer follows.
        self._reply_start_tokens: dict[RenderOptions, int] = {}

    def tokenize_prompt(self, prompt: Prompt) -> TokenizedPrompt:
        """The whole prompt. Raises EngineFailed when the template rejects it."""
        options = RenderOptions.of_prompt(prompt)
        turns = prompt.turns()
        rendered = whole = self._template.render_turns(turns, options)
        if prompt.reply_start:
            whole = self._template.render_turns(turns, options, prompt.reply_start)
        other_tail = replace(turns[-1], text=_tail_starting_differently(prompt.tail))
        other = self._template.render_turns([*turns[:-1], other_tail], options).tokens
        return TokenizedPrompt(
            whole.tokens,
            self._count_system_tokens(prompt, rendered.tokens),
            common_prefix(rendered.tokens, other),
            whole.text[-64:],
            min(len(rendered.tokens) - self._count_reply_start_tokens(options), len(whole.tokens)),
        )

    def tokenize_head(self, prompt: Prompt) -> TokenizedPrompt:
        """System and history alone: the tokens that are the same for every question. Raises as `tokenize_prompt`."""
        head = prompt.turns()[:-1]
        options = RenderOptions.of_prompt(prompt)
        first = self._with_tail(head, "A", options)
        history_tokens = common_prefix(first, self._with_tail(head, "1", options))
        return TokenizedPrompt(
            first[:history_tokens], self._count_system_tokens(prompt, first[:history_tokens]), history_tokens, ""
        )

    def _count_reply_start_tokens(self, options: RenderOptions) -> int:
        if options not in self._reply_start_tokens:
            prompt = self._with_tail((), "A", options)
            try:
                continued = self._with_tail((Turn("user", "A"), Turn("assistant", "A")), "A", options)
            except EngineFailed:  # a template that takes no second question
                continued = prompt
            self._reply_start_tokens[options] = len(prompt) - common_prefix(prompt, continued)
        return self._reply_start_tokens[options]

    def _with_tail(self, head: Sequence[Turn], tail: str, options: RenderOptions) -> list[int]:
        return self._template.render_turns([*head, Turn("user", tail)], options).tokens

    def _count_system_tokens(self, prompt: Prompt, tokens: list[int]) -> int:
        options = RenderOptions.of_prompt(prompt)
        if not (prompt.system or options.toolbox):
            return 0
        shared_tokens = common_prefix(self._system[2], tokens)
        # Also when the template prints another date than before.
        if self._system[:2] != (prompt.system, options) or shared_tokens < len(self._system[2]):
            head = [Turn("system", prompt.system)] if prompt.system else []
            first, second = (self._with_tail(head, tail, options) for tail in ("A", "1"))
            self._system = (prompt.system, options, first[: common_prefix(first, second)])
            shared_tokens = common_prefix(self._system[2], tokens)
        return shared_tokens


def _tail_starting_differently(tail: str) -> str:
    """A tail with another first character."""
    return "1" if tail.lstrip()[:1] == "A" else "A"
