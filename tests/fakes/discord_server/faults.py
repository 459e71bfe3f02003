"""Faults that tests inject into the HTTP API: 5xx storms, 429s, refusals, slow and lost answers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from tests.fakes.discord_server.clock import Clock
from tests.fakes.discord_server.refusals import Refused


class Kind(Enum):
    STATUS = "answers with a bare status"
    LIMIT = "answers 429"
    REFUSAL = "answers with one of Discord's errors"
    DELAY = "answers late"
    LOSS = "does what is asked, and the connection drops before the answer"


@dataclass
class Fault:
    """One fault, for the requests it covers, until its times or its time are over."""

    kind: Kind
    method: str | None
    path: str | None
    times: int | None
    until: float | None
    status: int = 0
    seconds: float = 0.0
    refusal: Refused | None = None
    hits: int = 0

    def covers(self, method: str, path: str, now: float) -> bool:
        """Whether it strikes this request."""
        if self.times is not None and self.hits >= self.times:
            return False
        if self.until is not None and now >= self.until:
            return False
        return self.method in (None, method) and self.path in (None, path)


class Faults:
    """The faults in force. All take a `method` and `path` template (none: every request), `times` and `for_s`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._active: list[Fault] = []

    def fail(
        self,
        method: str | None = None,
        path: str | None = None,
        *,
        status: int = 500,
        times: int | None = None,
        for_s: float | None = None,
    ) -> Fault:
        """Answer with a 5xx and no JSON."""
        return self._add(Fault(Kind.STATUS, method, path, times, self._until(for_s), status=status))

    def limit(
        self,
        method: str | None = None,
        path: str | None = None,
        *,
        retry_after_s: float,
        times: int | None = None,
        for_s: float | None = None,
    ) -> Fault:
        """Answer 429 whatever the bucket says."""
        return self._add(Fault(Kind.LIMIT, method, path, times, self._until(for_s), seconds=retry_after_s))

    def refuse(
        self,
        refusal: Refused,
        method: str | None = None,
        path: str | None = None,
        *,
        times: int | None = None,
        for_s: float | None = None,
    ) -> Fault:
        """Answer with an error of `refusals`."""
        return self._add(Fault(Kind.REFUSAL, method, path, times, self._until(for_s), refusal=refusal))

    def delay(
        self, seconds: float, method: str | None = None, path: str | None = None, *, times: int | None = None
    ) -> Fault:
        """Answer after so many seconds of real time."""
        return self._add(Fault(Kind.DELAY, method, path, times, None, seconds=seconds))

    def lose_answer(self, method: str | None = None, path: str | None = None, *, times: int | None = 1) -> Fault:
        """Do what is asked, then drop the connection: the bot cannot know."""
        return self._add(Fault(Kind.LOSS, method, path, times, None))

    def stop(self) -> None:
        """End all faults."""
        self._active.clear()

    def striking(self, method: str, path: str) -> list[Fault]:
        """The faults for a request, each counted as used."""
        found = [fault for fault in self._active if fault.covers(method, path, self._clock.now())]
        for fault in found:
            fault.hits += 1
        return found

    def _until(self, for_s: float | None) -> float | None:
        return None if for_s is None else self._clock.now() + for_s

    def _add(self, fault: Fault) -> Fault:
        self._active.append(fault)
        return fault
