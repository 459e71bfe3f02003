"""Choosing the next token: llama.cpp's sampler chain for one answer, with a grammar if its text follows a schema."""

import ctypes
import json
import math
import re
import secrets
from collections.abc import Mapping
from typing import Any

import numpy

from models.engine import EngineFailed, Sampling
from models.llama.context import Context
from models.llama.library import library
from models.llama.model import Model

_PENALTY_WINDOW_TOKENS = 64
_MOST_GRAMMAR_CHARACTERS = 1 << 18
# The converter writes a character beyond U+FFFF as two escapes, which a grammar takes for two characters.
_SURROGATES = re.compile(r"(?<!\\)((?:\\\\)*)\\u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})")


class Sampler:
    """The sampler of one answer. Every call belongs to the `llama` thread."""

    def __init__(self, model: Model, sampling: Sampling) -> None:
        """Raises EngineFailed when the schema cannot become a grammar."""
        self._library = library()
        self._model = model
        # Made before the chain: it may fail, and then there is nothing to free.
        grammar = _grammar(model, sampling.json_schema) if sampling.json_schema is not None else None
        self._has_grammar = grammar is not None
        self._chain = self._library.llama_sampler_chain_init(self._library.llama_sampler_chain_default_params())
        for link in ([grammar] if grammar else []) + _links(model, sampling):
            self._library.llama_sampler_chain_add(self._chain, link)

    def choose(self, context: Context, index: int) -> int:
        """The next token behind the `index`-th decoded last. Raises EngineFailed when the grammar allows none."""
        return self._choose_by_grammar(context, index) if self._has_grammar else context.sample(self._chain, index)

    def _choose_by_grammar(self, context: Context, index: int) -> int:
        """As `Context.sample`, step by step: accepting a token that the grammar forbids would abort the process."""
        llama_cpp = self._library
        logits = numpy.ctypeslib.as_array(context.logits(index))
        candidates = (llama_cpp.llama_token_data * len(logits))()
        rows = numpy.frombuffer(candidates, dtype=[("id", "<i4"), ("logit", "<f4"), ("p", "<f4")])
        rows["id"] = numpy.arange(len(logits), dtype=numpy.int32)
        rows["logit"] = logits
        array = llama_cpp.llama_token_data_array(
            ctypes.cast(candidates, ctypes.POINTER(llama_cpp.llama_token_data)), len(logits), -1, False
        )
        llama_cpp.llama_sampler_apply(self._chain, ctypes.byref(array))
        if array.selected < 0 or not math.isfinite(array.data[array.selected].logit):
            raise EngineFailed("The JSON schema allows no text that this model can write.")
        token = int(array.data[array.selected].id)
        llama_cpp.llama_sampler_accept(self._chain, token)
        return token

    def free(self) -> None:
        """Give the chain back, with its links."""
        if self._chain is not None:
            self._library.llama_sampler_free(self._chain)
            self._chain = None


def _links(model: Model, sampling: Sampling) -> list[Any]:
    llama_cpp = library()
    links = []
    if sampling.repeat_penalty != 1.0:
        links.append(
            llama_cpp.llama_sampler_init_penalties(
                model.vocabulary, _PENALTY_WINDOW_TOKENS, sampling.repeat_penalty, 0.0, 0.0
            )
        )
    if sampling.temperature <= 0:
        return [*links, llama_cpp.llama_sampler_init_greedy()]
    seed = secrets.randbits(32) if sampling.seed is None else sampling.seed & 0xFFFFFFFF
    return [
        *links,
        llama_cpp.llama_sampler_init_top_k(sampling.top_k),
        llama_cpp.llama_sampler_init_top_p(sampling.top_p, 1),
        llama_cpp.llama_sampler_init_min_p(sampling.min_p, 1),
        llama_cpp.llama_sampler_init_temp(sampling.temperature),
        llama_cpp.llama_sampler_init_dist(seed),
    ]


def _grammar(model: Model, schema: Mapping[str, Any]) -> Any:
    text = _grammar_text(schema)
    grammar = library().llama_sampler_init_grammar(model.vocab, text.encode(), b"root")
    if not grammar:
        raise EngineFailed("The JSON schema cannot be turned into a grammar: llama.cpp refuses it.")
    return grammar


def _grammar_text(schema: Mapping[str, Any]) -> str:
    from llama_cpp.llama_grammar import json_schema_to_gbnf

    try:
        _refuse_remote_references(schema)
        text = str(json_schema_to_gbnf(json.dumps(schema)))
    except (ValueError, LookupError, TypeError, AttributeError, AssertionError, RecursionError) as error:
        # The converter checks little: a faulty schema surfaces as whatever its code meets first.
        raise EngineFailed(f"The JSON schema cannot be turned into a grammar: {error}") from error
    if len(text) > _MOST_GRAMMAR_CHARACTERS:
        raise EngineFailed(f"The JSON schema is too large: its grammar has {len(text)} characters.")
    return _SURROGATES.sub(_joined, text)


def _joined(pair: re.Match[str]) -> str:
    high, low = int(pair[2], 16), int(pair[3], 16)
    return pair[1] + chr(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))


def _refuse_remote_references(schema: object) -> None:
    """The converter forbids fetching by an assertion, which an optimised Python leaves out."""
    if isinstance(schema, Mapping):
        reference = schema.get("$ref", "#/")
        if isinstance(reference, str) and not reference.startswith("#/"):
            raise ValueError(f"references outside the schema are not followed: {reference}")
        for value in schema.values():
            _refuse_remote_references(value)
    elif isinstance(schema, list | tuple):
        for value in schema:
            _refuse_remote_references(value)
