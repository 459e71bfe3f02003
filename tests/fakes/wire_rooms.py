"""The rooms of the homeserver in memory: timelines that can be paged, and who is in them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from adapters.matrix.events import Event, EventPage, Room
from adapters.matrix.homeserver import RequestRefused


@dataclass
class FakeRoom:
    """A room. `members` maps users to `join` or `invite`; `timeline` holds every event with its place in the stream.
    `told_count` is the number of members that syncs tell, right or wrong, until the list has been loaded.

    `locked` are ids of sessions whose key has not come: their events cannot be read.
    """

    room_id: str
    members: dict[str, str]
    encrypted: bool = False
    name: str = ""
    powers: dict[str, int] = field(default_factory=dict)
    default_power: int = 0
    names: dict[str, str] = field(default_factory=dict)
    open_history: bool = False
    join_rule: str = "invite"
    writing_power: int = 0
    told_count: int | None = None
    is_space: bool = False
    timeline: list[tuple[int, Event]] = field(default_factory=list)
    locked: set[str] = field(default_factory=set)
    plain: dict[str, Event] = field(default_factory=dict)

    def view(self) -> Room:
        """The room as a client knows it."""
        return Room(
            self.room_id,
            encrypted=self.encrypted,
            member_count=len(self.members) if self.told_count is None else self.told_count,
            name=self.name,
            power_levels=dict(self.powers),
            default_power_level=self.default_power,
            display_names=dict(self.names),
            members=frozenset(self.members),
            world_readable=self.open_history,
            members_complete=self.told_count is None,
            join_rule=self.join_rule,
            is_space=self.is_space,
            writing_power=self.writing_power,
        )

    def lock(self, event: Event, session_id: str) -> Event:
        """The event as it looks to a device without the key of its session."""
        self.locked.add(session_id)
        self.plain[event.event_id] = replace(event, encrypted=True)
        return replace(
            event,
            type="m.room.encrypted",
            content={"algorithm": "m.megolm.v1.aes-sha2", "session_id": session_id},
            encrypted=True,
            session_id=session_id,
        )

    def seen(self, event: Event) -> Event:
        """An event, readable where its key has come."""
        if event.session_id and event.session_id not in self.locked:
            return self.plain[event.event_id]
        return event

    def events(self) -> list[Event]:
        """All events, oldest first."""
        return [self.seen(event) for _, event in self.timeline]

    def index(self, event_id: str) -> int:
        """Where an event stands in the timeline."""
        for index, (_, event) in enumerate(self.timeline):
            if event.event_id == event_id:
                return index
        raise RequestRefused(404, "M_NOT_FOUND", {"errcode": "M_NOT_FOUND"})

    def page(self, start: str, back: bool, limit: int) -> EventPage:
        """Events from a place on, as `Homeserver.get_event_page` gives them; places count from the oldest event."""
        place = int(start.removeprefix("t")) if start else len(self.timeline)
        events = self.events()
        if back:
            found = events[max(0, place - limit) : place][::-1]
            return EventPage(tuple(found), f"t{place - limit}" if place > limit else "")
        found = events[place : place + limit]
        return EventPage(tuple(found), f"t{place + limit}" if place + limit < len(events) else "")

    def relates(self, event: Event, event_id: str, relation: str) -> bool:
        """Whether an event relates to another in a way. Servers see that of encrypted ones too: it stands outside."""
        relates_to = self.plain.get(event.event_id, event).content.get("m.relates_to")
        found = relates_to if isinstance(relates_to, Mapping) else {}
        return (found.get("event_id"), found.get("rel_type")) == (event_id, relation)

    def empty(self, event_id: str) -> None:
        """What a redaction leaves of an event."""
        index = self.index(event_id)
        position, event = self.timeline[index]
        self.timeline[index] = (position, replace(event, content={}, session_id=""))


def text(body: str, **more: Any) -> Mapping[str, Any]:
    """The content of a text message; `more` is put beside it."""
    return {"msgtype": "m.text", "body": body, **more}
