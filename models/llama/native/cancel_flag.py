"""A flag that stops a request, also in the middle of a computation inside llama.cpp."""

import ctypes
from functools import cache
from typing import Any


class CancelFlag:
    """Set from any thread; read by the `llama` thread between steps, and by llama.cpp itself between graph nodes.

    llama.cpp asks `bool callback(void *data)` before every node. A callback in Python would need the interpreter's
    lock a thousand times a token, so the callback is the C library's `strlen` and the data a string of our own: empty
    means go on (0, false), one character means stop (1, true). It works on CPU and Metal; other back ends look at the
    flag between steps only.
    """

    def __init__(self) -> None:
        self._text = ctypes.create_string_buffer(2)

    def set(self) -> None:
        """Stop."""
        self._text[0] = b"x"

    @property
    def is_set(self) -> bool:
        """Whether to stop."""
        return self._text[0] != b"\0"

    @property
    def address(self) -> ctypes.c_void_p:
        """The data of the callback; the flag must outlive its use."""
        return ctypes.cast(self._text, ctypes.c_void_p)


@cache
def abort_callback(callback_type: Any) -> Any:
    """`strlen` as llama.cpp's abort callback."""
    return ctypes.cast(ctypes.CDLL(None).strlen, callback_type)
