"""Denial of network access and of other programs to the reading process, for Python and for native code."""

import ctypes
import errno
import platform
import struct
import sys
from typing import Any

_PR_SET_SECCOMP = 22
_SECCOMP_MODE_FILTER = 2
_SECCOMP_SET_MODE_FILTER = 1
_SECCOMP_FILTER_FLAG_TSYNC = 1
_KILL_PROCESS = 0x80000000
_REFUSE = 0x00050000 | errno.EACCES
_ALLOW = 0x7FFF0000
_LOAD = 0x20
_JUMP_IF_EQUAL = 0x15
_RETURN = 0x06
_NUMBER_AT, _ARCHITECTURE_AT, _FIRST_ARGUMENT_AT = 0, 4, 16
_LOCAL_FAMILY = 1
"""AF_UNIX: libraries of the system look for local services, which is refused; any other family ends the process."""


class _SystemCalls:
    """Numbers of the system calls of one architecture."""

    def __init__(self, audit: int, seccomp: int, sock: int, refused: tuple[int, ...]) -> None:
        self.audit, self.seccomp, self.sock, self.refused = audit, seccomp, sock, refused


# Refused: connect, execve, execveat, io_uring_setup (which opens sockets, too) and ptrace.
_CALLS = {
    "x86_64": _SystemCalls(0xC000003E, 317, 41, (42, 59, 322, 425, 101)),
    "aarch64": _SystemCalls(0xC00000B7, 277, 198, (203, 221, 281, 425, 117)),
}
_AUDITED = frozenset(
    {"socket.connect", "socket.getaddrinfo", "socket.bind", "subprocess.Popen", "os.exec", "os.system"}
)


class NetworkDenied(Exception):
    """A parser tried to open a connection or to start a program."""


def deny_network() -> None:
    """Deny connections and other programs to this process, all its threads and all it loads, for good.

    On Linux the kernel ends the process when it opens a socket; elsewhere only Python code is kept from it.
    """
    sys.addaudithook(_refuse_event)
    calls = _CALLS.get(platform.machine())
    if sys.platform == "linux" and calls and sys.maxsize > 2**32:
        _install_filter(calls)


def _refuse_event(event: str, _arguments: tuple[Any, ...]) -> None:
    if event in _AUDITED:
        raise NetworkDenied(event)


def _install_filter(calls: _SystemCalls) -> None:
    program = _program(calls)
    code = ctypes.create_string_buffer(b"".join(program))
    described = struct.pack("HxxxxxxP", len(program), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    # For all threads, also those that parsers have started already; on old kernels for this one and its later ones.
    if libc.syscall(calls.seccomp, _SECCOMP_SET_MODE_FILTER, _SECCOMP_FILTER_FLAG_TSYNC, described):
        libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, described, 0, 0)


def _program(calls: _SystemCalls) -> list[bytes]:
    """The filter in the kernel's machine code: `socket` ends the process, other calls are refused or allowed."""
    refused = calls.refused
    return [
        _statement(_LOAD, _ARCHITECTURE_AT),
        _jump(calls.audit, 1, 0),
        _statement(_RETURN, _KILL_PROCESS),  # system calls of another architecture
        _statement(_LOAD, _NUMBER_AT),
        *(_jump(number, len(refused) - place + 4, 0) for place, number in enumerate(refused)),
        _jump(calls.sock, 1, 0),
        _statement(_RETURN, _ALLOW),
        _statement(_LOAD, _FIRST_ARGUMENT_AT),
        _jump(_LOCAL_FAMILY, 1, 0),
        _statement(_RETURN, _KILL_PROCESS),
        _statement(_RETURN, _REFUSE),
    ]


def _statement(code: int, value: int) -> bytes:
    return struct.pack("HBBI", code, 0, 0, value)


def _jump(value: int, if_equal: int, otherwise: int) -> bytes:
    return struct.pack("HBBI", _JUMP_IF_EQUAL, if_equal, otherwise, value)
