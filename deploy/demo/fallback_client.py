"""Ana's client where Element's library is not here: Hearth's own side of the encryption, on a device of hers."""

import asyncio
import contextlib
import itertools
from pathlib import Path
from typing import Any, Self

from adapters.matrix import client, credentials
from adapters.matrix.account.cross_signing import QUERY, inner, public_of
from adapters.matrix.account.identity import IdentityFile
from adapters.matrix.account.identity_service import OwnKeys
from adapters.matrix.account.signing import is_signed
from adapters.matrix.credentials import Credentials, new_store_key
from adapters.matrix.crypto import store
from adapters.matrix.events import Event, News
from adapters.matrix.homeserver import Unsettled
from tests.homeserver import Account
from tests.homeserver.client import Client
from tests.homeserver.contents import Content

NEWS_WITHIN_S = 10.0
AGAIN_S = 1.0


class StandIn(Client):
    """Encrypts and decrypts; it does not tell who types, and compares no emoji."""

    def __init__(self, url: str, account: Account, wire: client.Client) -> None:
        super().__init__(url, account)
        self._wire = wire
        self._numbers = itertools.count(1)
        self._syncing: asyncio.Task[None] | None = None

    @classmethod
    async def enter(cls, url: str, account: Account, folder: Path) -> Self:
        """Start the client of an account, with its keys in a folder; its own device is signed."""
        made = Credentials(url, account.user_id, account.device_id, account.access_token, new_store_key())
        credentials.save(folder, made)
        store.create(folder, made).close()
        self = cls(url, account, client.Client.open(folder, made))
        await self._wire.publish()
        await (await OwnKeys.open(self._wire, self._wire, IdentityFile.beside(folder, made))).check()
        first = await self._wire.sync("", 0)
        self._syncing = asyncio.create_task(self._keep_syncing(first.token))
        return self

    async def close(self) -> None:
        """End the client; the account stays."""
        if self._syncing:
            self._syncing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._syncing
        await self._wire.close()
        await super().close()

    async def send(self, room: str, content: Content, kind: str = "m.room.message") -> str:
        """Send any event, encrypted where the room asks for it. Returns its id."""
        await self.until(lambda: self._wire.room(room))
        return await self._wire.send(room, kind, content, f"demo{next(self._numbers)}")

    async def sees_signed(self, user_id: str, device_id: str) -> bool:
        """Whether the server shows somebody's device signed by its owner's own keys."""
        told = await self._wire.call("POST", QUERY, {"device_keys": {user_id: []}})
        own = inner(told, "self_signing_keys", user_id)
        device = inner(told, "device_keys", user_id, device_id)
        master = public_of(inner(told, "master_keys", user_id))
        return is_signed(own, user_id, master) and is_signed(device, user_id, public_of(own))

    async def _keep_syncing(self, token: str) -> None:
        while True:
            try:
                news = await self._wire.sync(token, NEWS_WITHIN_S)
            except Unsettled:
                await asyncio.sleep(AGAIN_S)
                continue
            self._hear(news)
            token = news.token
            await self._tell()

    def _hear(self, news: News) -> None:
        for event in (each for timeline in news.joined for each in timeline.events):
            told = _as_told(event)
            self._note(told)
            self.timeline.add(told)


def _as_told(event: Event) -> dict[str, Any]:
    told = {
        "room_id": event.room_id,
        "event_id": event.event_id,
        "sender": event.sender,
        "type": event.type,
        "content": event.content,
        "origin_server_ts": event.sent_ms,
    }
    return told if event.state_key is None else {**told, "state_key": event.state_key}
