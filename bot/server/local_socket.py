"""The Unix socket in the data folder, through which the program's commands reach the process that owns the folder."""

import asyncio
import json
import logging
import os
import socket
import sqlite3
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager, suppress
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from adapters.json_lines.channel import StreamChannel
from bot.core.errors import ReplyFailed, is_user_facing

SOCKET_NAME = "hearth.sock"
MAX_PATH_BYTES = 100
"""Length of a socket's path that every system accepts: Linux takes 107 bytes, macOS 103."""

SocketRequest = Mapping[str, Any]
CommandHandler = Callable[[StreamChannel, SocketRequest], Awaitable[None]]
"""Handles one command of a client and writes events to its channel. May raise anything: the client is told of an error
with an event of that name, and its connection is closed.
"""

SYSTEM_ERRORS = (sqlite3.Error, OSError)
"""Errors of the system, reported to the client with the system's own message."""
UNFORESEEN = "Something went wrong inside Hearth. Its log says what."

log = logging.getLogger(__name__)


class LocalServer:
    """Listens between `listen` and `stop`; a client's first line names its command.

    `stop` cancels running requests; `close` then closes the connections, so that answers can still be written in
    between.
    """

    def __init__(self, folder: Path, line_bytes: int) -> None:
        self._path = folder / SOCKET_NAME
        self._line_bytes = line_bytes
        self._commands: Mapping[str, CommandHandler] = {}
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()
        self._channels: set[StreamChannel] = set()

    async def listen(self, commands: Mapping[str, CommandHandler]) -> None:
        """Accept clients. The caller owns the folder, so an existing socket is that of a dead process."""
        self._commands = commands
        self._path.unlink(missing_ok=True)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with _socket_address(self._path) as address:
            listening.bind(address)
        self._path.chmod(0o600)
        self._server = await asyncio.start_unix_server(self._on_connected, sock=listening)

    async def stop(self) -> None:
        """Accept no further clients, and cancel the running requests."""
        if self._server is not None:
            self._server.close()
            self._path.unlink(missing_ok=True)
        for client in self._clients:
            client.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)

    async def close(self) -> None:
        """Close all connections."""
        await asyncio.gather(*(channel.close() for channel in self._channels))
        self._channels.clear()

    def _on_connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        channel = StreamChannel(reader, writer, self._line_bytes)
        self._channels.add(channel)
        task = asyncio.create_task(self._serve(channel))
        self._clients.add(task)
        task.add_done_callback(self._clients.discard)

    async def _serve(self, channel: StreamChannel) -> None:
        """Serve a client, and close its connection whatever happens; only `stop` leaves it to `close`."""
        handling = asyncio.create_task(self._handle(channel))
        try:
            await asyncio.wait({handling})
        except asyncio.CancelledError:
            handling.cancel()
            await asyncio.wait({handling})
            raise
        error = asyncio.CancelledError() if handling.cancelled() else handling.exception()
        if error is not None:
            await _report_error(channel, error)
        await channel.close()
        self._channels.discard(channel)

    async def _handle(self, channel: StreamChannel) -> None:
        async with aclosing(channel.read_lines()) as lines:
            line = await anext(lines, b"") or b""
        request = parse_request_line(line)
        command = self._commands.get(str(request.get("command")))
        if command is None:
            known = ", ".join(sorted(self._commands))
            await channel.write_event({"event": "error", "sentence": f"The first line must name a command: {known}."})
        else:
            await command(channel, request)


async def _report_error(channel: StreamChannel, error: BaseException) -> None:
    """Write the error of a command to its client, as the last event; log one that is a bug."""
    if isinstance(error, ReplyFailed):
        log.debug("Lost a client of the local socket: %s", error)
        return
    sentence = error_sentence(error)
    if sentence is None:
        log.error("Could not handle a command of the local socket", exc_info=error)
    with suppress(ReplyFailed):
        await channel.write_event({"event": "error", "sentence": sentence or UNFORESEEN})


def error_sentence(error: BaseException) -> str | None:
    """The sentence about an error for the client that caused or met it; None for a bug."""
    if isinstance(error, asyncio.CancelledError):
        return "Hearth stopped this: it is ending. Ask again when it runs."
    if isinstance(error, ValidationError):
        faults = error.errors(include_input=False, include_url=False)
        return "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in faults) + "."
    return str(error) if isinstance(error, SYSTEM_ERRORS) or is_user_facing(error) else None


def parse_request_line(line: bytes) -> SocketRequest:
    """The JSON object in a line, empty when there is none."""
    with suppress(ValueError, RecursionError):
        content = json.loads(line)
        if isinstance(content, dict):
            return content
    return {}


async def connect_to_daemon(folder: Path, line_bytes: int) -> StreamChannel | None:
    """A connection to the process that owns the folder; None when no process listens there."""
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _socket_address(folder / SOCKET_NAME) as address:
            client.connect(address)
    except OSError:
        client.close()
        return None
    client.setblocking(False)
    reader, writer = await asyncio.open_unix_connection(sock=client)
    return StreamChannel(reader, writer, line_bytes)


@contextmanager
def _socket_address(path: Path) -> Iterator[str]:
    """A name for the socket that fits into its address: through the open folder when the path is too long."""
    if len(os.fsencode(path)) <= MAX_PATH_BYTES:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
