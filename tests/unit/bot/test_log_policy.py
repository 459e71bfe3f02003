"""The log at debug, with real loggers of real libraries: whatever they are made to write, no text is in it."""

import asyncio
import io
import logging
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import aiosqlite
import nio
import pytest
from aiohttp import web
from discord.state import ConnectionState

from knowledge.reader import FileUnreadable
from tests.fakes.logs import captured_log

SECRET = "ZEBRAWORD"


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What reaches the log at level debug, while the libraries are told to write everything."""
    with captured_log() as captured:
        yield captured.written


async def test_statements_and_their_parameters_are_not_logged(log: io.StringIO, tmp_path: Path) -> None:
    async with aiosqlite.connect(tmp_path / "x.sqlite3") as database:
        await database.execute("CREATE TABLE messages (text)")
        await database.execute("INSERT INTO messages VALUES (?)", (SECRET,))
    assert log.getvalue() == ""


async def test_a_response_of_a_homeserver_is_not_quoted(log: io.StringIO) -> None:
    nio.RoomMessagesResponse.from_dict({"chunk": SECRET, "start": 7}, "!room:example.org")
    assert SECRET not in log.getvalue()
    assert "WARNING nio.responses" in log.getvalue()


@pytest.fixture
async def failing_server() -> AsyncIterator[str]:
    async def fail(request: web.Request) -> web.Response:
        raise ValueError(await request.text())

    app = web.Application()
    app.router.add_post("/{rest:.*}", fail)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_neither_a_request_nor_the_error_of_its_handler_is_quoted(log: io.StringIO, failing_server: str) -> None:
    address = f"{failing_server}/{SECRET}?token={SECRET}"
    async with aiohttp.ClientSession() as client, client.post(address, data=SECRET) as response:
        assert response.status == 500
    written = log.getvalue()
    assert SECRET not in written
    assert "ERROR aiohttp.server" in written
    assert "raise ValueError(await request.text())" in written
    assert "ValueError (text left out)" in written


def test_an_event_of_the_gateway_is_not_quoted(log: io.StringIO) -> None:
    real = logging.getLogger(ConnectionState.__module__)
    real.debug("PRESENCE_UPDATE referencing an unknown guild ID: %s. Discarding.", SECRET)
    logging.getLogger("discord.gateway").debug("For Shard ID %s: WebSocket Event: %s", None, SECRET)
    logging.getLogger("discord.http").warning("We are being rate limited. %s %s responded with 429.", "POST", SECRET)
    written = log.getvalue()
    assert SECRET not in written
    assert "We are being rate limited. %s %s responded with 429." in written
    assert len(written.splitlines()) == 1


async def test_the_error_of_a_task_that_nobody_awaited_is_not_quoted(log: io.StringIO) -> None:
    async def fail() -> None:
        raise KeyError(SECRET)

    task = asyncio.ensure_future(fail())
    await asyncio.wait([task])
    loop = asyncio.get_running_loop()
    loop.default_exception_handler({"message": f"of {SECRET}", "exception": task.exception(), "task": task})
    assert SECRET not in log.getvalue()
    assert "ERROR asyncio" in log.getvalue()


def test_our_own_loggers_write_and_errors_tell_only_their_own_sentences(log: io.StringIO) -> None:
    own = logging.getLogger("bot.core.message_task")
    own.debug("Could not answer %s: %s", "console:local", FileUnreadable("The file is gone."))
    try:
        try:
            int(SECRET)
        except ValueError as error:
            raise FileUnreadable("It holds no number.") from error
    except FileUnreadable as error:
        own.error("Could not answer %s", "console:local", exc_info=error)
    own.error("Could not write", exc_info=PermissionError(13, "Permission denied", "notes"))
    own.error("Could not finish", exc_info=ExceptionGroup(SECRET, [ValueError(SECRET), OSError(28, "No space left")]))
    written = log.getvalue()
    assert SECRET not in written
    for told in (
        "console:local: The file is gone.",
        "int(SECRET)",
        "FileUnreadable: It holds no number.",
        "which led to:",
    ):
        assert told in written.replace(SECRET, "")
    assert "PermissionError: [Errno 13] Permission denied: 'notes'" in written
    assert "No space left" in written


def test_an_error_that_ends_the_program_is_not_quoted(log: io.StringIO) -> None:
    try:
        int(SECRET)
    except ValueError as error:
        sys.excepthook(type(error), error, error.__traceback__)
    assert SECRET not in log.getvalue()
    assert "CRITICAL bot.log_policy: Stopped by an unforeseen error" in log.getvalue()


def test_an_error_of_a_thread_is_not_quoted(log: io.StringIO) -> None:
    try:
        int(SECRET)
    except ValueError as error:
        arguments = threading.ExceptHookArgs((type(error), error, error.__traceback__, threading.current_thread()))
        threading.excepthook(arguments)
    assert SECRET not in log.getvalue()
    assert "CRITICAL bot.log_policy: Lost a thread to an unforeseen error" in log.getvalue()
