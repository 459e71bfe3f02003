"""A homeserver in memory with one account of ours on it, for everything that is written against `Homeserver`."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from adapters.matrix.events import Departure, Event, EventPage, Invitation, Json, Room, SyncResponse, Timeline, ToDevice
from adapters.matrix.homeserver import FileTooLarge, RequestRefused
from tests.fakes.wire_faults import Faults
from tests.fakes.wire_rooms import FakeRoom, text

ME = "@hearth:home.example"
DEVICE = "HEARTHDEVICE"
ALICE = "@alice:home.example"
ROOM = "!room:home.example"


@dataclass(frozen=True, slots=True)
class Sent:
    """An event that was sent, with its plain content; `encrypted` says how it went over the wire."""

    room_id: str
    kind: str
    content: Json
    tx_id: str
    event_id: str
    encrypted: bool


class FakeHomeserver:
    """Fills `Homeserver`. A test speaks for everybody else with `add_room`, `say`, `post`, `invite`, `kick` and `tell`.

    `sent`, `redacted`, `typing_log`, `receipts`, `joins` and `leaves` list what was asked of the server, `faults`
    holds what it does wrong, `timeline_limit` is how many events of a room a sync tells at most.
    """

    def __init__(self, user_id: str = ME, device_id: str = DEVICE) -> None:
        self.user_id = user_id
        self.device_id = device_id
        self.faults = Faults()
        self.timeline_limit = 20
        self.rooms: dict[str, FakeRoom] = {}
        self.sent: list[Sent] = []
        self.redacted: list[str] = []
        self.typing_log: list[tuple[str, bool]] = []
        self.receipts: list[tuple[str, str]] = []
        self.joins: list[str] = []
        self.leaves: list[str] = []
        self.leave_reasons: list[str] = []
        self.calls: list[tuple[str, str, Json | None]] = []
        self.answers: dict[tuple[str, str], Json | Exception | Callable[[Json | None], Json]] = {}
        self.media: dict[str, bytes] = {}
        self._known: set[str] = set()
        self._joined_at: dict[str, int] = {}
        self._transactions: dict[tuple[str, str], str] = {}
        self._asides: list[tuple[int, Invitation | Departure | ToDevice]] = []
        self._position = 0
        self._clock_ms = 1_700_000_000_000
        self._news = asyncio.Event()

    @property
    def newest(self) -> str:
        """The token of a sync that has told everything so far."""
        return f"s{self._position}"

    # What the test does.

    def add_room(self, room_id: str = ROOM, *others: str, **room: Any) -> FakeRoom:
        """A room that we and `others` (Alice when nobody is named) are in; `get_room` is what else `FakeRoom` takes."""
        members = dict.fromkeys((self.user_id, *(others or (ALICE,))), "join")
        self.rooms[room_id] = FakeRoom(room_id, members, **room)
        self._known.add(room_id)
        return self.rooms[room_id]

    def say(self, body: str, sender: str = ALICE, room_id: str = ROOM, *, plain: bool = False, **content: Any) -> Event:
        """Somebody writes a text message."""
        return self.post(room_id, sender, "m.room.message", text(body, **content), plain=plain)

    def post(
        self,
        room_id: str,
        sender: str,
        kind: str,
        content: Json,
        state_key: str | None = None,
        redacts: str = "",
        age_ms: int = 0,
        session_id: str = "",
        plain: bool = False,
    ) -> Event:
        """An event of any kind. With a `session_id` it cannot be decrypted until `give_key`; a `plain` one is not
        encrypted, also in an encrypted room.
        """
        room = self.rooms[room_id]
        number = self._step()
        event = Event(
            room_id,
            f"$event{number}",
            sender,
            kind,
            content,
            self._clock_ms,
            age_ms,
            state_key,
            redacts,
            room.encrypted and not plain,
        )
        room.timeline.append((number, room.lock(event, session_id) if session_id else event))
        return event

    def give_key(self, room_id: str, session_id: str, sender: str = ALICE) -> None:
        """The key of a session comes late."""
        self.rooms[room_id].locked.discard(session_id)
        self.tell(sender, "m.room_key", {"room_id": room_id, "session_id": session_id}, encrypted=True)

    def tell(self, sender: str, kind: str, content: Json, encrypted: bool = False) -> None:
        """A to-device message."""
        self._aside(ToDevice(sender, kind, content, encrypted))

    def invite(self, room_id: str, inviter: str = ALICE, *, direct: bool = False, **room: Any) -> None:
        """Somebody invites us to a room; `room` is what else `FakeRoom` takes."""
        self.rooms[room_id] = made = FakeRoom(room_id, {inviter: "join", self.user_id: "invite"}, **room)
        self._aside(Invitation(room_id, inviter, direct, made.is_space))

    def kick(self, room_id: str, sender: str = ALICE) -> None:
        """Somebody removes us from a room."""
        self._depart(room_id, sender)

    def edits_of(self, event_id: str) -> list[Sent]:
        """The edits of a message that were sent."""
        return [
            sent
            for sent in self.sent
            if sent.content.get("m.relates_to", {}).get("rel_type") == "m.replace"
            and sent.content["m.relates_to"].get("event_id") == event_id
        ]

    # What the client asks.

    async def call_api(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        query: Sequence[tuple[str, str]] = (),
        *,
        timeout_s: float | None = None,
    ) -> dict[str, Any]:
        await self.faults.before("call")
        self.calls.append((method, path, body))
        answer = self.answers.get((method, path), RequestRefused(404, "M_UNRECOGNIZED", {"errcode": "M_UNRECOGNIZED"}))
        if isinstance(answer, Exception):
            raise answer
        self.faults.after("call")
        return dict(answer(body) if callable(answer) else answer)

    async def sync(self, since: str, timeout_s: float) -> SyncResponse:
        await self.faults.before("sync")
        start = int(since.removeprefix("s")) if since else 0
        if start == self._position and since:
            self._news.clear()
            try:
                async with asyncio.timeout(timeout_s):  # wait_for loses cancellations (Python 3.11)
                    await self._news.wait()
            except TimeoutError:
                return SyncResponse(since)
        self._known = {room.room_id for room in self._joined()}
        asides = [aside for position, aside in self._asides if position > start]
        return SyncResponse(
            f"s{self._position}",
            joined=tuple(timeline for room in self._joined() if (timeline := self._timeline(room, start))),
            invited=tuple(aside for aside in asides if isinstance(aside, Invitation)),
            left=tuple(aside for aside in asides if isinstance(aside, Departure)),
            to_device=tuple(aside for aside in asides if isinstance(aside, ToDevice)),
        )

    def get_room(self, room_id: str) -> Room | None:
        known = room_id in self._known and room_id in self.rooms
        return self.rooms[room_id].view() if known else None

    async def send(self, room_id: str, kind: str, content: Json, tx_id: str) -> str:
        if room_id not in self._known:
            raise RequestRefused(0, "HEARTH_UNKNOWN_ROOM", {})
        await self.faults.before("send")
        room = self._inside(room_id)
        if (room_id, tx_id) not in self._transactions:
            event = self.post(room_id, self.user_id, kind, content)
            self._transactions[room_id, tx_id] = event.event_id
            encrypted = room.encrypted and kind != "m.reaction"
            self.sent.append(Sent(room_id, kind, content, tx_id, event.event_id, encrypted))
        self.faults.after("send")
        return self._transactions[room_id, tx_id]

    async def redact_event(self, room_id: str, event_id: str, tx_id: str) -> None:
        await self.faults.before("redact")
        room = self._inside(room_id)
        if (room_id, tx_id) not in self._transactions:
            room.empty(event_id)
            event = self.post(room_id, self.user_id, "m.room.redaction", {"redacts": event_id}, redacts=event_id)
            self._transactions[room_id, tx_id] = event.event_id
            self.redacted.append(event_id)
        self.faults.after("redact")

    async def get_event(self, room_id: str, event_id: str) -> Event:
        await self.faults.before("event")
        room = self._inside(room_id)
        return room.events()[room.index(event_id)]

    async def get_event_page(self, room_id: str, start: str, *, back: bool, limit: int) -> EventPage:
        await self.faults.before("page")
        return self._inside(room_id).page(start, back, limit)

    async def token_after(self, room_id: str, event_id: str) -> str:
        await self.faults.before("after")
        return f"t{self._inside(room_id).index(event_id) + 1}"

    async def token_before(self, room_id: str, event_id: str) -> str:
        await self.faults.before("before")
        return f"t{self._inside(room_id).index(event_id)}"

    async def get_relations(self, room_id: str, event_id: str, relation: str, limit: int) -> tuple[Event, ...]:
        await self.faults.before("related")
        room = self._inside(room_id)
        room.index(event_id)
        return tuple(event for event in room.events()[::-1] if room.relates(event, event_id, relation))[:limit]

    def decrypt_event(self, event: Event) -> Event | None:
        if not event.session_id:
            return event
        seen = self.rooms[event.room_id].seen(event)
        return None if seen.session_id else seen

    async def set_typing(self, room_id: str, shown: bool) -> None:
        await self.faults.before("typing")
        self._inside(room_id)
        self.typing_log.append((room_id, shown))

    async def send_read_receipt(self, room_id: str, event_id: str) -> None:
        await self.faults.before("read")
        self._inside(room_id)
        self.receipts.append((room_id, event_id))

    async def download_file(self, uri: str, limit_bytes: int) -> bytes:
        await self.faults.before("download")
        if uri not in self.media:
            raise RequestRefused(404, "M_NOT_FOUND", {"errcode": "M_NOT_FOUND"})
        if len(self.media[uri]) > limit_bytes:
            raise FileTooLarge
        return self.media[uri]

    async def upload_file(self, data: bytes, name: str, media_type: str) -> str:
        await self.faults.before("upload")
        uri = f"mxc://home.example/file{len(self.media)}"
        self.media[uri] = data
        return uri

    async def join_room(self, room_id: str, via: Sequence[str] = ()) -> None:
        await self.faults.before("join")
        if room_id not in self.rooms:
            raise RequestRefused(403, "M_FORBIDDEN", {"errcode": "M_FORBIDDEN"})
        self._asides = [(at, aside) for at, aside in self._asides if not _is_invitation(aside, room_id)]
        self.rooms[room_id].members[self.user_id] = "join"
        self.joins.append(room_id)
        self.post(room_id, self.user_id, "m.room.member", {"membership": "join"}, self.user_id)
        self._joined_at[room_id] = self._position

    async def load_members(self, room_id: str) -> None:
        await self.faults.before("members")
        if room_id in self.rooms:
            self.rooms[room_id].told_count = None

    async def leave_room(self, room_id: str, reason: str = "") -> None:
        await self.faults.before("leave")
        if room_id in self.rooms:
            self.leaves.append(room_id)
            self.leave_reasons.append(reason)
            self._depart(room_id, self.user_id)

    # Inside.

    def _step(self) -> int:
        self._position += 1
        self._clock_ms += 1000
        self._news.set()
        return self._position

    def _aside(self, aside: Invitation | Departure | ToDevice) -> None:
        self._asides.append((self._step(), aside))

    def _depart(self, room_id: str, sender: str) -> None:
        self._asides = [(at, aside) for at, aside in self._asides if not _is_invitation(aside, room_id)]
        self.rooms[room_id].members.pop(self.user_id, None)
        self._aside(Departure(room_id, sender))

    def _joined(self) -> list[FakeRoom]:
        return [room for room in self.rooms.values() if room.members.get(self.user_id) == "join"]

    def _inside(self, room_id: str) -> FakeRoom:
        room = self.rooms.get(room_id)
        if room is None or room.members.get(self.user_id) != "join":
            raise RequestRefused(403, "M_FORBIDDEN", {"errcode": "M_FORBIDDEN"})
        return room

    def _timeline(self, room: FakeRoom, start: int) -> Timeline | None:
        if self._joined_at.get(room.room_id, 0) > start:  # a room that is new to us is told with what was said before
            start = 0
        indexes = [index for index, (position, _) in enumerate(room.timeline) if position > start]
        if not indexes:
            return None
        first = max(indexes[0], len(room.timeline) - self.timeline_limit)
        return Timeline(room.room_id, tuple(room.events()[first:]), first > indexes[0], f"t{first}")


def _is_invitation(aside: Invitation | Departure | ToDevice, room_id: str) -> bool:
    return isinstance(aside, Invitation) and aside.room_id == room_id
