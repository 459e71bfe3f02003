"""The llama.cpp context: decoding tokens into its KV cache, and taking them out again."""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from models.engine import ModelUnusable
from models.llama.cancelling import CancelFlag, abort_callback
from models.llama.fit import Fit
from models.llama.library import errors_noted, library
from models.llama.machine import usable_cores
from models.llama.model import Model
from models.llama.settings import LlamaSettings

_KV_TYPES = {"f16": 1, "q8_0": 8, "q4_0": 2}  # ggml_type
_FLASH_AUTO, _FLASH_OFF, _FLASH_ON = -1, 0, 1
_ABORTED = 2


@dataclass(eq=False)
class DecodeFailed(Exception):
    """llama_decode refused a batch; `code` is its result."""

    code: int

    def __str__(self) -> str:
        return f"llama.cpp could not compute the tokens (code {self.code})."


class Cancelled(Exception):
    """The request that was being computed is no longer wanted."""


class Context:
    """One context with one sequence, number 0. Every call belongs to the `llama` thread.

    llama.cpp aborts the whole process when a length is out of range, so lengths are checked here before each call.
    """

    def __init__(self, model: Model, settings: LlamaSettings, fit: Fit) -> None:
        self._library = library()
        self._model = model
        self.size_tokens = fit.context_tokens
        self.batch_tokens = min(settings.batch_tokens, fit.context_tokens)
        with errors_noted() as errors:
            self._handle = self._library.llama_init_from_model(model.handle, self._params(settings, fit))
        if not self._handle:
            reason = errors[0] if errors else "it gave no reason"
            raise ModelUnusable(
                f"No context of {fit.context_tokens} tokens can be made for {model.path.name}; "
                f"llama.cpp says: {reason}",
                str(model.path),
            )
        self._memory = self._library.llama_get_memory(self._handle)
        self._batch = self._library.llama_batch_init(self.batch_tokens, 0, 1)
        self._idle = CancelFlag()
        self.watch(self._idle)

    def _params(self, settings: LlamaSettings, fit: Fit) -> Any:
        params = self._library.llama_context_default_params()
        params.n_ctx = fit.context_tokens
        params.n_batch = params.n_ubatch = self.batch_tokens
        params.n_seq_max = 1
        # Only the last token of a batch is sampled: room for the logits of all of them would cost 150 MB for a
        # vocabulary of 150,000.
        params.n_outputs_max = 1
        params.n_threads = params.n_threads_batch = _threads(settings)
        params.flash_attn_type = _flash_attention(settings, fit)
        params.type_k = params.type_v = _KV_TYPES[settings.kv_type]
        # Sliding windows are kept whole, so that every model with attention alone can go back to a shared prefix.
        params.swa_full = True
        return params

    def watch(self, flag: CancelFlag | None) -> None:
        """From now on `flag` stops computations; None: nothing does."""
        self._watched = flag or self._idle
        callback = abort_callback(self._library.llama_cpp.ggml_abort_callback)
        self._library.llama_set_abort_callback(self._handle, callback, self._watched.address)

    def decode(self, tokens: Sequence[int], start: int) -> None:
        """Compute tokens at the positions from `start`; the logits of the last one can be sampled afterwards.

        Raises Cancelled when the watched flag was set, DecodeFailed when llama.cpp refuses; both may leave some of
        the tokens in the cache, so call `keep` next.
        """
        if self._watched.is_set:
            raise Cancelled
        count = len(tokens)
        if not (0 < count <= self.batch_tokens and start + count <= self.size_tokens):
            raise DecodeFailed(-1)
        self._fill(tokens, start)
        code = self._library.llama_decode(self._handle, self._batch)
        if code == _ABORTED:
            raise Cancelled
        if code != 0:
            raise DecodeFailed(code)

    def _fill(self, tokens: Sequence[int], start: int) -> None:
        batch = self._batch
        batch.n_tokens = len(tokens)
        for index, token in enumerate(tokens):
            batch.token[index] = token
            batch.pos[index] = start + index
            batch.n_seq_id[index] = 1
            batch.seq_id[index][0] = 0
            batch.logits[index] = 0
        batch.logits[len(tokens) - 1] = 1

    def keep(self, count: int) -> bool:
        """Take out all tokens from position `count` on. False when this model cannot; then nothing is left in it."""
        if count > 0 and self._library.llama_memory_seq_rm(self._memory, 0, count, -1):
            return True
        self._library.llama_memory_clear(self._memory, True)
        return count == 0

    def logits(self) -> "ctypes.Array[ctypes.c_float]":
        """The logits of the token decoded last, one for each token of the vocabulary."""
        pointer = self._library.llama_get_logits_ith(self._handle, -1)
        return ctypes.cast(pointer, ctypes.POINTER(ctypes.c_float * self._model.vocabulary)).contents

    def sample(self, chain: Any) -> int:
        """The next token by a sampler chain, which takes note of it."""
        return int(self._library.llama_sampler_sample(chain, self._handle, -1))

    def free(self) -> None:
        """Give the memory back; nobody may use the context afterwards."""
        if self._handle is not None:
            self._library.llama_batch_free(self._batch)
            self._library.llama_free(self._handle)
            self._handle = None


def _threads(settings: LlamaSettings) -> int:
    return usable_cores() if settings.threads == "auto" else max(1, settings.threads)


def _flash_attention(settings: LlamaSettings, fit: Fit) -> int:
    """On CPU it slows a short turn behind a long history (575 ms against 316 ms for 37 tokens behind 1,900), which is
    the usual case here; a quantised KV cache cannot do without.
    """
    if settings.flash_attention != "auto":
        return _FLASH_ON if settings.flash_attention == "on" else _FLASH_OFF
    if settings.kv_type != "f16":
        return _FLASH_ON
    return _FLASH_AUTO if fit.gpu_layers > 0 else _FLASH_OFF
