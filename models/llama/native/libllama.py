"""The llama.cpp library: imported late, with its threads told how long to spin and its log sent to ours."""

import logging
import os
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

_log = logging.getLogger(__name__)
_ERROR_LEVEL = 3  # GGML_LOG_LEVEL_ERROR

_recent_errors: deque[str] = deque(maxlen=8)


@cache
def llama_library() -> Any:
    """The module `llama_cpp`, ready to use; the first call takes about a second, so keep it off the event loop."""
    _set_spin_count()
    import llama_cpp

    llama_cpp.llama_log_set(_log_callback(llama_cpp), None)
    llama_cpp.llama_backend_init()
    return llama_cpp


@cache
def ggml_library() -> Any:
    """The loaded ggml library below llama.cpp, for what its Python face leaves out."""
    llama_library()
    from llama_cpp import _ggml

    return _ggml.libggml


def _set_spin_count() -> None:
    """Let OpenMP's threads spin for some milliseconds at barriers before they sleep; the library reads this once, when
    it is loaded.

    That is longer than what happens between two steps, and a thread that sleeps takes long to wake up: 5 to 15 % of a
    stream. Beside a busy process a spinning thread keeps its core from the one that it waits for: see `spinning.py`.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "100000")


@cache
def _log_callback(llama_cpp: Any) -> Any:
    """The callback; cached, because llama.cpp keeps only its address."""

    def write(level: int, text: bytes, _: object) -> None:
        line = text.decode("utf-8", errors="replace").strip()
        if line:
            _log.debug("%s", line)
            if level == _ERROR_LEVEL:
                _recent_errors.append(line)

    return llama_cpp.llama_log_callback(write)


@contextmanager
def capture_errors() -> Iterator[list[str]]:
    """Collects what llama.cpp logs as errors; the list is filled when the block ends."""
    _recent_errors.clear()
    noted: list[str] = []
    try:
        yield noted
    finally:
        noted.extend(_recent_errors)
