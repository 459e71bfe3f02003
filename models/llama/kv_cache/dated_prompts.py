"""Dates in prompts: a conversation keeps the date that its state was computed with, so that midnight costs no state."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import date

from models.engine import Prompt
from models.llama.kv_cache.cache_keys import CacheKey
from models.llama.kv_cache.prefix_cache import PrefixCache
from models.llama.kv_cache.slots import common_prefix
from models.llama.kv_cache.template_clock import TemplateClock
from models.llama.kv_cache.tokenized_prompt import PromptTokenizer, TokenizedPrompt

# An earlier date must save so many tokens more than today's: the text before a date is the same on all days.
_MIN_SAVED_TOKENS = 16


class DatedPrompts:
    """Tokenizes the prompts of all cache keys, for templates with and without a date. On the inference thread only."""

    def __init__(self, tokenizer: PromptTokenizer, clock: TemplateClock, prefix_cache: PrefixCache) -> None:
        self._tokenizer = tokenizer
        self._clock = clock
        self._prefix_cache = prefix_cache

    def tokenize_prompt(self, prompt: Prompt, cache_key: CacheKey) -> TokenizedPrompt:
        """The whole prompt, with the date of the state of this key that it continues; today's for a new conversation.

        Raises EngineFailed when the template rejects it.
        """
        return self._tokenize(self._tokenizer.tokenize_prompt, prompt, cache_key)

    def tokenize_head(self, prompt: Prompt, cache_key: CacheKey) -> TokenizedPrompt:
        """System and history, as `tokenize_prompt`."""
        return self._tokenize(self._tokenizer.tokenize_head, prompt, cache_key)

    def _tokenize(
        self, tokenize: Callable[[Prompt], TokenizedPrompt], prompt: Prompt, cache_key: CacheKey
    ) -> TokenizedPrompt:
        def tokenize_on(day: date) -> TokenizedPrompt:
            self._clock.day = day
            return replace(tokenize(prompt), day=day.toordinal())

        self._clock.was_read = False
        today = date.today()
        best = tokenize_on(today)
        if not self._clock.was_read:
            return replace(best, day=0)
        if not prompt.history:
            return best
        cached = self._prefix_cache.cached_prompts(cache_key)
        most = _longest_match(best, cached)
        for ordinal in {day for day, _ in cached} - {0, best.day}:
            dated = tokenize_on(date.fromordinal(ordinal))
            matched = _longest_match(dated, cached)
            if matched >= most + _MIN_SAVED_TOKENS:
                best, most = dated, matched
        return best


def _longest_match(prompt: TokenizedPrompt, cached: Iterable[tuple[int, list[int]]]) -> int:
    return max((common_prefix(prompt.tokens, tokens) for _, tokens in cached), default=0)
