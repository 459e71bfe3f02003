"""Knows when every answer that may still come has come."""

import asyncio
import itertools
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Any


class Pending:
    """Counts replies that somebody may still speak through.

    The core says nothing about a message that it ignores or has seen before: it just drops the reply. So a reply counts
    until it has ended, or until nothing refers to it any more.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._numbers = itertools.count()
        self._open: set[int] = set()
        self._none = asyncio.Event()
        self._none.set()

    def ticket(self) -> tuple[int, Callable[[], None]]:
        """A number for a new reply, and what to call when it has ended."""
        number = next(self._numbers)
        self._open.add(number)
        self._none.clear()
        return number, lambda: self._close(number)

    def watch(self, reply: Any, number: int) -> None:
        """Also count the reply as ended when it is dropped."""
        weakref.finalize(reply, self._dropped, number).atexit = False

    async def none(self) -> None:
        """Wait until no answer can come any more."""
        await self._none.wait()

    def _dropped(self, number: int) -> None:
        # The garbage collector runs in whichever thread is at work, and perhaps after the loop has closed.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._close, number)

    def _close(self, number: int) -> None:
        self._open.discard(number)
        if not self._open:
            self._none.set()
