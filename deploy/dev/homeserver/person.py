"""Ordinary Matrix client of a user, without encryption."""

import asyncio
import contextlib
from typing import Any, Self

import aiohttp

from deploy.dev.homeserver.account import Account, Refused
from deploy.dev.homeserver.client import Client
from deploy.dev.homeserver.timeline import Event

_SYNC_MS = 10_000
_RETRY_S = 0.2
# More than any test sends between two syncs, so that no timeline is limited.
_FILTER = '{"room": {"timeline": {"limit": 1000}}}'


class Person(Client):
    """A client that syncs in the background; encrypted messages stay `m.room.encrypted`.

    `to_device` holds the to-device messages received.
    """

    def __init__(self, url: str, account: Account) -> None:
        super().__init__(url, account)
        self.to_device: list[dict[str, Any]] = []
        self._since = ""
        self._syncing: asyncio.Task[None] | None = None

    @classmethod
    async def enter(cls, url: str, account: Account) -> Self:
        """Start the client of an account; returns after its first sync."""
        self = cls(url, account)
        await self._sync(timeout_ms=0)
        self._syncing = asyncio.create_task(self._keep_syncing(), name=f"sync of {account.user_id}")
        return self

    async def close(self) -> None:
        """End the client; the account stays."""
        if self._syncing:
            self._syncing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._syncing
        await super().close()

    async def _keep_syncing(self) -> None:
        while True:
            try:
                await self._sync(_SYNC_MS)
            except (aiohttp.ClientError, TimeoutError, Refused):
                await asyncio.sleep(_RETRY_S)

    async def _sync(self, timeout_ms: int) -> None:
        since = {"since": self._since} if self._since else {}
        response = await self.request("GET", "/sync", timeout=str(timeout_ms), filter=_FILTER, **since)
        rooms = response.get("rooms", {})
        for room, update in rooms.get("invite", {}).items():
            self._take_events(room, update["invite_state"]["events"])
        for room, update in (rooms.get("join", {}) | rooms.get("leave", {})).items():
            for part in ("state", "timeline", "ephemeral"):
                self._take_events(room, update.get(part, {}).get("events", []), into_timeline=part == "timeline")
        self.to_device += [
            {name: event[name] for name in ("sender", "type", "content")}
            for event in response.get("to_device", {}).get("events", [])
        ]
        self._since = response["next_batch"]
        await self._notify_waiters()

    def _take_events(self, room: str, events: list[Event], into_timeline: bool = False) -> None:
        for event in events:
            with_room: dict[str, Any] = event | {"room_id": room}
            self._apply_event(with_room)
            if into_timeline:
                self.timeline.add(with_room)
