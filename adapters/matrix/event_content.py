"""Reads an event's content, in which anything may stand: what is of a wrong type counts as not there. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from adapters.matrix.events import Event, Json

MESSAGE = "m.room.message"
REACTION = "m.reaction"
REDACTION = "m.room.redaction"
NOTICE = "m.notice"
THREAD = "m.thread"
EDIT = "m.replace"
HTML = "org.matrix.custom.html"

ID_CHARACTERS = 255
"""The longest id of an event or a user (appendices, "Common Identifier Format"), there in bytes."""


@dataclass(frozen=True, slots=True)
class Relation:
    """How an event relates to others, by their ids; empty where it does not.

    `reply_to`: what a person replied to. `in_reply_to` is that too where the reply only stands in for a thread, for
    clients that know no threads. `reaction`: the key of a reaction to `reacts_to`.
    """

    reply_to: str = ""
    in_reply_to: str = ""
    thread: str = ""
    replaces: str = ""
    reacts_to: str = ""
    reaction: str = ""


def relation_of(content: object) -> Relation:
    """How an event with this content relates to others."""
    relates = get_object(content, "m.relates_to")
    points_at = get_event_id(get_object(relates, "m.in_reply_to"), "event_id")
    target, kind = get_event_id(relates, "event_id"), get_text(relates, "rel_type")
    if not target:
        return Relation(reply_to=points_at, in_reply_to=points_at)
    if kind == THREAD:
        stands_in = relates.get("is_falling_back") is True
        return Relation(reply_to="" if stands_in else points_at, in_reply_to=points_at, thread=target)
    if kind == EDIT:
        return Relation(replaces=target)
    if kind == "m.annotation":
        return Relation(reacts_to=target, reaction=get_text(relates, "key"))
    return Relation(reply_to=points_at, in_reply_to=points_at)


def redaction_target(event: Event) -> str:
    """The event that a redaction takes back; from version 11 of rooms on its id stands in the content."""
    return as_event_id(event.redacts) or get_event_id(event.content, "redacts")


def mentioned_users(content: object) -> frozenset[str] | None:
    """The users that a message means to mention; None when it does not say."""
    mentions = content.get("m.mentions") if isinstance(content, Mapping) else None
    if not isinstance(mentions, Mapping):
        return None
    users = mentions.get("user_ids")
    return frozenset(user for user in users if isinstance(user, str)) if isinstance(users, list) else frozenset()


def apply_edit(event: Event, edit: Event) -> Event | None:
    """An event with another's new content; None when that is no edit of it by the same person, or the event was
    redacted. How the event relates to others stays as it was.
    """
    new = get_object(edit.content, "m.new_content")
    fits = (edit.sender, edit.type) == (event.sender, event.type) and relation_of(edit.content).replaces
    if fits != event.event_id or not new or not event.content:
        return None
    relates = get_object(event.content, "m.relates_to")
    kept = {key: value for key, value in new.items() if key != "m.relates_to"}
    return replace(event, content={**kept, "m.relates_to": relates} if relates else kept)


def get_text(content: object, key: str) -> str:
    """A text of an object; empty when there is none. Half characters, which no other program takes, are replaced."""
    value = content.get(key) if isinstance(content, Mapping) else None
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if isinstance(value, str) else ""


def get_number(content: object, key: str) -> int:
    """A number from 0 on of an object; -1 when there is none."""
    value = content.get(key) if isinstance(content, Mapping) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else -1


def get_object(content: object, key: str) -> Json:
    """An object in an object; empty when there is none."""
    value: Any = content.get(key) if isinstance(content, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def get_event_id(content: object, key: str) -> str:
    """An event's id in an object; empty when there is none."""
    return as_event_id(content.get(key) if isinstance(content, Mapping) else None)


def as_event_id(value: object) -> str:
    """A value that is an event's id; empty when it cannot be one."""
    if not isinstance(value, str) or not value.startswith("$") or len(value) > ID_CHARACTERS:
        return ""
    return value if value.isprintable() and " " not in value else ""
