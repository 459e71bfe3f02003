"""Ana's client without Element's library: Hearth's own implementation of the encryption, on a device of hers."""

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
from deploy.dev.homeserver import Account
from deploy.dev.homeserver.client import Client
from deploy.dev.homeserver.contents import Content

SYNC_TIMEOUT_S = 10.0
RETRY_S = 1.0


class FallbackClient(Client):
    """Encrypts and decrypts; supports neither typing notifications nor emoji verification."""

    def __init__(self, url: str, account: Account, matrix_client: client.MatrixClient) -> None:
        super().__init__(url, account)
        self._matrix_client = matrix_client
        self._numbers = itertools.count(1)
        self._syncing: asyncio.Task[None] | None = None

    @classmethod
    async def enter(cls, url: str, account: Account, folder: Path) -> Self:
        """Start the client of an account, with its keys in a folder, and sign its device."""
        made = Credentials(url, account.user_id, account.device_id, account.access_token, new_store_key())
        credentials.save_credentials(folder, made)
        store.create_store(folder, made).close()
        self = cls(url, account, client.MatrixClient.open(folder, made))
        await self._matrix_client.publish_keys()
        await (
            await IdentityService.open(self._matrix_client, self._matrix_client, IdentityFile.for_account(folder, made))
        ).check_signature()
        first = await self._matrix_client.sync("", 0)
        self._syncing = asyncio.create_task(self._keep_syncing(first.token))
        return self

    async def close(self) -> None:
        """Close the client; the account and its device are kept."""
        if self._syncing:
            self._syncing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._syncing
        await self._matrix_client.close()
        await super().close()

    async def send(self, room: str, content: Content, kind: str = "m.room.message") -> str:
        """Send any event, encrypted if the room requires it. Returns its id."""
        await self.until(lambda: self._matrix_client.get_room(room))
        return await self._matrix_client.send(room, kind, content, f"demo{next(self._numbers)}")

    async def is_device_signed(self, user_id: str, device_id: str) -> bool:
        """Whether the server shows a device as signed with its owner's cross-signing keys."""
        keys = await self._matrix_client.call_api("POST", KEYS_QUERY, {"device_keys": {user_id: []}})
        own = get_nested(keys, "self_signing_keys", user_id)
        device = get_nested(keys, "device_keys", user_id, device_id)
        master = public_key_of(get_nested(keys, "master_keys", user_id))
        return has_valid_signature(own, user_id, master) and has_valid_signature(device, user_id, public_key_of(own))

    async def _keep_syncing(self, token: str) -> None:
        while True:
            try:
                response = await self._matrix_client.sync(token, SYNC_TIMEOUT_S)
            except TransientFailure:
                await asyncio.sleep(RETRY_S)
                continue
            self._add_events(response)
            token = response.token
            await self._notify_waiters()

    def _add_events(self, response: SyncResponse) -> None:
        for event in (each for timeline in response.joined for each in timeline.events):
            client_event = _to_client_event(event)
            self._apply_event(client_event)
            self.timeline.add(client_event)


def _to_client_event(event: Event) -> dict[str, Any]:
    client_event = {
        "room_id": event.room_id,
        "event_id": event.event_id,
        "sender": event.sender,
        "type": event.type,
        "content": event.content,
        "origin_server_ts": event.sent_ms,
    }
    return client_event if event.state_key is None else {**client_event, "state_key": event.state_key}
