"""The events of verifications as they come, to a device or in a room, in one shape; whatever is malformed is none."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adapters.matrix.events import Event, Json, ToDevice

PREFIX = "m.key.verification."
REQUEST = f"{PREFIX}request"
ID_CHARACTERS = 255


@dataclass(frozen=True, slots=True)
class Place:
    """Where one verification happens: with whom, under which id, and in which room (empty: between two devices)."""

    user_id: str
    transaction: str
    room_id: str = ""

    def wrapped(self, content: Json) -> dict[str, Any]:
        """What is sent, with the mark that says which verification it belongs to."""
        if self.room_id:
            return {**content, "m.relates_to": {"rel_type": "m.reference", "event_id": self.transaction}}
        return {**content, "transaction_id": self.transaction}


@dataclass(frozen=True, slots=True)
class Step:
    """One event of a verification. `kind`: what follows `m.key.verification.` in its type."""

    place: Place
    kind: str
    content: Json


def is_verification(event: Event) -> bool:
    """Whether an event of a room belongs to a verification, whosever and however broken."""
    return event.type.startswith(PREFIX) or (event.type == "m.room.message" and event.content.get("msgtype") == REQUEST)


def step_in_room(event: Event, own_user_id: str) -> Step | None:
    """The step in an event of a room; None when it is nothing for us."""
    if event.sender == own_user_id or not is_verification(event):
        return None
    if event.type == "m.room.message":
        if event.content.get("to") != own_user_id:
            return None
        return Step(Place(event.sender, event.event_id, event.room_id), "request", event.content)
    relation = event.content.get("m.relates_to")
    root = _named(relation.get("event_id")) if isinstance(relation, Mapping) else ""
    if not root or event.type == REQUEST:
        return None
    return Step(Place(event.sender, root, event.room_id), event.type.removeprefix(PREFIX), event.content)


def step_to_device(message: ToDevice) -> Step | None:
    """The step in a message to this device; None when it is nothing for us."""
    transaction = _named(message.content.get("transaction_id"))
    if not message.type.startswith(PREFIX) or not transaction:
        return None
    return Step(Place(message.sender, transaction), message.type.removeprefix(PREFIX), message.content)


def text(content: Json, key: str) -> str:
    """A text of a content that may hold anything. Raises ValueError."""
    value = content.get(key)
    if not isinstance(value, str) or not value:
        raise ValueError(f"{key} is missing")
    return value


def device_of(content: Json) -> str:
    """The device that a request or a start comes from. Raises ValueError."""
    device = _named(content.get("from_device"))
    if not device:
        raise ValueError("from_device is missing")
    return device


def offers(content: Json, key: str, wanted: str) -> bool:
    """Whether a list of a content that may hold anything names what we want."""
    value = content.get(key)
    return isinstance(value, list | tuple) and wanted in value


def _named(value: Any) -> str:
    """An id, empty when it is none."""
    return value if isinstance(value, str) and len(value) <= ID_CHARACTERS and value.isprintable() else ""
