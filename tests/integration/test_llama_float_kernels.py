"""Products of floats, as in attention: right for every shape; patched, the same for one token as for many."""

import ctypes
import platform
from importlib.metadata import version

import numpy
import pytest

from models.llama.loading import kernel_equivalence
from models.llama.native.libllama import llama_library

_F32, _F16 = 0, 1
_IS_PATCHED_X86 = "+hearth" in version("llama-cpp-python") and platform.machine() == "x86_64"


@pytest.mark.parametrize("ggml_type", [_F32, _F16])
def test_the_patched_build_computes_any_number_of_tokens_as_it_computes_one(ggml_type: int) -> None:
    llama_library()
    # Without the patch llama.cpp has another kernel from 2 tokens on, or from 4 or 8.
    assert kernel_equivalence.max_equal_batch({ggml_type}, 40) >= (40 if _IS_PATCHED_X86 else 1)


@pytest.mark.parametrize("ggml_type", [_F32, _F16])
@pytest.mark.parametrize(("rows", "length"), [(1, 32), (4, 64), (6, 96), (64, 128), (100, 80), (256, 256)])
def test_products_of_every_shape_are_right(ggml_type: int, rows: int, length: int) -> None:
    llama_library()
    rng = numpy.random.default_rng(rows)
    weights = rng.standard_normal((rows, length), numpy.float32)
    tokens = rng.standard_normal((25, length), numpy.float32)
    for count in (1, 2, 3, 4, 5, 7, 8, 12, 13, 25):
        products = kernel_equivalence.ggml_matmul(ggml_type, weights, tokens[:count])
        assert numpy.abs(products - tokens[:count] @ weights.T).max() < 0.004 * length**0.5, count


@pytest.mark.parametrize(("tokens", "cells"), [(1, 256), (1, 64), (3, 128), (9, 256), (33, 64)])
@pytest.mark.parametrize("threads", [1, 3])
def test_heads_that_share_a_head_of_the_cache_have_the_products_of_each_alone(
    tokens: int, cells: int, threads: int
) -> None:
    llama_library()
    ggml = kernel_equivalence._ggml()
    ggml.ggml_new_tensor_3d.restype = ctypes.c_void_p
    ggml.ggml_new_tensor_3d.argtypes = [ctypes.c_void_p, ctypes.c_int, *[ctypes.c_int64] * 3]
    shared, heads, length = 2, 8, 64
    rng = numpy.random.default_rng(tokens)
    keys = rng.standard_normal((shared, cells, length), numpy.float32).astype(numpy.float16)
    queries = rng.standard_normal((heads, tokens, length), numpy.float32)
    with kernel_equivalence._open_context(ggml) as context:
        cache = ggml.ggml_new_tensor_3d(context, _F16, length, cells, shared)
        ctypes.memmove(ggml.ggml_get_data(cache), keys.ctypes.data, keys.nbytes)
        columns = ggml.ggml_new_tensor_3d(context, _F32, length, tokens, heads)
        ctypes.memmove(ggml.ggml_get_data(columns), queries.ctypes.data, queries.nbytes)
        products = ggml.ggml_mul_mat(context, cache, columns)
        graph = ggml.ggml_new_graph(context)
        ggml.ggml_build_forward_expand(graph, products)
        ggml.ggml_graph_compute_with_ctx(context, graph, threads)
        result = numpy.empty((heads, tokens, cells), numpy.float32)
        ctypes.memmove(result.ctypes.data, ggml.ggml_get_data(products), result.nbytes)
    for head in range(heads):
        expected = queries[head] @ keys[head * shared // heads].astype(numpy.float32).T
        assert numpy.abs(result[head] - expected).max() < 0.004 * length**0.5, head
