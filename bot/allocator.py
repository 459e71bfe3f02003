"""The C library's memory allocator: large blocks go back to the system when they are freed."""

import ctypes
import sys

_M_MMAP_THRESHOLD = -3  # malloc.h of glibc
_LARGE_BYTES = 4 << 20


def return_large_blocks() -> bool:
    """Have glibc map each block of four megabytes or more by itself; False where the C library is another one.

    By default it raises that limit to 32 MB as soon as such a block is freed, and keeps the next ones: states of
    conversations and the buffers of embedding models left 200 MB in a process that needs 500.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    return mallopt is not None and bool(mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES))
