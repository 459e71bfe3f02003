"""The llama.cpp library: imported late, with its threads told not to spin and its log sent to ours."""

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
def library() -> Any:
    """The module `llama_cpp`, ready to use; the first call takes about a second, so keep it off the event loop."""
    _calm_threads()
    import llama_cpp

    llama_cpp.llama_log_set(_log_callback(llama_cpp), None)
    llama_cpp.llama_backend_init()
    return llama_cpp


@cache
def ggml_library() -> Any:
    """The loaded ggml library below llama.cpp, for what its Python face leaves out."""
    library()
    from llama_cpp import _ggml

    return _ggml.libggml


def _calm_threads() -> None:
    """Let OpenMP's threads spin only briefly at barriers, then sleep; the library reads this once, when it is loaded.

    A spinning thread keeps its core from the one it waits for as soon as anything else runs; a sleeping one takes long
    to wake up. Milliseconds for a token of SmolLM2-135M on 2 cores, median, machine to itself / beside a busy process:
    passive 22-30 / 21, 200 spins 22 / 22, 1,000 spins 12.5 / 32, 2,000 spins 11-12 / 42-52, 5,000 spins 12 / 61, active
    11 / 36-260. A house is mostly quiet, so: fast there, and a third of the speed beside a busy neighbour.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")


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
def errors_noted() -> Iterator[list[str]]:
    """Collects what llama.cpp logs as errors; the list is filled when the block ends."""
    _recent_errors.clear()
    noted: list[str] = []
    try:
        yield noted
    finally:
        noted.extend(_recent_errors)
