"""The parent's end of one reading process: start, request, end."""

import asyncio
import logging
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

import knowledge
from knowledge.reading.frames import (
    FRAME_LIMIT_BYTES,
    HEADER,
    READ_RESPONSE,
    ChildReady,
    ReadRequest,
    ReadResponse,
    pack_frame,
)
from knowledge.reading.settings import ReadingSettings

CHILD_ARGUMENTS = ("-m", "knowledge.reading.child")
_START_LIMIT_S = 60.0
_END_LIMIT_S = 5.0
_PIECE_BYTES = 1 << 18
_KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "TMPDIR", "SYSTEMROOT")
_log = logging.getLogger(__name__)


class ProcessLost(Exception):
    """The reading process ended or broke the protocol; `str()` is the reason, as part of a sentence."""


class ReadingProcess:
    """A running child process. One request at a time; after any error, `kill` it and start another."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self.files_read = 0

    @classmethod
    async def start(cls, settings: ReadingSettings, child: Sequence[str] = CHILD_ARGUMENTS) -> "ReadingProcess":
        """Start a child and wait until it is ready. Raises ProcessLost."""
        try:
            started = await asyncio.create_subprocess_exec(
                *_command(settings, child), stdin=PIPE, stdout=PIPE, env=_environment(), cwd="/", start_new_session=True
            )
        except OSError as error:
            raise ProcessLost(f"it cannot be started: {error.strerror}") from error
        process = cls(started)
        try:
            async with asyncio.timeout(_START_LIMIT_S):
                if not isinstance(await process.receive_frame(), ChildReady):
                    raise ProcessLost("it did not say that it is ready")
        except TimeoutError as error:
            raise ProcessLost(f"it was not ready after {_START_LIMIT_S:.0f} s") from error
        except BaseException:
            await process.kill()
            raise
        return process

    @property
    def is_alive(self) -> bool:
        """Whether the process has not been seen to end."""
        return self._process.returncode is None

    async def send(self, request: ReadRequest, data: bytes = b"") -> None:
        """Send a request, followed by the file's bytes when it has no path."""
        self.files_read += 1
        stdin = self._process.stdin
        assert stdin is not None
        with suppress(ConnectionError):  # `receive_frame` reports a dead process with its exit status
            stdin.write(pack_frame(request))
            for start in range(0, len(data), _PIECE_BYTES):
                stdin.write(data[start : start + _PIECE_BYTES])
                await stdin.drain()
            await stdin.drain()

    async def receive_frame(self) -> ReadResponse:
        """The next frame. Raises ProcessLost when the process dies or sends an invalid frame."""
        stdout = self._process.stdout
        assert stdout is not None
        try:
            (size,) = HEADER.unpack(await stdout.readexactly(HEADER.size))
            if size > FRAME_LIMIT_BYTES:
                raise ProcessLost("it sent an answer beyond all bounds")
            return READ_RESPONSE.validate_json(await stdout.readexactly(size))
        except asyncio.IncompleteReadError as error:
            raise ProcessLost(_exit_description(await self._wait_for_exit())) from error
        except ValidationError as error:
            raise ProcessLost("it sent an answer that makes no sense") from error

    async def kill(self) -> int | None:
        """Kill the process and wait for its end; its exit status, negative for a signal, None if it does not die."""
        with suppress(ProcessLookupError):
            self._process.kill()
        status = await self._wait_for_exit()
        # Unread output would keep the pipe open; asyncio has no public way to close it.
        transport: asyncio.SubprocessTransport = self._process._transport  # type: ignore[attr-defined]
        transport.close()
        return status

    async def close(self) -> None:
        """Let the process end by itself; kill it after a timeout."""
        if self._process.stdin:
            self._process.stdin.close()
        if await self._wait_for_exit() is None:
            await self.kill()

    async def _wait_for_exit(self) -> int | None:
        try:
            async with asyncio.timeout(_END_LIMIT_S):
                return await self._process.wait()
        except TimeoutError:
            _log.warning("Could not end the reading process %d.", self._process.pid)
            return None


def _command(settings: ReadingSettings, child: Sequence[str]) -> list[str]:
    return [sys.executable, *child, str(os.getpid()), settings.model_dump_json()]


def _environment() -> dict[str, str]:
    """The variables that Python needs; no token, key or password of the parent reaches the child."""
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    root = str(Path(knowledge.__file__).parent.parent)
    # One thread: thread pools would only use up the limited address space, and each thread's heap more of it.
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS", "TOKIO_WORKER_THREADS", "MALLOC_ARENA_MAX")
    threads = dict.fromkeys(names, "1")
    quiet = {"ORT_DISABLE_TELEMETRY": "1"}  # onnxruntime reports to its makers, and dies of that in here
    return {**kept, **threads, **quiet, "PYTHONPATH": root, "PYTHONSAFEPATH": "1", "PYTHONUTF8": "1"}


def _exit_description(status: int | None) -> str:
    if status is None:
        return "it does not answer"
    if status == -signal.SIGXCPU:
        return "it used up its computing time"
    if status == -signal.SIGSYS:
        return "it tried to open a network connection"
    if status < 0:
        return f"it was ended by {signal.Signals(-status).name}"
    return f"it ended with status {status}"
