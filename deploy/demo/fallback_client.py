"""Ana's client where Element's library is not here: Hearth's own side of the encryption, on a device of hers."""

import asyncio
import contextlib
import itertools
from pathlib import Path
from typing import Any, Self

from adapters.delivery.errors import TransientFailure
from adapters.matrix import client, credentials
from adapters.matrix.account.cross_signing import KEYS_QUERY, get_nested, public_key_of
from adapters.matrix.account.identity import IdentityFile
from adapters.matrix.account.identity_service import IdentityService
from adapters.matrix.account.signing import has_valid_signature
from adapters.matrix.credentials import Credentials, new_store_key
from adapters.matrix.crypto import store
from adapters.matrix.events import Event, SyncResponse
from tests.homeserver import Account
from tests.homeserver.client import Client
from tests.homeserver.contents import Content

SYNC_TIMEOUT_S = 10.0
RETRY_S = 1.0


class FallbackClient(Client):
    """Encrypts and decrypts; it does not tell who types, and compares no emoji."""

    def __init__(self, url: str, account: Account, wire: client.MatrixClient) -> None:
        super().__init__(url, account)
        self._wire = wire
        self._numbers = itertools.count(1)
        self._syncing: asyncio.Task[None] | None = None

    @classmethod
    async def enter(cls, url: str, account: Account, folder: Path) -> Self:
        """Start the client of an account, with its keys in a folder; its own device is signed."""
        made = Credentials(url, account.user_id, account.device_id, account.access_token, new_store_key())
        credentials.save_credentials(folder, made)
        store.create_store(folder, made).close()
        self = cls(url, account, client.MatrixClient.open(folder, made))
        await self._wire.publish_keys()
        await (
            await IdentityService.open(self._wire, self._wire, IdentityFile.for_account(folder, made))
        ).check_signature()
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
        await self.until(lambda: self._wire.get_room(room))
        return await self._wire.send(room, kind, content, f"demo{next(self._numbers)}")

    async def is_device_signed(self, user_id: str, device_id: str) -> bool:
        """Whether the server shows somebody's device signed by its owner's own keys."""
        told = await self._wire.call_api("POST", KEYS_QUERY, {"device_keys": {user_id: []}})
        own = get_nested(told, "self_signing_keys", user_id)
        device = get_nested(told, "device_keys", user_id, device_id)
        master = public_key_of(get_nested(told, "master_keys", user_id))
        return has_valid_signature(own, user_id, master) and has_valid_signature(device, user_id, public_key_of(own))

    async def _keep_syncing(self, token: str) -> None:
        while True:
            try:
                news = await self._wire.sync(token, SYNC_TIMEOUT_S)
            except TransientFailure:
                await asyncio.sleep(RETRY_S)
                continue
            self._add_events(news)
            token = news.token
            await self._tell()

    def _add_events(self, news: SyncResponse) -> None:
        for event in (each for timeline in news.joined for each in timeline.events):
            told = _to_client_event(event)
            self._note(told)
            self.timeline.add(told)


def _to_client_event(event: Event) -> dict[str, Any]:
    told = {
        "room_id": event.room_id,
        "event_id": event.event_id,
        "sender": event.sender,
        "type": event.type,
        "content": event.content,
        "origin_server_ts": event.sent_ms,
    }
    return told if event.state_key is None else {**told, "state_key": event.state_key}
