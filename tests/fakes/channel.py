"""A console client in memory: the test puts lines in and reads the events that come out."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

from bot.core.errors import ReaderGone


class MemoryChannel:
    """Fills `Channel`. `events` is all that was written; `gone` makes every further write fail."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.gone = False
        self.gate = asyncio.Event()
        self.gate.set()
        self._lines: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._changed = asyncio.Condition()
        self._telling: list[asyncio.Task[None]] = []

    def send(self, *lines: Mapping[str, Any] | bytes) -> None:
        """Put lines in, as JSON or raw."""
        for line in lines:
            self._lines.put_nowait(line if isinstance(line, bytes) else json.dumps(line).encode())

    def end(self) -> None:
        """End the input."""
        self._lines.put_nowait(b"<end>")

    async def read_lines(self) -> AsyncIterator[bytes | None]:
        while (line := await self._lines.get()) != b"<end>":
            yield line

    async def write_event(self, event: Mapping[str, Any]) -> None:
        if self.gone:
            raise ReaderGone("nobody reads")
        await self.gate.wait()
        self.events.append(json.loads(json.dumps(event)))
        await self._tell()

    def post_event(self, event: Mapping[str, Any]) -> None:
        if self.gone:
            raise ReaderGone("nobody reads")
        if self.gate.is_set():
            self.events.append(json.loads(json.dumps(event)))
            self._telling.append(asyncio.create_task(self._tell()))

    async def until(self, kind: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait for `count` events of a kind, and return all of that kind."""
        async with asyncio.timeout(60), self._changed:
            await self._changed.wait_for(lambda: len(self.of(kind)) >= count)
        return self.of(kind)

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The events of a kind so far."""
        return [event for event in self.events if event["event"] == kind]

    def shown(self) -> dict[str, str]:
        """What a platform shows that drops send ids it knows and applies edits: texts by the id of their first send."""
        messages: dict[str, str] = {}
        seen: set[str] = set()
        for event in self.of("text"):
            if event["send_id"] not in seen:
                seen.add(event["send_id"])
                messages[event.get("edits", event["send_id"])] = event["text"]
        return messages
