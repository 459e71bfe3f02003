"""The llama.cpp context: computing tokens of several sequences, taking them out again, saving and restoring them."""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy
from numpy.typing import NDArray

from models.engine import ModelUnusable
from models.llama.native.cancel_flag import CancelFlag, abort_callback
from models.llama.native.libllama import capture_errors, ggml_library, llama_library
from models.llama.native.model import LlamaModel
from models.llama.native.openmp_spin import OpenMpSpinControl
from models.llama.plan.hardware import usable_cores
from models.llama.plan.memory_plan import MemoryPlan
from models.llama.settings import LlamaSettings

_KV_TYPES = {"f16": 1, "q8_0": 8, "q4_0": 2}  # ggml_type
_FLASH_AUTO, _FLASH_OFF, _FLASH_ON = -1, 0, 1
_ABORTED = 2

MAX_DRAFT_TOKENS = 6
"""Tokens that may be guessed at once; the logits of all of them and of the one before are read. From 8 tokens on
llama.cpp computes in another way.
"""


@dataclass(eq=False)
class DecodeFailed(Exception):
    """llama_decode refused a batch; `code` is its result."""

    code: int

    def __str__(self) -> str:
        return f"llama.cpp could not compute the tokens (code {self.code})."


class DecodeAborted(Exception):
    """The request that was being computed is no longer wanted."""


class TokenRun(NamedTuple):
    """Tokens of one sequence at the positions from `start`."""

    sequence: int
    start: int
    tokens: Sequence[int]


class LlamaContext:
    """One context with `sequence_count` separate sequences. Every call belongs to the `llama` thread.

    llama.cpp aborts the whole process when a length is out of range, so lengths are checked here before each call.
    """

    def __init__(self, model: LlamaModel, settings: LlamaSettings, fit: MemoryPlan) -> None:
        self._library = llama_library()
        self.size_tokens = fit.context_tokens
        self.sequence_count = fit.parallel
        self.batch_tokens = min(settings.batch_tokens, fit.context_tokens)
        self.flash_attention = _flash_attention(settings, fit)
        self._kv_type = settings.kv_cache_type
        self._most_outputs = max(self.sequence_count, 1 + MAX_DRAFT_TOKENS)
        self._logits = ctypes.c_float * model.vocabulary_size
        with capture_errors() as errors:
            self._handle = self._library.llama_init_from_model(model.handle, self._params(settings, fit))
        if not self._handle:
            reason = errors[0] if errors else "it gave no reason"
            raise ModelUnusable(
                f"No context of {fit.context_tokens} tokens can be made for {model.path.name}; "
                f"llama.cpp says: {reason}",
                str(model.path),
            )
        self._memory = self._library.llama_get_memory(self._handle)
        self._batch = self._library.llama_batch_init(self.batch_tokens + self._most_outputs, 0, 1)
        self._spin_control = OpenMpSpinControl(ggml_library(), 1 if fit.gpu_layers else thread_count(settings))
        self._never_abort = CancelFlag()
        self.set_abort_flag(self._never_abort)
        # Recurrent layers keep one state, which cannot go back to an earlier token.
        self.can_truncate = not (
            self._library.llama_model_is_recurrent(model.handle) or self._library.llama_model_is_hybrid(model.handle)
        )
        # What is saved of a sliding window ends at the window, so a restored state cannot go back either.
        self.can_truncate_restored = self.can_truncate and self._library.llama_model_n_swa(model.handle) == 0

    @property
    def state_layout(self) -> tuple[object, ...]:
        """What the form of a saved state depends on beside the model."""
        return (self.sequence_count, self._kv_type, self.flash_attention)

    def _params(self, settings: LlamaSettings, fit: MemoryPlan) -> Any:
        params = self._library.llama_context_default_params()
        params.n_ctx = fit.context_tokens * fit.parallel
        params.n_batch = params.n_ubatch = self.batch_tokens
        params.n_seq_max = fit.parallel
        # In a cache of one piece every reply would attend to the cells of all others, if only to mask them.
        params.kv_unified = False
        # Only few tokens of a batch are sampled: room for the logits of all of them would cost 150 MB for a
        # vocabulary of 150,000.
        params.n_outputs_max = self._most_outputs
        params.n_threads = params.n_threads_batch = thread_count(settings)
        params.flash_attn_type = self.flash_attention
        params.type_k = params.type_v = _KV_TYPES[settings.kv_cache_type]
        # Sliding windows are kept whole, so that every model with attention alone can go back to a shared prefix.
        params.swa_full = True
        return params

    def set_abort_flag(self, flag: CancelFlag | None) -> None:
        """From now on `flag` stops computations; None: nothing does."""
        self._abort_flag = flag or self._never_abort
        callback = abort_callback(self._library.llama_cpp.ggml_abort_callback)
        self._library.llama_set_abort_callback(self._handle, callback, self._abort_flag.address)

    def prefill(self, run: TokenRun) -> None:
        """Compute tokens of one sequence; the logits of the last one, at -1, can be sampled afterwards.

        Raises Cancelled when the watched flag was set, DecodeFailed when llama.cpp refuses; both may leave some of
        the tokens in the cache, so call `truncate_sequence` next.
        """
        self._begin()
        self._add_run(run, all_outputs=False)
        self._decode()

    def decode(self, runs: Sequence[TokenRun]) -> None:
        """Compute short runs of several sequences together; the logits of all tokens, counted through, can be sampled.

        Raises as `prefill`, for all of them.
        """
        self._begin()
        for run in runs:
            self._add_run(run, all_outputs=True)
        self._decode()

    def _begin(self) -> None:
        if self._abort_flag.is_set:
            raise DecodeAborted
        self._batch.n_tokens = 0

    def _add_run(self, run: TokenRun, all_outputs: bool) -> None:
        batch, count = self._batch, len(run.tokens)
        first = int(batch.n_tokens)
        most = min(self.batch_tokens, self._most_outputs) if all_outputs else self.batch_tokens
        fits = 0 < count <= most - first and 0 <= run.start <= self.size_tokens - count
        if not (fits and 0 <= run.sequence < self.sequence_count):
            raise DecodeFailed(-1)
        for offset, token in enumerate(run.tokens):
            index = first + offset
            batch.token[index] = token
            batch.pos[index] = run.start + offset
            batch.n_seq_id[index] = 1
            batch.seq_id[index][0] = run.sequence
            batch.logits[index] = all_outputs
        batch.logits[first + count - 1] = 1
        batch.n_tokens = first + count

    def _decode(self) -> None:
        with self._spin_control.measured():
            code = self._library.llama_decode(self._handle, self._batch)
        if code == _ABORTED:
            raise DecodeAborted
        if code != 0:
            raise DecodeFailed(code)

    def truncate_sequence(self, sequence: int, count: int) -> bool:
        """Take out all tokens from position `count` on. False when this model cannot; then nothing is left in it."""
        if count > 0 and self._library.llama_memory_seq_rm(self._memory, sequence, count, -1):
            return True
        self._library.llama_memory_seq_rm(self._memory, sequence, -1, -1)
        return count == 0

    def save_sequence(self, sequence: int) -> memoryview:
        """The state of a sequence as bytes; empty when llama.cpp gives none."""
        size = self._library.llama_state_seq_get_size(self._handle, sequence)
        # Not an array of ctypes: filling 45 MB with zeros first would hold up all threads for 10 ms.
        buffer = numpy.empty(size, numpy.uint8)
        written = self._library.llama_state_seq_get_data(self._handle, _pointer(buffer), size, sequence)
        return buffer.data[:written]

    def restore_sequence(self, sequence: int, state: memoryview) -> bool:
        """Fill a sequence with what `save_sequence` gave; False when llama.cpp refuses, and then the sequence is
        empty.
        """
        source = _pointer(numpy.frombuffer(state, numpy.uint8))
        if self._library.llama_state_seq_set_data(self._handle, source, len(state), sequence) == len(state):
            return True
        self.truncate_sequence(sequence, 0)
        return False

    def get_logits(self, index: int) -> NDArray[numpy.float32]:
        """The logits of a token decoded last, one for each token of the vocabulary; good until the next computation."""
        first = self._library.llama_get_logits_ith(self._handle, index).contents
        logits: Any = self._logits.from_address(ctypes.addressof(first))
        return numpy.frombuffer(logits, numpy.float32)

    def free(self) -> None:
        """Give the memory back; nobody may use the context afterwards."""
        self._spin_control.close()
        if self._handle is not None:
            self._library.llama_batch_free(self._batch)
            self._library.llama_free(self._handle)
            self._handle = None


def _pointer(buffer: NDArray[numpy.uint8]) -> Any:
    return buffer.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))


def thread_count(settings: LlamaSettings) -> int:
    """How many threads compute."""
    return usable_cores() if settings.threads == "auto" else max(1, settings.threads)


def _flash_attention(settings: LlamaSettings, fit: MemoryPlan) -> int:
    """On CPU it slows a short turn behind a long history (575 ms against 316 ms for 37 tokens behind 1,900), which is
    the usual case here; a quantised KV cache cannot do without.
    """
    if settings.flash_attention != "auto":
        return _FLASH_ON if settings.flash_attention == "on" else _FLASH_OFF
    if settings.kv_cache_type != "f16":
        return _FLASH_ON
    return _FLASH_AUTO if fit.gpu_layers > 0 else _FLASH_OFF
