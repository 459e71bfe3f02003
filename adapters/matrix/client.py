"""Matrix client of one device: API calls with encryption, decryption and key management below."""

import asyncio
import json
import logging
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from peewee import PeeweeException  # type: ignore[import-untyped]

from adapters.delivery.errors import TransientFailure
from adapters.matrix.api import media, parsing
from adapters.matrix.api.failures import UNKNOWN_ROOM
from adapters.matrix.api.http import HttpClient, api_path
from adapters.matrix.api.parsing import as_list, as_text
from adapters.matrix.credentials import Credentials
from adapters.matrix.crypto import store
from adapters.matrix.crypto.decryption import DecryptingReader
from adapters.matrix.crypto.key_management import KeyManager
from adapters.matrix.crypto.room_encryption import RoomEncryption
from adapters.matrix.crypto.room_state import STATE_TYPES, RoomState
from adapters.matrix.crypto.room_store import RoomStore
from adapters.matrix.crypto.store import DeviceKeyStore
from adapters.matrix.events import Event, EventPage, Json, Room, SyncResponse
from adapters.matrix.homeserver import LoggedOut, RequestRefused
from adapters.matrix.limits import TYPING_S

log = logging.getLogger(__name__)

TIMELINE_EVENTS = 50
"""Events per room in a sync; earlier ones are fetched by pagination."""
FIRST_SYNC_S = 300.0
"""Timeout of an initial sync of all rooms: a server may need minutes for it."""
MEMBER_LIST_TRIES = 5
"""Requests for a room's member list while it keeps changing."""
SYNC_MARGIN_S = 15.0
"""Extra time for a sync beyond its long-poll timeout."""


class MatrixClient:
    """Implements `Homeserver` and `DeviceSigner`."""

    def __init__(self, credentials: Credentials, key_store: DeviceKeyStore, timeout_s: float = 30.0) -> None:
        self.user_id = credentials.user_id
        self.device_id = credentials.device_id
        self._http = HttpClient(credentials.homeserver, credentials.access_token, timeout_s)
        self._timeout_s = timeout_s
        self._key_store = key_store
        self._machine = key_store.machine
        self._key_manager = KeyManager(self._machine, self)
        self._room_encryption = RoomEncryption(self._machine, self, self._key_manager)
        self._reader = DecryptingReader(self._machine, self._key_manager)
        self._rooms = RoomStore(self._machine.store)
        self._machine.knows_room = lambda room_id: self._rooms.get_state(room_id) is not None
        self._sync_lock = asyncio.Lock()

    @classmethod
    def open(cls, folder: Path, credentials: Credentials, timeout_s: float = 30.0) -> "MatrixClient":
        """Open the client of the logged-in device, with its keys in `folder`. Raises MatrixUnusable."""
        return cls(credentials, store.open_store(folder, credentials), timeout_s)

    async def close(self) -> None:
        """Close the connections and the key store."""
        try:
            await self._http.close()
        finally:
            self._key_store.close()

    @property
    def fingerprint(self) -> str:
        """The device's Ed25519 key, base64 without padding."""
        return self._machine.fingerprint

    def sign(self, text: bytes) -> str:
        """The device's signature of these bytes, base64 without padding."""
        return self._machine.sign(text)

    async def publish_keys(self) -> None:
        """Upload the device's keys that the server lacks. A sync does so too."""
        await self._key_manager.upload_keys()

    async def call_api(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        query: Sequence[tuple[str, str]] = (),
        *,
        timeout_s: float | None = None,
    ) -> dict[str, Any]:
        """Send one request to `/_matrix/client` + `path`; returns the JSON object of the response."""
        return await self._http.call_api(method, path, body, query, timeout_s=timeout_s)

    async def sync(self, since: str, timeout_s: float) -> SyncResponse:
        """Get the events since a token, waiting up to `timeout_s` for them.

        The first call in a process requests the full state of all rooms: later syncs report changes only.
        """
        async with self._sync_lock:
            with _store_errors():
                return await self._sync(since, timeout_s)

    def get_room(self, room_id: str) -> Room | None:
        """A joined room as of the last sync; None for other rooms."""
        return self._rooms.get_room(room_id)

    async def load_members(self, room_id: str) -> None:
        """Load the complete list of a joined room's members, unless it is known."""
        room = self._rooms.get_state(room_id)
        if room is not None:
            await self._load_members(room)

    async def send(self, room_id: str, kind: str, content: Json, tx_id: str) -> str:
        """Send an event, encrypted if the room is; returns its id."""
        room = self._rooms.get_state(room_id)
        if room is None:
            raise RequestRefused(0, UNKNOWN_ROOM, {})
        # No client encrypts reactions: servers count them.
        if room.encrypted and kind != "m.reaction":
            await self._load_members(room)
            with _store_errors():
                kind, content = "m.room.encrypted", await self._room_encryption.encrypt_event(room, kind, content)
        response = await self.call_api("PUT", "/v3" + api_path("rooms", room_id, "send", kind, tx_id), content)
        return _event_id(response)

    async def redact_event(self, room_id: str, event_id: str, tx_id: str) -> None:
        """Redact an event of ours."""
        await self.call_api("PUT", "/v3" + api_path("rooms", room_id, "redact", event_id, tx_id), {})

    async def get_event(self, room_id: str, event_id: str) -> Event:
        """Get one event of a room."""
        raw = await self.call_api("GET", "/v3" + api_path("rooms", room_id, "event", event_id))
        event = self._reader.read_event(raw, room_id)
        if event is None:
            raise RequestRefused(404, "M_NOT_FOUND", {})
        return event

    async def get_event_page(self, room_id: str, start: str, *, back: bool, limit: int) -> EventPage:
        """Get a page of events from a position in a room's timeline."""
        query = [("dir", "b" if back else "f"), ("limit", str(limit))] + ([("from", start)] if start else [])
        raw = await self.call_api("GET", "/v3" + api_path("rooms", room_id, "messages"), query=query)
        return EventPage(await self._reader.read_events(raw.get("chunk"), room_id), as_text(raw.get("end")))

    async def token_after(self, room_id: str, event_id: str) -> str:
        """The pagination token just after an event."""
        return await self._pagination_token(room_id, event_id, "end")

    async def token_before(self, room_id: str, event_id: str) -> str:
        """The pagination token just before an event."""
        return await self._pagination_token(room_id, event_id, "start")

    async def get_relations(self, room_id: str, event_id: str, relation: str, limit: int) -> tuple[Event, ...]:
        """The newest events with a relation of one type to an event, newest first."""
        query = [("dir", "b"), ("limit", str(limit))]
        raw = await self.call_api(
            "GET", "/v1" + api_path("rooms", room_id, "relations", event_id, relation), query=query
        )
        return await self._reader.read_events(raw.get("chunk"), room_id)

    def decrypt_event(self, event: Event) -> Event | None:
        """Try again to decrypt an event; None while its key is missing."""
        decrypted = self._reader.decrypt_event(event)
        return None if decrypted.session_id else decrypted

    async def set_typing(self, room_id: str, typing: bool) -> None:
        """Start or stop the typing notice."""
        body = {"typing": True, "timeout": int(TYPING_S * 1000)} if typing else {"typing": False}
        await self.call_api("PUT", "/v3" + api_path("rooms", room_id, "typing", self.user_id), body)

    async def send_read_receipt(self, room_id: str, event_id: str) -> None:
        """Send a read receipt."""
        await self.call_api("POST", "/v3" + api_path("rooms", room_id, "receipt", "m.read", event_id), {})

    async def download_file(self, uri: str, limit_bytes: int) -> bytes:
        """Download a file from the media store. Raises FileTooLarge when it is over the limit."""
        return await media.download_file(self._http, uri, limit_bytes, self._timeout_s)

    async def upload_file(self, data: bytes, name: str, media_type: str) -> str:
        """Upload a file to the media store; returns its `mxc://` address."""
        return await media.upload_file(self._http, data, name, media_type, self._timeout_s)

    async def join_room(self, room_id: str, via: Sequence[str] = ()) -> None:
        """Join a room."""
        # Both names of the parameter: the newer one since Matrix 1.12.
        query = [(name, server) for server in via for name in ("server_name", "via")]
        await self.call_api("POST", "/v3" + api_path("join", room_id), {}, query)

    async def leave_room(self, room_id: str, reason: str = "") -> None:
        """Leave a room, or decline an invitation to it."""
        body = {"reason": reason} if reason else {}
        await self.call_api("POST", "/v3" + api_path("rooms", room_id, "leave"), body)

    async def _sync(self, since: str, timeout_s: float) -> SyncResponse:
        if since and not self._rooms.is_complete:
            # Synapse repeats its last response for two minutes to an identical request, so the timeout is randomized.
            self._rooms.apply_sync(await self._request_sync("", secrets.randbelow(1000) / 1000))
        response = await self._request_sync(since, timeout_s)
        for room_id in self._rooms.apply_sync(response):
            self._room_encryption.drop_session(room_id)
        self._key_manager.apply_sync(response)
        sync_response = await self._reader.read_sync(response)
        try:
            await self._key_manager.run_pending()
        except (TransientFailure, RequestRefused, LoggedOut) as error:
            log.warning("Could not update the Matrix encryption keys: %s", error)
        return sync_response

    async def _request_sync(self, since: str, timeout_s: float) -> dict[str, Any]:
        query = [("filter", _filter(first=not since)), ("timeout", str(int(timeout_s * 1000)))]
        request_timeout_s = timeout_s + self._timeout_s + SYNC_MARGIN_S if since else FIRST_SYNC_S
        return await self.call_api(
            "GET", "/v3/sync", query=query + ([("since", since)] if since else []), timeout_s=request_timeout_s
        )

    async def _load_members(self, room: RoomState) -> None:
        """Load the complete member list of a room; syncs report only senders and changes.

        After a join over federation Synapse waits with it until it has the room's whole state.
        """
        for _ in range(MEMBER_LIST_TRIES):
            if room.members_complete:
                return
            changes = room.member_changes
            raw = await self.call_api(
                "GET", "/v3" + api_path("rooms", room.room_id, "members"), query=[("not_membership", "leave")]
            )
            # Otherwise a sync has reported a change meanwhile that this list may lack.
            if room.member_changes == changes:
                room.set_members(
                    event for each in as_list(raw.get("chunk")) if (event := parsing.parse_event(each, room.room_id))
                )
        if not room.members_complete:
            raise TransientFailure("the room's members change faster than the homeserver lists them")

    async def _pagination_token(self, room_id: str, event_id: str, side: str) -> str:
        raw = await self.call_api(
            "GET", "/v3" + api_path("rooms", room_id, "context", event_id), query=[("limit", "0")]
        )
        token = as_text(raw.get(side))
        if not token:
            raise RequestRefused(404, "M_NOT_FOUND", raw)
        return token


@contextmanager
def _store_errors() -> Iterator[None]:
    """Raise TransientFailure if the key store cannot be written, as on a full disk."""
    try:
        yield
    except PeeweeException as error:
        raise TransientFailure(f"the key store could not be written: {error}") from error


def _event_id(response: Json) -> str:
    event_id = as_text(response.get("event_id"))
    if not event_id:
        raise TransientFailure("the homeserver accepted an event and gave no id for it")
    return event_id


def _filter(first: bool) -> str:
    nothing = {"not_types": ["*"]}
    return json.dumps(
        {
            "presence": nothing,
            "account_data": nothing,
            "room": {
                "ephemeral": nothing,
                "account_data": nothing,
                "state": {"types": STATE_TYPES, "lazy_load_members": True},
                "timeline": {"limit": 1 if first else TIMELINE_EVENTS, "lazy_load_members": True},
            },
        }
    )
