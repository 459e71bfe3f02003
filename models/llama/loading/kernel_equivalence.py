"""Whether the processor computes a few tokens together exactly as one after the other."""

import ctypes
import platform
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy
from numpy.typing import NDArray

from models.llama.native.libllama import ggml_library, llama_library

_F16, _F32 = 1, 0  # ggml_type
# F32, F16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K to Q6_K, IQ4_NL, IQ4_XS, BF16, MXFP4. The others are rare, and some of
# them cannot be made from chance.
_TESTED_TYPES = frozenset({0, 1, 2, 3, 6, 7, 8, 10, 11, 12, 13, 14, 20, 23, 30, 39})
# Rows and columns of the matrices that are tried: enough for 128 sums of 256 products each, and a length that every
# kernel takes.
_ROWS, _LENGTH = 128, 256
_MEMORY_BYTES = 16 << 20
# Weights in these formats stay as they are in the file. Others may be laid out anew when the model is loaded
# (ggml_repack_get_optimal_repack_type), and then one kernel takes up to three tokens and another one four.
_NEVER_REPACKED = frozenset({0, 1, 3, 6, 7, 11, 30})  # F32, F16, Q4_1, Q5_0, Q5_1, Q3_K, BF16
_NEVER_REPACKED_ON_X86 = frozenset({8, 13, 14})  # Q8_0, Q5_K, Q6_K
_MAX_EQUAL_REPACKED = 3


def max_equal_batch(types: Collection[int], most: int) -> int:
    """How many tokens, from 1 to `most`, can be multiplied at once with matrices of these types (ggml's numbers) and of
    the cache's half floats, so that each comes out as alone, bit by bit.

    Tried on matrices of chance, with the product of each type as it leaves the kernel: in a model's answer, rounding on
    the way hides most differences, and a few tokens would prove nothing. 1 for types that are not tried.
    """
    if not _TESTED_TYPES.issuperset(types):
        return 1
    if _may_be_repacked(types):
        most = min(most, _MAX_EQUAL_REPACKED)
    return min(_max_equal(kind, most) for kind in {*types, _F16})


def _may_be_repacked(types: Collection[int]) -> bool:
    stay = _NEVER_REPACKED | _NEVER_REPACKED_ON_X86 if platform.machine() in ("x86_64", "AMD64") else _NEVER_REPACKED
    return b"REPACK = 1" in llama_library().llama_print_system_info() and not stay.issuperset(types)


def all_batches_equal(types: Collection[int], counts: Collection[int]) -> bool:
    """Whether so many tokens at once, for each of the `counts`, come out as alone; as `max_equal_batch` tries it."""
    if not _TESTED_TYPES.issuperset(types) or _may_be_repacked(types):
        return False
    trials = (_make_trial(kind, max(counts)) for kind in {*types, _F16})
    return all(trial.is_equal_batch(count) for trial in trials for count in counts)


def _max_equal(kind: int, most: int) -> int:
    trial = _make_trial(kind, most)
    return next((count - 1 for count in range(2, most + 1) if not trial.is_equal_batch(count)), most)


@dataclass(frozen=True)
class _Trial:
    """A matrix of chance of one type, tokens, and their products one by one."""

    kind: int
    weights: NDArray[numpy.float32]
    tokens: NDArray[numpy.float32]
    one_by_one: NDArray[numpy.float32]

    def is_equal_batch(self, count: int) -> bool:
        """Whether the first tokens together have the products that they have one by one."""
        return bool(
            ggml_matmul(self.kind, self.weights, self.tokens[:count]).tobytes() == self.one_by_one[:count].tobytes()
        )


def _make_trial(kind: int, most: int) -> _Trial:
    chance = numpy.random.default_rng(7)
    weights = chance.standard_normal((_ROWS, _LENGTH), numpy.float32)
    tokens = chance.standard_normal((most, _LENGTH), numpy.float32)
    alone = numpy.concatenate([ggml_matmul(kind, weights, tokens[n : n + 1]) for n in range(most)])
    return _Trial(kind, weights, tokens, alone)


def ggml_matmul(kind: int, weights: NDArray[numpy.float32], tokens: NDArray[numpy.float32]) -> Any:
    """What llama.cpp computes of weights, shape (rows, length), turned into this type, and of tokens, shape
    (tokens, length): their products, shape (tokens, rows).
    """
    ggml = _ggml()
    rows, length = weights.shape
    with _ggml_context(ggml) as space:
        matrix = ggml.ggml_new_tensor_2d(space, kind, length, rows)
        ggml.ggml_quantize_chunk(kind, weights.ctypes.data, ggml.ggml_get_data(matrix), 0, rows, length, None)
        columns = ggml.ggml_new_tensor_2d(space, _F32, length, len(tokens))
        ctypes.memmove(ggml.ggml_get_data(columns), tokens.ctypes.data, tokens.nbytes)
        products = ggml.ggml_mul_mat(space, matrix, columns)
        graph = ggml.ggml_new_graph(space)
        ggml.ggml_build_forward_expand(graph, products)
        ggml.ggml_graph_compute_with_ctx(space, graph, 1)
        result = numpy.empty((len(tokens), rows), numpy.float32)
        ctypes.memmove(result.ctypes.data, ggml.ggml_get_data(products), result.nbytes)
    return result


class _InitParams(ctypes.Structure):
    """ggml_init_params."""

    _fields_ = (("mem_size", ctypes.c_size_t), ("mem_buffer", ctypes.c_void_p), ("no_alloc", ctypes.c_bool))


@contextmanager
def _ggml_context(ggml: Any) -> Iterator[int]:
    space = ggml.ggml_init(_InitParams(_MEMORY_BYTES, None, False))
    try:
        yield space
    finally:
        ggml.ggml_free(space)


@cache
def _ggml() -> Any:
    """The library with the types of its functions; the Python face of llama.cpp does not name them."""
    ggml = ggml_library()
    pointer, integer = ctypes.c_void_p, ctypes.c_int64
    for name, result, arguments in (
        ("ggml_init", pointer, [_InitParams]),
        ("ggml_free", None, [pointer]),
        ("ggml_new_tensor_2d", pointer, [pointer, ctypes.c_int, integer, integer]),
        ("ggml_get_data", pointer, [pointer]),
        ("ggml_mul_mat", pointer, [pointer, pointer, pointer]),
        ("ggml_new_graph", pointer, [pointer]),
        ("ggml_build_forward_expand", None, [pointer, pointer]),
        ("ggml_graph_compute_with_ctx", ctypes.c_int, [pointer, pointer, ctypes.c_int]),
        (
            "ggml_quantize_chunk",
            ctypes.c_size_t,
            [ctypes.c_int, pointer, pointer, integer, integer, integer, pointer],
        ),
    ):
        function = getattr(ggml, name)
        function.restype, function.argtypes = result, arguments
    return ggml
