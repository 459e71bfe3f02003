"""Pure readers of untrusted event contents: a value of a wrong type counts as missing."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adapters.matrix.events import Event, Json

MESSAGE = "m.room.message"
REACTION = "m.reaction"
REDACTION = "m.room.redaction"
POWER_LEVELS = "m.room.power_levels"
NOTICE = "m.notice"
THREAD = "m.thread"
EDIT = "m.replace"
HTML = "org.matrix.custom.html"

ID_CHARACTERS = 255
"""Maximum length of an event or user id (appendices, "Common Identifier Format", there in bytes)."""


@dataclass(frozen=True, slots=True)
class Relation:
    """The relations of an event, as event ids; empty without one.

    `reply_to`: the event that its author replied to. `in_reply_to`: the same, or the fallback reply of a message in a
    thread, for clients without threads. `reaction`: the key of a reaction to `reacts_to`.
    """

    reply_to: str = ""
    in_reply_to: str = ""
    thread: str = ""
    replaces: str = ""
    reacts_to: str = ""
    reaction: str = ""


def relation_of(content: object) -> Relation:
    """The relations of an event with this content."""
    relates = get_object(content, "m.relates_to")
    in_reply_to = get_event_id(get_object(relates, "m.in_reply_to"), "event_id")
    target, kind = get_event_id(relates, "event_id"), get_text(relates, "rel_type")
    if not target:
        return Relation(reply_to=in_reply_to, in_reply_to=in_reply_to)
    if kind == THREAD:
        is_fallback = relates.get("is_falling_back") is True
        return Relation(reply_to="" if is_fallback else in_reply_to, in_reply_to=in_reply_to, thread=target)
    if kind == EDIT:
        return Relation(replaces=target)
    if kind == "m.annotation":
        return Relation(reacts_to=target, reaction=get_text(relates, "key"))
    return Relation(reply_to=in_reply_to, in_reply_to=in_reply_to)


def redaction_target(event: Event) -> str:
    """The event that a redaction removes; from room version 11 on its id is in the content."""
    return as_event_id(event.redacts) or get_event_id(event.content, "redacts")


def mentioned_users(content: object) -> frozenset[str] | None:
    """The users in a message's `m.mentions`; None without it."""
    mentions = content.get("m.mentions") if isinstance(content, Mapping) else None
    if not isinstance(mentions, Mapping):
        return None
    users = mentions.get("user_ids")
    return frozenset(user for user in users if isinstance(user, str)) if isinstance(users, list) else frozenset()


def get_text(content: object, key: str) -> str:
    """A text of an object; empty when there is none. Lone surrogates, which no other program accepts, are replaced."""
    value = content.get(key) if isinstance(content, Mapping) else None
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if isinstance(value, str) else ""


def get_number(content: object, key: str) -> int:
    """A non-negative number of an object; -1 when there is none."""
    value = content.get(key) if isinstance(content, Mapping) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else -1


def get_object(content: object, key: str) -> Json:
    """An object in an object; empty when there is none."""
    value: Any = content.get(key) if isinstance(content, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def get_event_id(content: object, key: str) -> str:
    """An event id in an object; empty when there is none."""
    return as_event_id(content.get(key) if isinstance(content, Mapping) else None)


def as_event_id(value: object) -> str:
    """A value that is an event id; empty when it cannot be one."""
    if not isinstance(value, str) or not value.startswith("$") or len(value) > ID_CHARACTERS:
        return ""
    return value if value.isprintable() and " " not in value else ""
