"""Server-sent events of one answer: sent as it is written, kept alive while it waits, cut when nobody reads."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Protocol

from aiohttp import web

from bot.core.api_completions import CompletionItem
from bot.openai.errors import RequestError, to_request_error
from models.engine import EngineFailed, PromptTooLong

log = logging.getLogger(__name__)

KEEP_ALIVE = b": waiting\n\n"
KEEP_ALIVE_S = 10.0
"""Interval of keep-alive comments in a waiting stream: clients and proxies time out without data."""

READ_WITHIN_S = 30.0
"""Time for a client to read enough that the next piece of its answer fits; then its connection is cut."""

Items = AsyncGenerator[CompletionItem, None]


class AnswerEvents(Protocol):
    """Encodes one answer as events."""

    def begin(self) -> bytes:
        """The events before the first piece."""
        ...

    def encode(self, item: CompletionItem) -> bytes:
        """The events of a piece, or of the end with all that follows it."""
        ...

    def fail(self, error: RequestError) -> bytes:
        """The events of a failure after the beginning."""
        ...


class EventStream:
    """One answer as server-sent events."""

    def __init__(self, request: web.Request, events: AnswerEvents) -> None:
        self._request = request
        self._events = events
        self._writing = asyncio.Lock()
        self._written_s = time.monotonic()
        self._response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        )

    async def send(self, items: Items) -> web.StreamResponse:
        """Send the whole answer. Raises RequestError for a failure before the first byte."""
        try:
            await self._send_with_keep_alive(items)
        except ConnectionResetError as error:
            log.debug("Stopped an answer: the client has disconnected. %s", error)
        except (PromptTooLong, EngineFailed, TimeoutError) as error:
            request_error = to_request_error(error)
            if not self._response.prepared:
                raise request_error from error
            with suppress(ConnectionResetError):
                async with reading(self._request):
                    await self._response.write(self._events.fail(request_error))
        return self._response

    async def _send_with_keep_alive(self, items: Items) -> None:
        """Send the items, and a keep-alive comment after each interval without one."""
        # One task for all items: a task per item was most of a token's cost on the cores that also run the model.
        sending = asyncio.create_task(self._send_all(items))
        try:
            while not sending.done():
                if (left_s := KEEP_ALIVE_S - self._quiet_s()) > 0:
                    await asyncio.wait({sending}, timeout=left_s)
                else:
                    await self._write(lambda: KEEP_ALIVE)
            sending.result()
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    async def _send_all(self, items: Items) -> None:
        async for item in items:
            await self._write(partial(self._events.encode, item))

    def _quiet_s(self) -> float:
        # A write blocked by a slow reader needs no keep-alive: it would only queue up after it.
        return 0.0 if self._writing.locked() else time.monotonic() - self._written_s

    async def _write(self, encode: Callable[[], bytes]) -> None:
        async with self._writing, reading(self._request):
            if not self._response.prepared:
                await self._response.prepare(self._request)
                await self._response.write(self._events.begin())
            await self._response.write(encode())
            self._written_s = time.monotonic()


async def send_whole(request: web.Request, response: web.Response) -> None:
    """Send a response here and not in aiohttp, which would wait for a slow reader for ever."""
    with suppress(ConnectionResetError):
        async with reading(request):
            await response.prepare(request)
            await response.write_eof()


@asynccontextmanager
async def reading(request: web.Request) -> AsyncIterator[None]:
    """Give the client `READ_WITHIN_S` to read. Raises ConnectionResetError after cutting the connection."""
    try:
        async with asyncio.timeout(READ_WITHIN_S):
            yield
    except TimeoutError as error:
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionResetError(f"The client has not read for {READ_WITHIN_S:g} s.") from error
