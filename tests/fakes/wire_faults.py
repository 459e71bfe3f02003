"""What can go wrong between a client and the homeserver in memory, as a test orders it."""

import asyncio
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Faults:
    """Errors and waiting, by the name of the method of `Homeserver` that they befall.

    `requests` lists the names of all requests that came.
    """

    requests: list[str] = field(default_factory=list)
    _before: dict[str, deque[Exception]] = field(default_factory=dict)
    _after: dict[str, deque[Exception]] = field(default_factory=dict)
    _always: dict[str, Exception] = field(default_factory=dict)
    _gates: dict[str, asyncio.Event] = field(default_factory=dict)
    _waiting: Counter[str] = field(default_factory=Counter)

    def fail(self, name: str, error: Exception, times: int = 1) -> None:
        """The next requests fail before the server has done anything."""
        self._before.setdefault(name, deque()).extend([error] * times)

    def lose(self, name: str, error: Exception, times: int = 1) -> None:
        """The server does what the next requests ask, but the answer is lost: the client sees the error."""
        self._after.setdefault(name, deque()).extend([error] * times)

    def always(self, name: str, error: Exception | None) -> None:
        """Every request fails, until None is given."""
        if error is None:
            self._always.pop(name, None)
        else:
            self._always[name] = error

    @contextmanager
    def holding(self, name: str) -> Iterator[None]:
        """Requests wait at the server's door inside of this."""
        gate = self._gates[name] = asyncio.Event()
        try:
            yield
        finally:
            del self._gates[name]
            gate.set()

    def waiting(self, name: str) -> int:
        """How many requests are being held."""
        return self._waiting[name]

    async def before(self, name: str) -> None:
        """A request arrives."""
        self.requests.append(name)
        await asyncio.sleep(0)
        if gate := self._gates.get(name):
            self._waiting[name] += 1
            try:
                await gate.wait()
            finally:
                self._waiting[name] -= 1
        if name in self._always:
            raise self._always[name]
        if queue := self._before.get(name):
            raise queue.popleft()

    def after(self, name: str) -> None:
        """The answer to a request goes out."""
        if queue := self._after.get(name):
            raise queue.popleft()
