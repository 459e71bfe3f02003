"""Flag that cancels a request, even in the middle of a computation inside llama.cpp."""

import ctypes
from functools import cache
from typing import Any


class CancelFlag:
    """Set from any thread; read by the inference thread between steps, and by llama.cpp itself between graph nodes.

    llama.cpp calls `bool callback(void *data)` before every node. A callback in Python would need the interpreter lock
    a thousand times per token, so the callback is the C library's `strlen` and the data a string: empty for continue
    (0, false), one character for abort (1, true). It works on CPU and Metal; other backends abort between steps only.
    """

    def __init__(self) -> None:
        self._text = ctypes.create_string_buffer(2)

    def set(self) -> None:
        """Cancel the request."""
        self._text[0] = b"x"

    @property
    def is_set(self) -> bool:
        """Whether the request is cancelled."""
        return self._text[0] != b"\0"

    @property
    def address(self) -> ctypes.c_void_p:
        """The callback's data pointer; the flag must outlive its use."""
        return ctypes.cast(self._text, ctypes.c_void_p)


@cache
def abort_callback(callback_type: Any) -> Any:
    """`strlen` as llama.cpp's abort callback."""
    return ctypes.cast(ctypes.CDLL(None).strlen, callback_type)
