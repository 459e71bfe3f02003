"""The llama.cpp context: computes tokens of several sequences, truncates, saves and restores sequences."""

import ctypes
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy
from numpy.typing import NDArray

from models.llama.native.cancel_flag import CancelFlag, abort_callback
from models.llama.native.compute_threads import ComputeThreads
from models.llama.native.libllama import capture_errors, llama_library, model_unusable
from models.llama.native.model import LlamaModel
from models.llama.plan.hardware import usable_cores
from models.llama.plan.memory_plan import MemoryPlan
from models.llama.settings import LlamaSettings

_KV_TYPES = {"f16": 1, "q8_0": 8, "q4_0": 2}  # ggml_type
_FLASH_AUTO, _FLASH_OFF, _FLASH_ON = -1, 0, 1
_ABORTED = 2
# So many replies can have the longest draft in one call: room for more logits costs memory.
_DRAFTING_REPLIES = 2

MAX_DRAFT_TOKENS = 8
"""Longest draft; the logits of its tokens and of the one before are read."""


@dataclass(eq=False)
class DecodeFailed(Exception):
    """llama_decode refused a batch; `code` is its result."""

    code: int

    def __str__(self) -> str:
        return f"llama.cpp could not compute the tokens (code {self.code})."


class DecodeAborted(Exception):
    """The computation was cancelled by the abort flag."""


class TokenRun(NamedTuple):
    """Tokens of one sequence at the positions from `start`."""

    sequence: int
    start: int
    tokens: Sequence[int]


class LlamaContext:
    """One context with `sequence_count` separate sequences. Used on the inference thread only.

    llama.cpp aborts the whole process when a length is out of range, so lengths are checked here before each call.
    """

    def __init__(self, model: LlamaModel, settings: LlamaSettings, memory_plan: MemoryPlan) -> None:
        self._library = llama_library()
        self.size_tokens = memory_plan.context_tokens
        self.sequence_count = memory_plan.parallel
        self.batch_tokens = min(settings.batch_tokens, memory_plan.context_tokens)
        self.flash_attention = _flash_attention(settings, memory_plan)
        self._kv_type = settings.kv_cache_type
        self._max_outputs = max(self.sequence_count, _DRAFTING_REPLIES * (1 + MAX_DRAFT_TOKENS))
        self.max_decode_tokens = min(self.batch_tokens, self._max_outputs)
        """Most tokens in one call of `decode`."""
        self._deterministic = settings.deterministic
        self._logits = ctypes.c_float * model.vocabulary_size
        with capture_errors() as errors:
            self._handle = self._library.llama_init_from_model(model.handle, self._params(settings, memory_plan))
        if not self._handle:
            raise model_unusable(
                f"No context of {memory_plan.context_tokens} tokens for each of {memory_plan.parallel} answers can be"
                f" made for {model.path.name}",
                errors,
                str(model.path),
            )
        self._memory = self._library.llama_get_memory(self._handle)
        self._batch = self._library.llama_batch_init(self.batch_tokens + self._max_outputs, 0, 1)
        self._threads = _compute_threads(settings, memory_plan)
        self._thread_count = self._threads.count
        self._never_abort = CancelFlag()
        self.set_abort_flag(self._never_abort)
        # Recurrent layers keep a single state, which cannot be truncated to an earlier token.
        self.can_truncate = not (
            self._library.llama_model_is_recurrent(model.handle) or self._library.llama_model_is_hybrid(model.handle)
        )
        self._window_tokens = int(self._library.llama_model_n_swa(model.handle))
        # The saved state of a sliding window ends at the window, so a restored state cannot be truncated either.
        self.can_truncate_restored = self.can_truncate and self._window_tokens == 0
        self.keeps_all_cells = self.can_truncate and (self._window_tokens == 0 or settings.deterministic)
        """Whether a sequence that was computed here can be truncated to each of its tokens."""

    @property
    def state_layout(self) -> tuple[object, ...]:
        """Everything but the model that a saved state depends on. One that was computed in other chunks differs in last
        bits, so deterministic engines use none of another's.
        """
        return (self.sequence_count, self._kv_type, self.flash_attention, self._deterministic)

    def _params(self, settings: LlamaSettings, memory_plan: MemoryPlan) -> Any:
        params = self._library.llama_context_default_params()
        params.n_ctx = memory_plan.context_tokens * memory_plan.parallel
        params.n_batch = params.n_ubatch = self.batch_tokens
        params.n_seq_max = memory_plan.parallel
        # In a unified cache every reply would attend to the cells of all others, if only to mask them.
        params.kv_unified = False
        # Only few tokens of a batch are sampled: room for the logits of all of them would cost 150 MB for a
        # vocabulary of 150,000.
        params.n_outputs_max = self._max_outputs
        params.n_threads = params.n_threads_batch = thread_count(settings)
        params.flash_attn_type = self.flash_attention
        params.type_k = params.type_v = _KV_TYPES[settings.kv_cache_type]
        # Of a sliding window only its tokens and a batch are kept: Gemma 3 12B with 8,192 tokens needs 1.0 GB for a
        # reply instead of 3.2. Its cells then lie in another order from turn to turn, which changes last bits.
        params.swa_full = settings.deterministic
        return params

    def set_abort_flag(self, flag: CancelFlag | None) -> None:
        """Set the flag that aborts computations from now on; None for no flag."""
        self._abort_flag = flag or self._never_abort
        callback = abort_callback(self._library.llama_cpp.ggml_abort_callback)
        self._library.llama_set_abort_callback(self._handle, callback, self._abort_flag.address)

    def prefill(self, run: TokenRun) -> None:
        """Compute tokens of one sequence; the logits of the last one, at index -1, can be sampled afterwards.

        Raises DecodeAborted when the abort flag was set, DecodeFailed when llama.cpp refuses; both may leave some of
        the tokens in the cache, so call `truncate_sequence` next.
        """
        self._start_batch()
        self._add_run(run, all_outputs=False)
        self._decode()

    def decode(self, runs: Sequence[TokenRun]) -> None:
        """Compute short runs of several sequences together; the logits of all tokens, indexed across the runs, can be
        sampled. Raises as `prefill`, for all runs.
        """
        self._start_batch()
        for run in runs:
            self._add_run(run, all_outputs=True)
        self._decode()

    def _start_batch(self) -> None:
        if self._abort_flag.is_set:
            raise DecodeAborted
        self._batch.n_tokens = 0

    def _add_run(self, run: TokenRun, all_outputs: bool) -> None:
        batch, count = self._batch, len(run.tokens)
        first = int(batch.n_tokens)
        limit = self.max_decode_tokens if all_outputs else self.batch_tokens
        is_valid = 0 < count <= limit - first and 0 <= run.start <= self.size_tokens - count
        if not (is_valid and 0 <= run.sequence < self.sequence_count):
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
        self.set_threads(self._threads.adapt(time.monotonic()))
        code = self._library.llama_decode(self._handle, self._batch)
        if code == _ABORTED:
            raise DecodeAborted
        if code != 0:
            raise DecodeFailed(code)

    def set_threads(self, count: int) -> None:
        """Compute with so many threads from now on; the results are the same bit for bit."""
        if count != self._thread_count:
            self._thread_count = count
            self._library.llama_set_n_threads(self._handle, count, count)

    def truncate_sequence(self, sequence: int, count: int) -> bool:
        """Remove all tokens from position `count` on; False when the model cannot, which empties the sequence."""
        if count > 0 and self._library.llama_memory_seq_rm(self._memory, sequence, count, -1):
            return True
        self._library.llama_memory_seq_rm(self._memory, sequence, -1, -1)
        return count == 0

    def min_truncation(self, sequence: int) -> int:
        """The smallest number of tokens above 0 that a sequence can be truncated to: the next token attends to its
        whole window. Only for models that can truncate.
        """
        if self._window_tokens == 0:
            return 0
        first = int(self._library.llama_memory_seq_pos_min(self._memory, sequence))
        return first + self._window_tokens - 1 if first > 0 else 0

    def save_sequence(self, sequence: int) -> memoryview:
        """The state of a sequence as bytes; empty when llama.cpp returns none."""
        size = self._library.llama_state_seq_get_size(self._handle, sequence)
        # Not a ctypes array: filling 45 MB with zeros first would block all threads for 10 ms.
        buffer = numpy.empty(size, numpy.uint8)
        written = self._library.llama_state_seq_get_data(self._handle, _pointer(buffer), size, sequence)
        return buffer.data[:written]

    def restore_sequence(self, sequence: int, state: memoryview) -> bool:
        """Restore a sequence from the bytes of `save_sequence`; False when llama.cpp rejects them, which empties it."""
        source = _pointer(numpy.frombuffer(state, numpy.uint8))
        if self._library.llama_state_seq_set_data(self._handle, source, len(state), sequence) == len(state):
            return True
        self.truncate_sequence(sequence, 0)
        return False

    def get_logits(self, index: int) -> NDArray[numpy.float32]:
        """The logits at an index of the last batch, shape (vocabulary,), float32; valid until the next computation.

        The array is a view of llama.cpp's memory.
        """
        first = self._library.llama_get_logits_ith(self._handle, index).contents
        logits: Any = self._logits.from_address(ctypes.addressof(first))
        return numpy.frombuffer(logits, numpy.float32)

    def free(self) -> None:
        """Free the memory; the context must not be used afterwards."""
        if self._handle is not None:
            self._library.llama_batch_free(self._batch)
            self._library.llama_free(self._handle)
            self._handle = None


def _pointer(buffer: NDArray[numpy.uint8]) -> Any:
    return buffer.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))


def _compute_threads(settings: LlamaSettings, memory_plan: MemoryPlan) -> ComputeThreads:
    """Threads that make way for other processes, unless their number is set or the work is the GPU's."""
    is_fixed = settings.threads != "auto" or memory_plan.gpu_layers > 0
    return ComputeThreads(thread_count(settings), is_fixed)


def thread_count(settings: LlamaSettings) -> int:
    """Number of compute threads."""
    return usable_cores() if settings.threads == "auto" else max(1, settings.threads)


def _flash_attention(settings: LlamaSettings, memory_plan: MemoryPlan) -> int:
    """Flash attention setting for llama.cpp. On the CPU it slows a short turn after a long history (575 ms against
    316 ms for 37 tokens after 1,900), which is the usual case here; a quantised KV cache requires it.
    """
    if settings.flash_attention != "auto":
        return _FLASH_ON if settings.flash_attention == "on" else _FLASH_OFF
    if settings.kv_cache_type != "f16":
        return _FLASH_ON
    return _FLASH_AUTO if memory_plan.gpu_layers > 0 else _FLASH_OFF
