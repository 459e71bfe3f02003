"""The requests that the bot has made, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Request:
    """One request. `path` is the template, `ids` what stood in its places, `at` seconds since the epoch."""

    method: str
    path: str
    ids: dict[str, str]
    query: dict[str, str]
    json: Any
    at: float
    status: int = 0
    code: int = 0
    files: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.method} {self.path} -> {self.status}"


class Requests:
    """All requests, oldest first."""

    def __init__(self) -> None:
        self._all: list[Request] = []

    def __iter__(self) -> Iterator[Request]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def add(self, request: Request) -> None:
        """Keep one."""
        self._all.append(request)

    def of(self, method: str, path: str) -> list[Request]:
        """Those to one route (a path template)."""
        return [one for one in self._all if (one.method, one.path) == (method, path)]

    @property
    def invalid(self) -> int:
        """How many were answered 401, 403 or 429: 10,000 in 10 minutes ban an address (rate-limits.mdx)."""
        return sum(one.status in (401, 403, 429) for one in self._all)

    @property
    def faults(self) -> list[str]:
        """What the API's description says against them, with the request it is about."""
        return [f"{one.method} {one.path}: {fault}" for one in self._all for fault in one.faults]

    def take_faults(self) -> list[str]:
        """The faults, which then count no more: for a test that makes them on purpose."""
        found = self.faults
        for one in self._all:
            one.faults = []
        return found
