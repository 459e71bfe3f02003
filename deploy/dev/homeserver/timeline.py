"""Messages of rooms as a client shows them: with the newest edit and reactions, without redacted ones."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

Event = dict[str, Any]


@dataclass
class Shown:
    """One message as a client shows it.

    `content` is the content of the newest edit, `first` that of the original event, which holds the relations;
    `bodies` are all its texts, oldest first.
    """

    event_id: str
    sender: str
    content: dict[str, Any]
    first: dict[str, Any]
    sent_ms: int
    bodies: list[str]
    edited_ms: list[int] = field(default_factory=list)
    removed: bool = False
    reactions: list[tuple[str, str]] = field(default_factory=list)

    @property
    def body(self) -> str:
        """The current text."""
        return str(self.content.get("body", ""))

    @property
    def html(self) -> str:
        """The current formatted text; empty when there is none."""
        return str(self.content.get("formatted_body", ""))

    @property
    def kind(self) -> str:
        """`m.text`, `m.notice`, `m.image` and so on."""
        return str(self.content.get("msgtype", ""))

    @property
    def thread(self) -> str:
        """The root of its thread; empty outside threads."""
        relation = self.first.get("m.relates_to", {})
        return str(relation.get("event_id", "")) if relation.get("rel_type") == "m.thread" else ""

    @property
    def reply_to(self) -> str:
        """The event that it replies to; empty for none, and for the fallback reply of a thread."""
        relation = self.first.get("m.relates_to", {})
        if relation.get("is_falling_back"):
            return ""
        return str(relation.get("m.in_reply_to", {}).get("event_id", ""))

    @property
    def mentions(self) -> dict[str, Any] | None:
        """The content of `m.mentions`; None when it is missing."""
        return self.content.get("m.mentions")


class Timeline:
    """The events of one client in order of arrival; a later copy of an event replaces the earlier one."""

    def __init__(self) -> None:
        self._events: dict[str, Event] = {}

    def add(self, event: Event) -> None:
        """Add an event with `room_id`, `event_id`, `type`, `sender` and `content`."""
        self._events[event["event_id"]] = event

    def events(self, room: str = "", kind: str = "", sender: str = "") -> list[Event]:
        """The events, oldest first: all, or those of a room, a type, a sender."""
        return [
            event
            for event in self._events.values()
            if room in ("", event["room_id"]) and kind in ("", event["type"]) and sender in ("", event["sender"])
        ]

    def shown(self, room: str, sender: str = "") -> list[Shown]:
        """The messages of a room that are not redacted, oldest first: all, or those of a sender."""
        everything = _applied(self.events(room))
        return [shown for shown in everything if not shown.removed and sender in ("", shown.sender)]


def _applied(events: Iterable[Event]) -> Iterator[Shown]:
    messages: dict[str, Shown] = {}
    for event in events:
        content = event["content"]
        relation = content.get("m.relates_to") or {}
        target = messages.get(relation.get("event_id", ""))
        if event["type"] == "m.room.redaction":
            _remove(messages, str(event.get("redacts") or content.get("redacts")))
        elif event["type"] == "m.reaction" and target:
            target.reactions.append((event["sender"], relation.get("key", "")))
        elif event["type"] == "m.room.message" and relation.get("rel_type") == "m.replace":
            if target and target.sender == event["sender"]:
                _edit(target, event)
        elif event["type"] == "m.room.message" and content:
            messages[event["event_id"]] = _shown(event)
    yield from messages.values()


def _shown(event: Event) -> Shown:
    content = event["content"]
    body = str(content.get("body", ""))
    return Shown(event["event_id"], event["sender"], content, content, event["origin_server_ts"], [body])


def _edit(shown: Shown, event: Event) -> None:
    shown.content = event["content"].get("m.new_content", {})
    shown.bodies.append(shown.body)
    shown.edited_ms.append(event["origin_server_ts"])


def _remove(messages: dict[str, Shown], event_id: str) -> None:
    if event_id in messages:
        messages[event_id].removed = True
