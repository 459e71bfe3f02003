"""Bit-by-bit comparison of ggml's CPU kernels: products of several tokens at once against one at a time."""

import ctypes
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy
from numpy.typing import NDArray

from models.llama.native.libllama import ggml_library

_F32 = 0  # ggml_type
CACHE_TYPE = 1
"""The type of the KV cache: half floats."""
# F32, F16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K to Q6_K, IQ4_NL, IQ4_XS, BF16, MXFP4. The others are rare, and some of
# them cannot be quantised from random numbers.
_TESTED_TYPES = frozenset({0, 1, 2, 3, 6, 7, 8, 10, 11, 12, 13, 14, 20, 23, 30, 39})
# Rows and columns of the test matrices: enough for 128 sums of 256 products each, and a length that every kernel
# supports.
_ROWS, _LENGTH = 128, 256
_MEMORY_BYTES = 16 << 20


def untested_types(types: Collection[int]) -> list[int]:
    """Those of the types (ggml's numbers) whose kernels cannot be tested, in order."""
    return sorted(set(types) - _TESTED_TYPES)


def max_equal_batch(types: Collection[int], max_tokens: int) -> int:
    """Number of tokens, from 1 to `max_tokens`, that can be multiplied at once with matrices of these types, with each
    result bit-identical to that of the token alone.

    Tested on random matrices, comparing each type's raw kernel output: in the reply of a model, rounding on the way
    hides most differences, and a few tokens would prove nothing. 1 for types that are not tested. Matrices are tested
    in the layout of their file: repacked ones have other kernels.
    """
    if untested_types(types):
        return 1
    return min((_max_equal(ggml_type, max_tokens) for ggml_type in set(types)), default=1)


def all_batches_equal(types: Collection[int], counts: Collection[int]) -> bool:
    """Whether batches of each of these numbers of tokens give the results of single tokens, as in `max_equal_batch`."""
    if untested_types(types):
        return False
    trials = (_make_trial(ggml_type, max(counts)) for ggml_type in set(types))
    return all(trial.is_equal_batch(count) for trial in trials for count in counts)


def _max_equal(ggml_type: int, max_tokens: int) -> int:
    trial = _make_trial(ggml_type, max_tokens)
    return next((count - 1 for count in range(2, max_tokens + 1) if not trial.is_equal_batch(count)), max_tokens)


@dataclass(frozen=True)
class _Trial:
    """A random matrix of one type, tokens, and their products one at a time."""

    ggml_type: int
    weights: NDArray[numpy.float32]
    tokens: NDArray[numpy.float32]
    one_by_one: NDArray[numpy.float32]

    def is_equal_batch(self, count: int) -> bool:
        """Whether the first `count` tokens have the same products together as one at a time."""
        return bool(
            ggml_matmul(self.ggml_type, self.weights, self.tokens[:count]).tobytes()
            == self.one_by_one[:count].tobytes()
        )


def _make_trial(ggml_type: int, max_tokens: int) -> _Trial:
    rng = numpy.random.default_rng(7)
    weights = rng.standard_normal((_ROWS, _LENGTH), numpy.float32)
    tokens = rng.standard_normal((max_tokens, _LENGTH), numpy.float32)
    one_by_one = numpy.concatenate([ggml_matmul(ggml_type, weights, tokens[n : n + 1]) for n in range(max_tokens)])
    return _Trial(ggml_type, weights, tokens, one_by_one)


def ggml_matmul(ggml_type: int, weights: NDArray[numpy.float32], tokens: NDArray[numpy.float32]) -> Any:
    """llama.cpp's product of weights, shape (rows, length), quantised to this type, and tokens, shape (tokens, length).

    Returns shape (tokens, rows), float32.
    """
    ggml = _ggml()
    rows, length = weights.shape
    with _open_context(ggml) as ggml_context:
        matrix = ggml.ggml_new_tensor_2d(ggml_context, ggml_type, length, rows)
        ggml.ggml_quantize_chunk(ggml_type, weights.ctypes.data, ggml.ggml_get_data(matrix), 0, rows, length, None)
        columns = ggml.ggml_new_tensor_2d(ggml_context, _F32, length, len(tokens))
        ctypes.memmove(ggml.ggml_get_data(columns), tokens.ctypes.data, tokens.nbytes)
        products = ggml.ggml_mul_mat(ggml_context, matrix, columns)
        graph = ggml.ggml_new_graph(ggml_context)
        ggml.ggml_build_forward_expand(graph, products)
        ggml.ggml_graph_compute_with_ctx(ggml_context, graph, 1)
        result = numpy.empty((len(tokens), rows), numpy.float32)
        ctypes.memmove(result.ctypes.data, ggml.ggml_get_data(products), result.nbytes)
    return result


class _InitParams(ctypes.Structure):
    """ggml_init_params."""

    _fields_ = (("mem_size", ctypes.c_size_t), ("mem_buffer", ctypes.c_void_p), ("no_alloc", ctypes.c_bool))


@contextmanager
def _open_context(ggml: Any) -> Iterator[int]:
    ggml_context = ggml.ggml_init(_InitParams(_MEMORY_BYTES, None, False))
    try:
        yield ggml_context
    finally:
        ggml.ggml_free(ggml_context)


@cache
def _ggml() -> Any:
    """The library with the signatures of its functions; the Python bindings of llama.cpp do not declare them."""
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
