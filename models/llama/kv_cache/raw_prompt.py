"""Raw prompts as tokens: text that is continued without a chat template, or filled in between a prefix and a suffix."""

import re
from functools import cached_property

from models.engine import NotSupported, RawPrompt
from models.llama.kv_cache.tokenized_prompt import TokenizedPrompt
from models.llama.native.libllama import llama_library
from models.llama.native.model import LlamaModel

_MISTRAL_PREFIX, _MISTRAL_SUFFIX = "[PREFIX]", "[SUFFIX]"
"""Codestral's marks, which llama.cpp does not know: the suffix stands first, and no mark ends the prompt."""


class RawPromptTokenizer:
    """Tokenizes raw prompts of one model. Used on the inference thread only."""

    def __init__(self, model: LlamaModel) -> None:
        self._model = model

    def tokenize_prompt(self, prompt: RawPrompt) -> TokenizedPrompt:
        """The whole prompt. Raises NotSupported for a suffix, if the model has no marks for it."""
        if prompt.suffix is None:
            tokens = self._tokenize(prompt.text)
        else:
            tokens = self._fill_in(self._tokenize(prompt.text), self._tokenize(prompt.suffix))
        model = self._model
        if model.bos_token >= 0 and (model.adds_bos or not tokens):
            tokens.insert(0, model.bos_token)
        tokens = tokens or [model.eos_token]  # something must be computed before the first token
        return TokenizedPrompt(
            tokens,
            system_tokens=0,
            history_tokens=len(tokens),
            text_end="",  # a mark of thinking at the end of the text opens none
            turn_tokens=len(tokens),
        )

    def _fill_in(self, prefix: list[int], suffix: list[int]) -> list[int]:
        """Prefix, suffix and their marks, in the order of the model's training."""
        llama, vocab = llama_library(), self._model.vocab
        before, after, between = (
            int(token(vocab))
            for token in (llama.llama_vocab_fim_pre, llama.llama_vocab_fim_suf, llama.llama_vocab_fim_mid)
        )
        if min(before, after, between) >= 0:
            return [before, *prefix, after, *suffix, between]
        special = self._model.special_tokens
        if _MISTRAL_PREFIX in special and _MISTRAL_SUFFIX in special:
            return [special[_MISTRAL_SUFFIX], *suffix, special[_MISTRAL_PREFIX], *prefix]
        raise NotSupported(
            f"{self._model.name} fills in nothing between a prompt and a suffix: its vocabulary has no marks for them.",
            "suffix",
        )

    def _tokenize(self, text: str) -> list[int]:
        """The tokens of a text, in which the marks of `_marks` are parsed, and no other control texts."""
        marks = self._marks
        if not marks:
            return self._model.tokenize(text, parse_control=False)
        tokens: list[int] = []
        for piece in self._split.split(text):
            if piece in marks:
                tokens.append(marks[piece])
            elif piece:
                tokens += self._model.tokenize(piece, parse_control=False)
        return tokens

    @cached_property
    def _split(self) -> re.Pattern[str]:
        return re.compile(f"({'|'.join(map(re.escape, sorted(self._marks, key=len, reverse=True)))})")

    @cached_property
    def _marks(self) -> dict[str, int]:
        """Texts and tokens for filling in, and for several files in a prompt: clients put such prompts together."""
        llama, model = llama_library(), self._model
        lookups = (f"llama_vocab_fim_{name}" for name in ("pre", "suf", "mid", "rep", "sep"))
        tokens = [int(getattr(llama, lookup)(model.vocab)) for lookup in lookups]
        special = model.special_tokens
        known = {text: special[text] for text in (_MISTRAL_PREFIX, _MISTRAL_SUFFIX) if text in special}
        return known | {text: token for token in tokens if (text := model.token_text(token))}
