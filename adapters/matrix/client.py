"""One device of our account at a homeserver: everything above asks it, everything encrypted happens below it."""

import asyncio
import json
import logging
import secrets
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from adapters.matrix import files, parsing, store
from adapters.matrix.credentials import Credentials
from adapters.matrix.events import Departure, Event, Json, News, Page, Room, Timeline, ToDevice
from adapters.matrix.failures import UNKNOWN_ROOM
from adapters.matrix.http import Http, path
from adapters.matrix.limits import TYPING_S
from adapters.matrix.parsing import items, mapping, text
from adapters.matrix.rooms import STATE_TYPES, KnownRoom
from adapters.matrix.sharing import Sharing
from adapters.matrix.store import HeldStore
from adapters.matrix.upkeep import Upkeep
from adapters.matrix.wire import LoggedOut, Refused, Unsettled

log = logging.getLogger(__name__)

TIMELINE = 50
"""Events of a room that a sync brings; what is more is paged back to."""
FIRST_SYNC_S = 300.0
"""Longest wait for a sync that tells of all rooms: a server may collect it for minutes."""
ANSWER_S = 15.0
"""What a sync may take beyond the time for which the server was asked to wait."""
CHUNK = 20
"""To-device messages or events that are decrypted without giving others a turn."""


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
        self._rooms: dict[str, KnownRoom] = {}
        self._rooms_known = False
        self._encrypted: set[str] = self._machine.store.load_encrypted_rooms()
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
            if since and not self._rooms_known:
                # Synapse gives its last answer again for two minutes where the same is asked, the timeout included.
                await self._take_rooms(await self._ask_sync("", secrets.randbelow(1000) / 1000))
            answer = await self._ask_sync(since, timeout_s)
            await self._take_rooms(answer)
            news = await self._news(answer)
            try:
                await self._upkeep.run()
            except (Unsettled, Refused, LoggedOut) as error:
                log.warning("Matrix: keys could not be brought up to date: %s", error)
            return news

    def room(self, room_id: str) -> Room | None:
        """A room we are in, as the last sync left it."""
        known = self._rooms.get(room_id)
        return known.view() if known else None

    async def send(self, room_id: str, kind: str, content: Json, tx_id: str) -> str:
        """Send an event, encrypted where the room is; its id."""
        room = self._rooms.get(room_id)
        if room is None:
            raise Refused(0, UNKNOWN_ROOM, {})
        # Reactions are not encrypted by any client: servers count them.
        if room.encrypted and kind != "m.reaction":
            await self._gather(room)
            kind, content = "m.room.encrypted", await self._sharing.encrypt(room, kind, content)
        answer = await self.call("PUT", "/v3" + path("rooms", room_id, "send", kind, tx_id), content)
        return _event_id(answer)

    async def redact(self, room_id: str, event_id: str, tx_id: str) -> None:
        """Take an event of ours back."""
        await self.call("PUT", "/v3" + path("rooms", room_id, "redact", event_id, tx_id), {})

    async def event(self, room_id: str, event_id: str) -> Event:
        """One event of a room."""
        raw = await self.call("GET", "/v3" + path("rooms", room_id, "event", event_id))
        event = self._read(raw, room_id)
        if event is None:
            raise Refused(404, "M_NOT_FOUND", {})
        return event

    async def page(self, room_id: str, start: str, *, back: bool, limit: int) -> Page:
        """Events from a place in a room's timeline on."""
        query = [("dir", "b" if back else "f"), ("limit", str(limit))] + ([("from", start)] if start else [])
        raw = await self.call("GET", "/v3" + path("rooms", room_id, "messages"), query=query)
        events = await self._read_all(items(raw.get("chunk")), room_id)
        return Page(tuple(events), text(raw.get("end")))

    async def after(self, room_id: str, event_id: str) -> str:
        """The place in the timeline just after an event."""
        return await self._place(room_id, event_id, "end")

    async def before(self, room_id: str, event_id: str) -> str:
        """The place in the timeline just before an event."""
        return await self._place(room_id, event_id, "start")

    def decrypt(self, event: Event) -> Event | None:
        """Try again to decrypt an event; None while its key is missing."""
        if not event.session_id:
            return event
        opened = self._open(event)
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
        return await files.download(self._http, uri, limit_bytes, self._timeout_s)

    async def upload(self, data: bytes, name: str, media_type: str) -> str:
        """Put a file into the media store; its `mxc://` address."""
        return await files.upload(self._http, data, name, media_type, self._timeout_s)

    async def join(self, room_id: str, via: Sequence[str] = ()) -> None:
        """Join a room."""
        # Both names of the parameter: the newer one since Matrix 1.12.
        query = [(name, server) for server in via for name in ("server_name", "via")]
        await self.call("POST", "/v3" + path("join", room_id), {}, query)

    async def leave(self, room_id: str) -> None:
        """Leave a room, or decline an invitation to it."""
        await self.call("POST", "/v3" + path("rooms", room_id, "leave"), {})

    async def _ask_sync(self, since: str, timeout_s: float) -> dict[str, Any]:
        query = [("filter", _filter(first=not since)), ("timeout", str(int(timeout_s * 1000)))]
        longest_s = timeout_s + self._timeout_s + ANSWER_S if since else FIRST_SYNC_S
        return await self.call(
            "GET", "/v3/sync", query=query + ([("since", since)] if since else []), timeout_s=longest_s
        )

    async def _take_rooms(self, answer: Json) -> None:
        """Bring what we know of rooms up to date, before anything is decrypted or told."""
        rooms = mapping(answer.get("rooms"))
        for room_id, told in mapping(rooms.get("join")).items():
            room = self._rooms.setdefault(room_id, KnownRoom(room_id, encrypted=room_id in self._encrypted))
            timeline = mapping(mapping(told).get("timeline"))
            if timeline.get("limited") is True:
                room.complete = False
            for raw in items(mapping(mapping(told).get("state")).get("events")) + items(timeline.get("events")):
                if event := parsing.event(raw, room_id):
                    room.apply(event)
            room.summarise(mapping(told).get("summary"))
        for room_id in mapping(rooms.get("leave")):
            self._rooms.pop(room_id, None)
            self._sharing.forget(room_id)
        self._rooms_known = True
        self._keep_encrypted()

    def _keep_encrypted(self) -> None:
        """Remember which rooms are encrypted, whatever the server says later."""
        new = {room_id for room_id, room in self._rooms.items() if room.encrypted} - self._encrypted
        if new:
            self._machine.store.save_encrypted_rooms(new)
            self._encrypted |= new

    async def _news(self, answer: Json) -> News:
        self._upkeep.told(answer)
        to_device = await self._open_to_device(items(mapping(answer.get("to_device")).get("events")))
        rooms = mapping(answer.get("rooms"))
        joined = [await self._timeline(room_id, told) for room_id, told in mapping(rooms.get("join")).items()]
        invited = [
            parsing.invitation(told, room_id, self.user_id) for room_id, told in mapping(rooms.get("invite")).items()
        ]
        left = [
            Departure(room_id, parsing.departed_by(told, self.user_id))
            for room_id, told in mapping(rooms.get("leave")).items()
        ]
        token = text(answer.get("next_batch"))
        if not token:
            raise Unsettled("the homeserver's answer to a sync has no token")
        return News(
            token,
            tuple(timeline for timeline in joined if timeline.events or timeline.limited),
            tuple(invitation for invitation in invited if invitation),
            tuple(left),
            tuple(to_device),
        )

    async def _timeline(self, room_id: str, told: object) -> Timeline:
        timeline = mapping(mapping(told).get("timeline"))
        events = await self._read_all(items(timeline.get("events")), room_id)
        return Timeline(room_id, tuple(events), timeline.get("limited") is True, text(timeline.get("prev_batch")))

    async def _open_to_device(self, raw: Sequence[object]) -> list[ToDevice]:
        messages = [message for each in raw if (message := parsing.to_device(each))]
        opened: list[ToDevice | None] = []
        for start in range(0, len(messages), CHUNK):
            with self._machine.store.database.atomic():
                opened.extend(self._opened(message) for message in messages[start : start + CHUNK])
            await asyncio.sleep(0)
        return [message for message in opened if message]

    def _opened(self, message: ToDevice) -> ToDevice | None:
        return self._machine.open_to_device(message) if message.type == "m.room.encrypted" else message

    async def _read_all(self, raw: Sequence[object], room_id: str) -> list[Event]:
        events: list[Event] = []
        for start in range(0, len(raw), CHUNK):
            events.extend(event for each in raw[start : start + CHUNK] if (event := self._read(each, room_id)))
            await asyncio.sleep(0)
        return events

    def _read(self, raw: object, room_id: str) -> Event | None:
        event = parsing.event(raw, room_id)
        return self._open(event) if event and event.session_id else event

    def _open(self, event: Event) -> Event:
        opened = self._machine.open_in_room(event.room_id, event.sender, event.event_id, event.content)
        self._upkeep.wonder(event.sender)
        if opened is None:
            return event
        return replace(event, type=opened.type, content=opened.content, session_id="")

    async def _gather(self, room: KnownRoom) -> None:
        """Know everybody in a room; syncs tell only of those who speak, and of changes."""
        if room.complete:
            return
        raw = await self.call(
            "GET", "/v3" + path("rooms", room.room_id, "members"), query=[("not_membership", "leave")]
        )
        room.gather(event for each in items(raw.get("chunk")) if (event := parsing.event(each, room.room_id)))

    async def _place(self, room_id: str, event_id: str, side: str) -> str:
        raw = await self.call("GET", "/v3" + path("rooms", room_id, "context", event_id), query=[("limit", "0")])
        place = text(raw.get(side))
        if not place:
            raise Refused(404, "M_NOT_FOUND", raw)
        return place


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
