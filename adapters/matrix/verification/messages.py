"""Verification events, to-device and in rooms, parsed into one type; malformed events are ignored."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adapters.matrix.events import Event, Json, ToDevice

PREFIX = "m.key.verification."
REQUEST = f"{PREFIX}request"
ID_CHARACTERS = 255


@dataclass(frozen=True, slots=True)
class FlowId:
    """Identifies one verification: the other user, the transaction id, and the room (empty: to-device)."""

    user_id: str
    transaction_id: str
    room_id: str = ""

    def wrap_content(self, content: Json) -> dict[str, Any]:
        """The content with the field that assigns it to this verification."""
        if self.room_id:
            return {**content, "m.relates_to": {"rel_type": "m.reference", "event_id": self.transaction_id}}
        return {**content, "transaction_id": self.transaction_id}


@dataclass(frozen=True, slots=True)
class VerificationStep:
    """One event of a verification. `kind`: its type without `m.key.verification.`."""

    flow: FlowId
    kind: str
    content: Json


def is_verification(event: Event) -> bool:
    """Whether an event of a room belongs to any verification, malformed or not."""
    return event.type.startswith(PREFIX) or (event.type == "m.room.message" and event.content.get("msgtype") == REQUEST)


def step_from_room(event: Event, own_user_id: str) -> VerificationStep | None:
    """The step in an event of a room; None when it is not for us."""
    if event.sender == own_user_id or not is_verification(event):
        return None
    if event.type == "m.room.message":
        if event.content.get("to") != own_user_id:
            return None
        return VerificationStep(FlowId(event.sender, event.event_id, event.room_id), "request", event.content)
    relation = event.content.get("m.relates_to")
    root = _as_id(relation.get("event_id")) if isinstance(relation, Mapping) else ""
    if not root or event.type == REQUEST:
        return None
    return VerificationStep(FlowId(event.sender, root, event.room_id), event.type.removeprefix(PREFIX), event.content)


def step_from_to_device(message: ToDevice) -> VerificationStep | None:
    """The step in a to-device message; None when it is not for us."""
    transaction = _as_id(message.content.get("transaction_id"))
    if not message.type.startswith(PREFIX) or not transaction:
        return None
    return VerificationStep(FlowId(message.sender, transaction), message.type.removeprefix(PREFIX), message.content)


def require_text(content: Json, key: str) -> str:
    """A non-empty text of an untrusted content. Raises ValueError."""
    value = content.get(key)
    if not isinstance(value, str) or not value:
        raise ValueError(f"{key} is missing")
    return value


def require_device(content: Json) -> str:
    """The device that sent a request or a start. Raises ValueError."""
    device = _as_id(content.get("from_device"))
    if not device:
        raise ValueError("from_device is missing")
    return device


def list_contains(content: Json, key: str, wanted: str) -> bool:
    """Whether a list of an untrusted content contains a value."""
    value = content.get(key)
    return isinstance(value, list | tuple) and wanted in value


def _as_id(value: Any) -> str:
    """The value if it is a valid id, else empty."""
    return value if isinstance(value, str) and len(value) <= ID_CHARACTERS and value.isprintable() else ""
