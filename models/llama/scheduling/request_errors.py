"""Errors that end one request, and never the inference thread."""

import ctypes
import logging
import traceback

from models.engine import EngineFailed

_log = logging.getLogger(__name__)

REQUEST_ERRORS = (
    EngineFailed,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    ctypes.ArgumentError,
)
"""Every error that Python code and llama.cpp's bindings raise for a value they did not expect."""


def request_failure(error: Exception) -> EngineFailed:
    """The error as the person who asked is told it; one that was not foreseen goes to the log."""
    if isinstance(error, EngineFailed):
        return error
    _log.error("Could not answer a request: %s.", describe_failure(error))
    if isinstance(error, MemoryError):
        return EngineFailed("There is too little memory for this request.")
    return EngineFailed("The model failed on this request; the log says where.")


def describe_failure(error: Exception) -> str:
    """The class of an error and the place where it was raised, without its text, which may hold a message's."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" in {frames[-1].filename.rpartition('/')[2]}, line {frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{where}"
