"""The llama.cpp library: imported late, with the spin count of its threads set and its log redirected."""

import logging
import os
import re
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

from models.engine import ModelUnusable

_log = logging.getLogger(__name__)
_ERROR_LEVEL, _CONTINUED_LEVEL = 4, 5  # GGML_LOG_LEVEL_ERROR, GGML_LOG_LEVEL_CONT
# In what ggml and its backends log when an allocation fails.
_OUT_OF_MEMORY = re.compile(r"alloc|out of memory|OutOfMemory|insufficient memory", re.IGNORECASE)

_recent_errors: deque[str] = deque(maxlen=64)
_captures: set[int] = set()
"""The captures of errors under way."""


@cache
def llama_library() -> Any:
    """The initialised module `llama_cpp`; the first call takes about a second, so keep it off the event loop."""
    _set_spin_count()
    import llama_cpp

    llama_cpp.llama_log_set(_log_callback(llama_cpp), None)
    llama_cpp.llama_backend_init()
    return llama_cpp


@cache
def ggml_library() -> Any:
    """The loaded ggml library that llama.cpp is built on, for functions that its Python bindings omit."""
    llama_library()
    from llama_cpp import _ggml

    return _ggml.libggml


def _set_spin_count() -> None:
    """Let OpenMP threads spin for some milliseconds at barriers before they sleep; the library reads the variable once,
    when it is loaded.

    That is longer than the time between two steps, and a sleeping thread takes long to wake up: 5 to 15 % of a stream.
    With a busy process on the machine there are fewer threads, each with a core of its own: see `compute_threads.py`.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "100000")


@cache
def _log_callback(llama_cpp: Any) -> Any:
    """The log callback; cached, because llama.cpp keeps only its address."""

    last_level = 0

    def write(level: int, text: bytes, _: object) -> None:
        nonlocal last_level
        last_level = level if level != _CONTINUED_LEVEL else last_level
        line = text.decode("utf-8", errors="replace").strip()
        if line:
            if _captures:
                _log.debug("%s", line)
            if last_level == _ERROR_LEVEL:
                _recent_errors.append(line)

    return llama_cpp.llama_log_callback(write)


class AllocationFailed(ModelUnusable):
    """llama.cpp got too little memory, in main memory or on a GPU."""


def model_unusable(what: str, errors: Sequence[str], path: str) -> ModelUnusable:
    """The error for something that llama.cpp could not do: `what`, a sentence without its end, and its own reason."""
    reason = "; ".join(errors) or "it gave no reason"
    kind = AllocationFailed if any(_OUT_OF_MEMORY.search(error) for error in errors) else ModelUnusable
    return kind(f"{what}; llama.cpp says: {reason}", path)


@contextmanager
def capture_errors() -> Iterator[list[str]]:
    """Collects what llama.cpp logs as errors; the list is filled when the block ends, the last error first: that one
    ended the call, and the others led to it.

    Only in such a block, while a model is loaded, do its lines go to our log too: later ones can quote a grammar or
    the tokens of a prompt.
    """
    _recent_errors.clear()
    errors: list[str] = []
    _captures.add(id(errors))
    try:
        yield errors
    finally:
        _captures.discard(id(errors))
        errors.extend(reversed(_recent_errors))
