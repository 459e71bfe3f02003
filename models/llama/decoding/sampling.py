"""Sampling for one reply with llama.cpp's samplers, constrained by a grammar when it must follow a JSON schema."""

import ctypes
import json
import math
import re
import secrets
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import numpy

from models.engine import Sampling, SchemaRefused
from models.llama.decoding.logits import Logits, Tokens, penalise_repeats, top_k_tokens
from models.llama.native.context import LlamaContext
from models.llama.native.libllama import llama_library
from models.llama.native.model import LlamaModel

_PENALTY_WINDOW_TOKENS = 64
_MAX_GRAMMAR_CHARACTERS = 1 << 18
# The converter writes a character above U+FFFF as two escapes, which a grammar reads as two characters.
_SURROGATES = re.compile(r"(?<!\\)((?:\\\\)*)\\u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})")


class Sampler:
    """The sampler of one reply. Used on the inference thread only."""

    def __init__(self, model: LlamaModel, sampling: Sampling) -> None:
        """Raises SchemaRefused when the schema cannot become a grammar."""
        self._library = llama_library()
        # Created before the chain: if it fails, there is nothing to free.
        self._grammar = _build_grammar(model, sampling.json_schema) if sampling.json_schema is not None else None
        self._top_k = 1 if sampling.temperature <= 0 else sampling.top_k
        self._penalty = sampling.repeat_penalty
        self._recent: deque[int] = deque(maxlen=_PENALTY_WINDOW_TOKENS)
        self._chain = self._library.llama_sampler_chain_init(self._library.llama_sampler_chain_default_params())
        for link in _chain_samplers(sampling):
            self._library.llama_sampler_chain_add(self._chain, link)

    def sample_token(self, context: LlamaContext, index: int) -> int:
        """Sample from the logits at `index` of the last batch, which are changed in place.

        Raises SchemaRefused when the grammar allows no token.
        """
        logits = context.get_logits(index)
        penalise_repeats(logits, self._recent, self._penalty)
        token = self._sample_from(logits)
        if self._grammar is not None:
            token = self._apply_grammar(token, logits)
            self._library.llama_sampler_accept(self._grammar, token)
        self._recent.append(token)
        return token

    def _sample_from(self, logits: Logits) -> int:
        tokens = top_k_tokens(logits, self._top_k)
        if len(tokens) == 1:
            return int(tokens[0])
        return _selected(self._apply_sampler(self._chain, tokens, logits[tokens]))

    def _apply_grammar(self, token: int, logits: Logits) -> int:
        """The token, or another one if the grammar forbids it: checking one token takes 0.1 ms, all of them 10 ms, and
        most are allowed. Accepting a token that the grammar forbids would abort the process.
        """
        if math.isfinite(self._apply_sampler(self._grammar, [token], [logits[token]]).logits[0]):
            return token
        constrained = self._apply_sampler(self._grammar, numpy.arange(len(logits)), logits).logits
        likeliest = int(constrained.argmax())
        if not math.isfinite(constrained[likeliest]):
            raise SchemaRefused("The JSON schema allows no text that this model can write.")
        token = self._sample_from(constrained)
        return token if math.isfinite(constrained[token]) else likeliest

    def _apply_sampler(
        self, sampler: Any, tokens: Sequence[int] | Tokens, logits: Sequence[float] | Logits
    ) -> "_Candidates":
        """The tokens as candidates, after the sampler was applied."""
        candidates = _Candidates(self._library, tokens, logits)
        self._library.llama_sampler_apply(sampler, candidates.address)
        return candidates

    def free(self) -> None:
        """Free the samplers."""
        for sampler in (self._chain, self._grammar):
            if sampler is not None:
                self._library.llama_sampler_free(sampler)
        self._chain = self._grammar = None


class _Candidates:
    """Tokens with their logits as a `llama_token_data_array`, the input of llama.cpp's samplers."""

    def __init__(self, llama_cpp: Any, tokens: Sequence[int] | Tokens, logits: Sequence[float] | Logits) -> None:
        self._data = (llama_cpp.llama_token_data * len(tokens))()
        rows = numpy.frombuffer(self._data, dtype=[("id", "<i4"), ("logit", "<f4"), ("p", "<f4")])
        rows["id"] = tokens
        rows["logit"] = logits
        pointer = ctypes.cast(self._data, ctypes.POINTER(llama_cpp.llama_token_data))
        self.logits = rows["logit"]
        self.array = llama_cpp.llama_token_data_array(pointer, len(tokens), -1, False)
        self.address = ctypes.byref(self.array)


def _selected(candidates: _Candidates) -> int:
    return int(candidates.array.data[candidates.array.selected].id)


def _chain_samplers(sampling: Sampling) -> list[Any]:
    """The samplers that follow top-k, in llama.cpp's usual order; none for greedy decoding."""
    if sampling.temperature <= 0:
        return []
    llama_cpp = llama_library()
    seed = secrets.randbits(32) if sampling.seed is None else sampling.seed & 0xFFFFFFFF
    return [
        llama_cpp.llama_sampler_init_top_p(sampling.top_p, 1),
        llama_cpp.llama_sampler_init_min_p(sampling.min_p, 1),
        llama_cpp.llama_sampler_init_temp(sampling.temperature),
        llama_cpp.llama_sampler_init_dist(seed),
    ]


def _build_grammar(model: LlamaModel, schema: Mapping[str, Any]) -> Any:
    text = _schema_to_gbnf(schema)
    grammar = llama_library().llama_sampler_init_grammar(model.vocab, text.encode(), b"root")
    if not grammar:
        raise SchemaRefused("The JSON schema cannot be turned into a grammar: llama.cpp refuses it.")
    return grammar


def _schema_to_gbnf(schema: Mapping[str, Any]) -> str:
    from llama_cpp.llama_grammar import json_schema_to_gbnf

    try:
        _refuse_remote_references(schema)
        text = str(json_schema_to_gbnf(json.dumps(schema)))
    except (ValueError, LookupError, TypeError, AttributeError, AssertionError, RecursionError) as error:
        # The converter validates little: a faulty schema surfaces as any of these errors.
        raise SchemaRefused(f"The JSON schema cannot be turned into a grammar: {error}") from error
    if len(text) > _MAX_GRAMMAR_CHARACTERS:
        raise SchemaRefused(f"The JSON schema is too large: its grammar has {len(text)} characters.")
    return _SURROGATES.sub(_join_surrogates, text)


def _join_surrogates(pair: re.Match[str]) -> str:
    high, low = int(pair[2], 16), int(pair[3], 16)
    return pair[1] + chr(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))


def _refuse_remote_references(schema: object) -> None:
    """Raise ValueError for a reference outside the schema: the converter forbids fetching by an assertion only, which
    an optimised Python removes.
    """
    if isinstance(schema, Mapping):
        reference = schema.get("$ref", "#/")
        if isinstance(reference, str) and not reference.startswith("#/"):
            raise ValueError(f"references outside the schema are not followed: {reference}")
        for value in schema.values():
            _refuse_remote_references(value)
    elif isinstance(schema, list | tuple):
        for value in schema:
            _refuse_remote_references(value)
