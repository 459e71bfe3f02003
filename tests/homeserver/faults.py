"""What goes wrong between a program and its homeserver: limits, errors, lost connections, late and altered words."""

import asyncio
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from types import TracebackType
from typing import Any, Self

Change = Callable[[Any], Any]


class Kind(Enum):
    ANSWER = auto()
    REFUSE_CONNECTION = auto()
    LOSE_ANSWER = auto()
    HOLD = auto()
    POSTPONE = auto()
    ALTER = auto()


@dataclass
class Fault:
    """One fault, for the requests it covers, until its times or its time are over or it is stopped.

    As a context manager it is in force for the block. `hits` counts what it struck; `held` what waits now.
    """

    kind: Kind
    path: re.Pattern[str]
    method: str = ""
    times: int | None = None
    until: float | None = None
    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    change: Change | None = None
    hits: int = 0
    held: int = 0
    _released: asyncio.Event = field(default_factory=asyncio.Event)

    def covers(self, method: str, path: str) -> bool:
        """Whether it strikes this request."""
        if self._released.is_set() or (self.times is not None and self.hits >= self.times):
            return False
        if self.until is not None and time.monotonic() >= self.until:
            return False
        return self.method in ("", method) and self.path.search(path) is not None

    def stop(self) -> None:
        """End it; what it holds goes on."""
        self._released.set()

    release = stop

    async def wait(self) -> None:
        """Wait, as a request that is held."""
        self.held += 1
        try:
            await self._released.wait()
        finally:
            self.held -= 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class Faults:
    """The faults in force, the newest first. `path` is a regular expression searched in a request's path.

    All take `method` (none: every one), `times` and `for_s` of real time.
    """

    def __init__(self) -> None:
        self._all: list[Fault] = []

    def answer(self, path: str, status: int = 200, body: Any = None, **when: Any) -> Fault:
        """Answer in the server's place: an object as JSON, a text as HTML; `headers` go with it."""
        return self._add(Kind.ANSWER, path, when, status=status, body=body)

    def refuse(self, path: str, status: int, errcode: str, error: str = "told to", **when: Any) -> Fault:
        """Answer with one of Matrix' errors."""
        return self.answer(path, status, {"errcode": errcode, "error": error}, **when)

    def limit(self, path: str = "", retry_after_s: float = 1.0, **when: Any) -> Fault:
        """Answer 429, with the header in whole seconds and the field in milliseconds as Synapse gives them."""
        body = {
            "errcode": "M_LIMIT_EXCEEDED",
            "error": "Too Many Requests",
            "retry_after_ms": round(retry_after_s * 1000),
        }
        return self.answer(path, 429, body, headers={"Retry-After": str(-int(-retry_after_s // 1))}, **when)

    def fail(self, path: str = "", status: int = 502, **when: Any) -> Fault:
        """Answer as a reverse proxy whose server is away: a page, no JSON."""
        return self.answer(path, status, "<html><h1>Bad Gateway</h1></html>", **when)

    def drop(self, path: str = "", **when: Any) -> Fault:
        """Break the connection; the server hears nothing of the request."""
        return self._add(Kind.REFUSE_CONNECTION, path, when)

    def lose_answer(self, path: str = "", **when: Any) -> Fault:
        """Let the server do what is asked, then break the connection: the program cannot know."""
        return self._add(Kind.LOSE_ANSWER, path, when)

    def hold(self, path: str, **when: Any) -> Fault:
        """Keep requests back until `release`; then they reach the server."""
        return self._add(Kind.HOLD, path, when)

    def postpone(self, path: str, body: Any = None, **when: Any) -> Fault:
        """Answer as if it were done, `{}` unless told otherwise; the server hears of it after `release`."""
        return self._add(Kind.POSTPONE, path, when, body={} if body is None else body)

    def alter(self, path: str, change: Change, **when: Any) -> Fault:
        """Change the server's JSON on its way back: `change` gets it and gives it."""
        return self._add(Kind.ALTER, path, when, change=change)

    def stop(self) -> None:
        """End all faults; what is held goes on."""
        for fault in self._all:
            fault.stop()
        self._all.clear()

    def striking(self, method: str, path: str) -> list[Fault]:
        """The faults for a request, the newest first, each counted as used."""
        found = [fault for fault in reversed(self._all) if fault.covers(method, path)]
        for fault in found:
            fault.hits += 1
        return found

    def _add(self, kind: Kind, path: str, when: dict[str, Any], **what: Any) -> Fault:
        for_s = when.pop("for_s", None)
        until = None if for_s is None else time.monotonic() + for_s
        fault = Fault(kind, re.compile(path), until=until, **when, **what)
        self._all.append(fault)
        return fault
