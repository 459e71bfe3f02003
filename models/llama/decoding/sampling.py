"""Sampling for one reply with llama.cpp's samplers, constrained by a grammar when it must follow a JSON schema."""

import ctypes
import math
import secrets
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence, Set
from typing import Any

import numpy

from models.engine import EngineFailed, NotSupported, Sampling, SchemaRefused
from models.llama.decoding.logits import Logits, Tokens, add_bias, penalise_frequent, penalise_repeats, top_k_tokens
from models.llama.grammar.json_schema import schema_grammar
from models.llama.native.context import LlamaContext
from models.llama.native.libllama import llama_library
from models.llama.native.model import LlamaModel

_PENALTY_WINDOW_TOKENS = 64
# CPU time of one token under a grammar; the other replies wait meanwhile. Usual are 10 ms.
_MAX_GRAMMAR_S = 2.0


class DamagedWeights(EngineFailed):
    """The model computed logits that are no numbers."""

    def __init__(self) -> None:
        super().__init__(
            "The model computed values that are no numbers: its file is damaged, or does not fit this build of"
            " llama.cpp. Fetch the file again."
        )


class Sampler:
    """The sampler of one reply. Used on the inference thread only."""

    def __init__(self, model: LlamaModel, sampling: Sampling, grammar: str | None = None) -> None:
        """`grammar`, in GBNF, takes the place of the sampling's schema.

        Raises SchemaRefused when the schema cannot become a grammar, NotSupported for a bias of no token.
        """
        self._library = llama_library()
        self._bias = _known_tokens(model, sampling.logit_bias)
        self._model = model
        if grammar is None and sampling.json_schema is not None:
            grammar = schema_grammar(sampling.json_schema)
        # Created before the chain: if it fails, there is nothing to free.
        self._grammar = _build_grammar(model, grammar) if grammar is not None else None
        self._top_k = 1 if sampling.temperature <= 0 else sampling.top_k
        self._penalty = sampling.repeat_penalty
        self._frequency, self._presence = sampling.frequency_penalty, sampling.presence_penalty
        self._counts: Counter[int] = Counter()
        self._recent: deque[int] = deque(maxlen=_PENALTY_WINDOW_TOKENS)
        self._chain = self._library.llama_sampler_chain_init(self._library.llama_sampler_chain_default_params())
        for link in _chain_samplers(sampling):
            self._library.llama_sampler_chain_add(self._chain, link)

    def sample_token(
        self, context: LlamaContext, index: int, *, is_free: bool = False, exempt: Set[int] = frozenset()
    ) -> int:
        """Sample from the logits at `index` of the last batch, which are changed in place. The grammar does not bind a
        token of thinking (`is_free`), nor those that are `exempt`.

        Raises SchemaRefused when the grammar allows no token, or takes too long, DamagedWeights for logits that are no
        numbers.
        """
        logits = context.get_logits(index)
        add_bias(logits, self._bias)
        penalise_repeats(logits, self._recent, self._penalty)
        penalise_frequent(logits, self._counts, self._frequency, self._presence)
        token = self._sample_from(logits)
        if self._grammar is not None and not is_free and token not in exempt:
            started_s = time.thread_time()
            token = self._apply_grammar(token, logits)
            self._library.llama_sampler_accept(self._grammar, token)
            if time.thread_time() - started_s > _MAX_GRAMMAR_S:
                raise SchemaRefused("The JSON schema takes too long to follow: it allows too many things at once.")
        self._recent.append(token)
        self._counts[token] += 1
        return token

    def begin_grammar(self, grammar: str, tokens: Sequence[int]) -> bool:
        """Bind the reply to a grammar from now on; its text so far has these tokens. False, without any effect, when
        the grammar does not allow them.

        Raises SchemaRefused when the grammar cannot be read.
        """
        begun = _build_grammar(self._model, grammar)
        for token in tokens:
            if not math.isfinite(self._apply_sampler(begun, [token], [0.0]).logits[0]):
                self._library.llama_sampler_free(begun)
                return False
            self._library.llama_sampler_accept(begun, token)
        if self._grammar is not None:
            self._library.llama_sampler_free(self._grammar)
        self._grammar = begun
        return True

    def _sample_from(self, logits: Logits) -> int:
        tokens = top_k_tokens(logits, self._top_k)
        if not (logits[tokens] < math.inf).all():  # NaN sorts as the largest, so that it is among the first
            raise DamagedWeights
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


def _known_tokens(model: LlamaModel, bias: Mapping[int, float]) -> Mapping[int, float]:
    """The bias, if all its tokens are in the vocabulary."""
    unknown = next((token for token in bias if not 0 <= token < model.vocabulary_size), None)
    if unknown is not None:
        sentence = f"This model has the tokens 0 to {model.vocabulary_size - 1}, and {unknown} is none of them."
        raise NotSupported(sentence, "logit_bias")
    return bias


def _build_grammar(model: LlamaModel, text: str) -> Any:
    grammar = llama_library().llama_sampler_init_grammar(model.vocab, text.encode(), b"root")
    if not grammar:
        raise SchemaRefused("The JSON schema cannot be followed: in it a value begins with itself.")
    return grammar
