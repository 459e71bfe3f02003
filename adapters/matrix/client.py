"""One device of our account at a homeserver: everything above asks it, everything encrypted happens below it."""

import asyncio
import json
import logging
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from peewee import PeeweeException  # type: ignore[import-untyped]

from adapters.matrix.api import media, parsing
from adapters.matrix.api.failures import UNKNOWN_ROOM
from adapters.matrix.api.http import Http, path
from adapters.matrix.api.parsing import items, text
from adapters.matrix.credentials import Credentials
from adapters.matrix.crypto import store
from adapters.matrix.crypto.decryption import Reader
from adapters.matrix.crypto.key_management import Upkeep
from adapters.matrix.crypto.room_encryption import Sharing
from adapters.matrix.crypto.room_state import STATE_TYPES, KnownRoom
from adapters.matrix.crypto.room_store import Roster
from adapters.matrix.crypto.store import HeldStore
from adapters.matrix.events import Event, Json, News, Page, Room
from adapters.matrix.homeserver import LoggedOut, Refused, Unsettled
from adapters.matrix.limits import TYPING_S

log = logging.getLogger(__name__)

TIMELINE = 50
"""Events of a room that a sync brings; what is more is paged back to."""
FIRST_SYNC_S = 300.0
"""Longest wait for a sync that tells of all rooms: a server may collect it for minutes."""
GATHERINGS = 5
"""How often the members of a room are asked for while they change."""
ANSWER_S = 15.0
"""What a sync may take beyond the time for which the server was asked to wait."""


class Client:
    """Fills `Wire` and `Keys`."""

    def __init__(self, credentials: Credentials, held: HeldStore, timeout_s: float = 30.0) -> None:
        self.user_id = credentials.user_id
        self.device_id = credentials.device_id
        self._http = Http(credentials.homeserver, credentials.access_token, timeout_s)
        self._timeout_s = timeout_s
        self._held = held
        self._machine = held.machine
        self._upkeep = Upkeep(self._machine, self)
        self._sharing = Sharing(self._machine, self, self._upkeep)
        self._reader = Reader(self._machine, self._upkeep)
        self._roster = Roster(self._machine.store)
        self._machine.knows_room = lambda room_id: self._roster.get(room_id) is not None
        self._syncing = asyncio.Lock()

    @classmethod
    def open(cls, folder: Path, credentials: Credentials, timeout_s: float = 30.0) -> "Client":
        """The device that is logged in, with its keys in `folder`. Raises MatrixUnusable."""
        return cls(credentials, store.open_store(folder, credentials), timeout_s)

    async def close(self) -> None:
        """Let the server and the key store go."""
        try:
            await self._http.close()
        finally:
            self._held.close()

    @property
    def fingerprint(self) -> str:
        """The device's Ed25519 key, base64 without padding."""
        return self._machine.fingerprint

    def sign(self, text: bytes) -> str:
        """The device's signature of these bytes, base64 without padding."""
        return self._machine.sign(text)

    async def publish(self) -> None:
        """Put the device's keys on the server where they are not there yet. A sync does so too."""
        await self._upkeep.upload()

    async def call(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        query: Sequence[tuple[str, str]] = (),
        *,
        timeout_s: float | None = None,
    ) -> dict[str, Any]:
        """One request to `/_matrix/client` + `path`; the JSON object that came back."""
        return await self._http.call(method, path, body, query, timeout_s=timeout_s)

    async def sync(self, since: str, timeout_s: float) -> News:
        """What has happened since a token, waiting up to `timeout_s` for it.

        The rooms' state is asked for once in a process: a sync tells only what has changed.
        """
        async with self._syncing:
            with _writing():
                return await self._sync(since, timeout_s)

    def room(self, room_id: str) -> Room | None:
        """A room we are in, as the last sync left it."""
        return self._roster.view(room_id)

    async def send(self, room_id: str, kind: str, content: Json, tx_id: str) -> str:
        """Send an event, encrypted where the room is; its id."""
        room = self._roster.get(room_id)
        if room is None:
            raise Refused(0, UNKNOWN_ROOM, {})
        # Reactions are not encrypted by any client: servers count them.
        if room.encrypted and kind != "m.reaction":
            await self._gather(room)
            with _writing():
                kind, content = "m.room.encrypted", await self._sharing.encrypt(room, kind, content)
        answer = await self.call("PUT", "/v3" + path("rooms", room_id, "send", kind, tx_id), content)
        return _event_id(answer)

    async def redact(self, room_id: str, event_id: str, tx_id: str) -> None:
        """Take an event of ours back."""
        await self.call("PUT", "/v3" + path("rooms", room_id, "redact", event_id, tx_id), {})

    async def event(self, room_id: str, event_id: str) -> Event:
        """One event of a room."""
        raw = await self.call("GET", "/v3" + path("rooms", room_id, "event", event_id))
        event = self._reader.event(raw, room_id)
        if event is None:
            raise Refused(404, "M_NOT_FOUND", {})
        return event

    async def page(self, room_id: str, start: str, *, back: bool, limit: int) -> Page:
        """Events from a place in a room's timeline on."""
        query = [("dir", "b" if back else "f"), ("limit", str(limit))] + ([("from", start)] if start else [])
        raw = await self.call("GET", "/v3" + path("rooms", room_id, "messages"), query=query)
        return Page(await self._reader.events(raw.get("chunk"), room_id), text(raw.get("end")))

    async def after(self, room_id: str, event_id: str) -> str:
        """The place in the timeline just after an event."""
        return await self._place(room_id, event_id, "end")

    async def before(self, room_id: str, event_id: str) -> str:
        """The place in the timeline just before an event."""
        return await self._place(room_id, event_id, "start")

    async def related(self, room_id: str, event_id: str, relation: str, limit: int) -> tuple[Event, ...]:
        """The newest events that relate to one in a way, newest first."""
        query = [("dir", "b"), ("limit", str(limit))]
        raw = await self.call("GET", "/v1" + path("rooms", room_id, "relations", event_id, relation), query=query)
        return await self._reader.events(raw.get("chunk"), room_id)

    def decrypt(self, event: Event) -> Event | None:
        """Try again to decrypt an event; None while its key is missing."""
        opened = self._reader.decrypt(event)
        return None if opened.session_id else opened

    async def typing(self, room_id: str, shown: bool) -> None:
        """Show that an answer is being written, or show it no longer."""
        body = {"typing": True, "timeout": int(TYPING_S * 1000)} if shown else {"typing": False}
        await self.call("PUT", "/v3" + path("rooms", room_id, "typing", self.user_id), body)

    async def read(self, room_id: str, event_id: str) -> None:
        """Send a read receipt."""
        await self.call("POST", "/v3" + path("rooms", room_id, "receipt", "m.read", event_id), {})

    async def download(self, uri: str, limit_bytes: int) -> bytes:
        """A file of the media store. Raises TooLarge when it is over the limit."""
        return await media.download(self._http, uri, limit_bytes, self._timeout_s)

    async def upload(self, data: bytes, name: str, media_type: str) -> str:
        """Put a file into the media store; its `mxc://` address."""
        return await media.upload(self._http, data, name, media_type, self._timeout_s)

    async def join(self, room_id: str, via: Sequence[str] = ()) -> None:
        """Join a room."""
        # Both names of the parameter: the newer one since Matrix 1.12.
        query = [(name, server) for server in via for name in ("server_name", "via")]
        await self.call("POST", "/v3" + path("join", room_id), {}, query)

    async def leave(self, room_id: str) -> None:
        """Leave a room, or decline an invitation to it."""
        await self.call("POST", "/v3" + path("rooms", room_id, "leave"), {})

    async def _sync(self, since: str, timeout_s: float) -> News:
        if since and not self._roster.told:
            # Synapse gives its last answer again for two minutes where the same is asked, the timeout included.
            self._roster.take(await self._ask_sync("", secrets.randbelow(1000) / 1000))
        answer = await self._ask_sync(since, timeout_s)
        for room_id in self._roster.take(answer):
            self._sharing.forget(room_id)
        self._upkeep.told(answer)
        news = await self._reader.news(answer)
        try:
            await self._upkeep.run()
        except (Unsettled, Refused, LoggedOut) as error:
            log.warning("Matrix: keys could not be brought up to date: %s", error)
        return news

    async def _ask_sync(self, since: str, timeout_s: float) -> dict[str, Any]:
        query = [("filter", _filter(first=not since)), ("timeout", str(int(timeout_s * 1000)))]
        longest_s = timeout_s + self._timeout_s + ANSWER_S if since else FIRST_SYNC_S
        return await self.call(
            "GET", "/v3/sync", query=query + ([("since", since)] if since else []), timeout_s=longest_s
        )

    async def _gather(self, room: KnownRoom) -> None:
        """Know everybody in a room; syncs tell only of those who speak, and of changes."""
        for _ in range(GATHERINGS):
            if room.complete:
                return
            changes = room.changes
            raw = await self.call(
                "GET", "/v3" + path("rooms", room.room_id, "members"), query=[("not_membership", "leave")]
            )
            # Else a sync has told of somebody meanwhile, who may be missing in this list, or still in it.
            if room.changes == changes:
                room.gather(event for each in items(raw.get("chunk")) if (event := parsing.event(each, room.room_id)))
        if not room.complete:
            raise Unsettled("people come and go faster than the homeserver lists them")

    async def _place(self, room_id: str, event_id: str, side: str) -> str:
        raw = await self.call("GET", "/v3" + path("rooms", room_id, "context", event_id), query=[("limit", "0")])
        place = text(raw.get(side))
        if not place:
            raise Refused(404, "M_NOT_FOUND", raw)
        return place


@contextmanager
def _writing() -> Iterator[None]:
    """Raises Unsettled where the key store cannot be written, as on a full disk."""
    try:
        yield
    except PeeweeException as error:
        raise Unsettled(f"the key store could not be written: {error}") from error


def _event_id(answer: Json) -> str:
    event_id = text(answer.get("event_id"))
    if not event_id:
        raise Unsettled("the homeserver took an event and gave no id for it")
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
                "timeline": {"limit": 1 if first else TIMELINE, "lazy_load_members": True},
            },
        }
    )
