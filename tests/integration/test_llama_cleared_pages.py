"""A cleared buffer of llama.cpp reads as zeros; with Hearth's patch it takes up no memory until it is written."""

import ctypes
import sys
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import numpy
import psutil
import pytest
from numpy.typing import NDArray

from models.llama.native.libllama import ggml_library

# Odd, so that the buffer ends within a page; large enough for memory of its own.
_SIZE_BYTES = (64 << 20) + 12_345


@pytest.fixture
def ggml() -> Any:
    ggml = ggml_library()
    for name, result, arguments in (
        ("ggml_backend_cpu_buffer_type", ctypes.c_void_p, []),
        ("ggml_backend_buft_alloc_buffer", ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_size_t]),
        ("ggml_backend_cpu_buffer_from_ptr", ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_size_t]),
        ("ggml_backend_buffer_get_base", ctypes.c_void_p, [ctypes.c_void_p]),
        ("ggml_backend_buffer_clear", None, [ctypes.c_void_p, ctypes.c_uint8]),
        ("ggml_backend_buffer_free", None, [ctypes.c_void_p]),
    ):
        function = getattr(ggml, name)
        function.restype, function.argtypes = result, arguments
    return ggml


@pytest.fixture
def buffer(ggml: Any) -> Iterator[int]:
    buffer = ggml.ggml_backend_buft_alloc_buffer(ggml.ggml_backend_cpu_buffer_type(), _SIZE_BYTES)
    yield buffer
    ggml.ggml_backend_buffer_free(buffer)


def _contents(ggml: Any, buffer: int, size_bytes: int = _SIZE_BYTES) -> NDArray[numpy.uint8]:
    """The bytes of the buffer, not a copy."""
    base = ggml.ggml_backend_buffer_get_base(buffer)
    return numpy.ctypeslib.as_array((ctypes.c_uint8 * size_bytes).from_address(base))


@pytest.mark.parametrize("value", [0, 7])
def test_every_byte_of_a_cleared_buffer_has_the_value(ggml: Any, buffer: int, value: int) -> None:
    contents = _contents(ggml, buffer)
    for _ in range(2):
        contents[:] = 0xAB
        ggml.ggml_backend_buffer_clear(buffer, value)
        assert (contents == value).all()


def test_what_is_written_after_clearing_stays(ggml: Any, buffer: int) -> None:
    ggml.ggml_backend_buffer_clear(buffer, 0)
    contents = _contents(ggml, buffer)
    contents[::4096] = 1
    assert int(contents.sum()) == len(contents[::4096])


def test_memory_of_others_is_cleared_in_place(ggml: Any) -> None:
    size_bytes, around = 4 << 20, 1 << 12
    memory = numpy.full(size_bytes + 2 * around, 0xAB, numpy.uint8)
    begin = around + -(memory.ctypes.data + around) % 64
    buffer = ggml.ggml_backend_cpu_buffer_from_ptr(memory.ctypes.data + begin, size_bytes)
    ggml.ggml_backend_buffer_clear(buffer, 0)
    ggml.ggml_backend_buffer_free(buffer)
    assert not memory[begin : begin + size_bytes].any()
    assert (memory[:begin] == 0xAB).all()
    assert (memory[begin + size_bytes :] == 0xAB).all()


def test_the_patched_build_gives_the_pages_of_a_cleared_buffer_back(ggml: Any, buffer: int) -> None:
    process = psutil.Process()
    _contents(ggml, buffer)[:] = 0xAB
    written_bytes = process.memory_info().rss
    ggml.ggml_backend_buffer_clear(buffer, 0)
    given_back_bytes = written_bytes - process.memory_info().rss
    is_patched = "+hearth" in version("llama-cpp-python") and sys.platform == "linux"
    assert (given_back_bytes > _SIZE_BYTES // 2) == is_patched
