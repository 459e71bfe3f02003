"""Parser for a homeserver's JSON, whose every field may be missing or of a wrong type."""

import json
from typing import Any

from adapters.matrix.events import Event, Invitation, ToDevice
from adapters.matrix.executor import run_in_thread

MAX_INT = 2**53 - 1
"""The largest integer in Matrix (specification, "Canonical JSON")."""


async def decode_json(data: bytes) -> Any:
    """Parse JSON, replacing lone surrogates, which could not be encoded again; None for invalid JSON."""
    try:
        return parse_json(data)
    except RecursionError:
        # Nested too deep for the rest of this stack; a thread has a whole stack, as much as the server had.
        return await run_in_thread(_parse_or_none, data)


def parse_json(data: bytes | str) -> Any:
    """Same as `decode_json`, without a thread. Raises RecursionError when it is nested too deep."""
    try:
        value = json.loads(data)
        surrogates = b"\\ud" in data.lower() if isinstance(data, bytes) else "\\ud" in data.lower()
        return json.loads(json.dumps(value, ensure_ascii=False).encode(errors="replace")) if surrogates else value
    except ValueError:
        return None


def _parse_or_none(data: bytes) -> Any:
    try:
        return parse_json(data)
    except RecursionError:
        return None


def as_dict(value: object) -> dict[str, Any]:
    """The value if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def as_list(value: object) -> list[Any]:
    """The value if it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def as_text(value: object) -> str:
    """The value if it is a string, else an empty one."""
    return value if isinstance(value, str) else ""


def as_int(value: object) -> int | None:
    """The value if it is an integer, also one written as text as in old rooms, else None."""
    if isinstance(value, str) and len(value) < 20 and value.removeprefix("-").isdecimal():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= MAX_INT else None


def parse_event(raw: object, room_id: str) -> Event | None:
    """Parse an event of a room, without decryption; None for anything else."""
    if not isinstance(raw, dict):
        return None
    names = (raw.get("event_id"), raw.get("sender"), raw.get("type"))
    if not all(isinstance(name, str) and name for name in names) or not isinstance(raw.get("content"), dict):
        return None
    content = raw["content"]
    state_key = raw.get("state_key")
    return Event(
        room_id=room_id,
        event_id=raw["event_id"],
        sender=raw["sender"],
        type=raw["type"],
        content=content,
        sent_ms=as_int(raw.get("origin_server_ts")) or 0,
        age_ms=as_int(as_dict(raw.get("unsigned")).get("age")),
        state_key=state_key if isinstance(state_key, str) else None,
        # Up to room version 10 next to the content, since then inside it.
        redacts=as_text(raw.get("redacts"))
        or (as_text(content.get("redacts")) if raw["type"] == "m.room.redaction" else ""),
        encrypted=raw["type"] == "m.room.encrypted",
        session_id=as_text(content.get("session_id")) if raw["type"] == "m.room.encrypted" else "",
    )


def parse_to_device(raw: object) -> ToDevice | None:
    """Parse a to-device message, without decryption; None for anything else."""
    if not isinstance(raw, dict):
        return None
    sender, kind, content = raw.get("sender"), raw.get("type"), raw.get("content")
    if not (isinstance(sender, str) and isinstance(kind, str) and isinstance(content, dict)):
        return None
    return ToDevice(sender, kind, content)


def parse_invitation(raw: object, room_id: str, user_id: str) -> Invitation | None:
    """Parse an invitation from its stripped state; None when it names no inviter."""
    states = [as_dict(state) for state in as_list(as_dict(as_dict(raw).get("invite_state")).get("events"))]
    kinds = [as_dict(state.get("content")).get("type") for state in states if state.get("type") == "m.room.create"]
    for member in states:
        content = as_dict(member.get("content"))
        ours = member.get("type") == "m.room.member" and member.get("state_key") == user_id
        if ours and content.get("membership") == "invite" and isinstance(member.get("sender"), str):
            return Invitation(room_id, member["sender"], content.get("is_direct") is True, "m.space" in kinds)
    return None


def leave_sender(raw: object, user_id: str) -> str:
    """The user who removed us from a room; ourselves if the server does not say."""
    left = as_dict(raw)
    for part in ("timeline", "state"):
        for state in reversed(as_list(as_dict(left.get(part)).get("events"))):
            member = as_dict(state)
            if member.get("type") == "m.room.member" and member.get("state_key") == user_id:
                return as_text(member.get("sender")) or user_id
    return user_id
