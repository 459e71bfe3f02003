"""Turns Matrix's messages into the core's: what counts for deciding, and the question itself. Pure."""

from dataclasses import dataclass

from adapters.matrix.event_content import MESSAGE, relation_of, text
from adapters.matrix.events import Event, Json, Room
from adapters.matrix.ids import conversation_id, person_id, private_audience, room_audience
from adapters.matrix.incoming.addressing import Seen
from adapters.matrix.incoming.attachments import KINDS, caption_of, is_bare, is_file
from adapters.matrix.incoming.context import Enclosed
from adapters.matrix.incoming.display_names import UNSEEN, Names
from adapters.matrix.incoming.pills import Us, means
from adapters.matrix.incoming.plain_text import plain, written
from adapters.matrix.settings import MatrixSettings
from bot.core.messages import Audience, Message, Person

SAID_BY_PEOPLE = frozenset({"m.text", "m.emote", *KINDS})

LATEST_MS = 2**53
"""The largest number in canonical JSON."""

DOUBLE_PUPPET = "fi.mau.double_puppet_source"
"""What bridges of the mautrix family put into what they write in a person's own name: it was said elsewhere."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a message stands: the room, how we are called in it, and what holds there. `prefix` begins commands."""

    room: Room
    us: Us
    settings: MatrixSettings
    prefix: str


def us_in(room: Room, user_id: str) -> Us:
    """How we are called in a room."""
    return Us(user_id, " ".join(UNSEEN.sub("", room.names.get(user_id, "")).split()))


def text_of(content: Json) -> str:
    """What a message says as it was typed; of a file what is said with it."""
    if not is_file(content):
        return written(content)
    caption = caption_of(content)
    return written({**content, "body": caption}) if caption.strip() else ""


def spoken_in(event: Event, place: Place) -> str:
    """What a message says to us, as plain text."""
    return plain(event.content, text_of(event.content), place.us, Names(place.room).known)


def seen(event: Event, place: Place) -> Seen:
    """What counts of a message for deciding whether it is ours, as far as it says so itself."""
    content, typed, us = event.content, text_of(event.content), place.us
    return Seen(
        sender=event.sender,
        room_id=event.room_id,
        is_direct=place.room.is_direct,
        is_ours=event.sender == us.user_id,
        is_said=is_said(event) and (bool(typed.strip()) or is_file(content)),
        is_echo=DOUBLE_PUPPET in content,
        is_bare_file=is_bare(content),
        begins_command=bool(place.prefix) and spoken_in(event, place).startswith(place.prefix),
        mentions_us=means(content, typed, us),
    )


def is_said(event: Event) -> bool:
    """Whether an event is a message that people write, not an edit of one, nor a notice."""
    kind = text(event.content, "msgtype")
    return (
        event.type == MESSAGE
        and event.state_key is None
        and kind in SAID_BY_PEOPLE
        and not relation_of(event.content).replaces
    )


def is_admin(settings: MatrixSettings, room: Room, user_id: str) -> bool:
    """Whether a person may use the admins' commands in a room. Power counts only in rooms that the admin named: in a
    room of their own everybody has all of it.
    """
    if user_id in settings.admin_users:
        return True
    return room.room_id in settings.admin_rooms and room.power_of(user_id) >= settings.admin_power


def is_private(room: Room) -> bool:
    """Whether exactly one person reads what is written in a room."""
    return room.is_direct and not room.open_history


def wants_context(spoken: str, prefix: str) -> bool:
    """Whether a text that may be a command is to be read with what goes with it: a question is."""
    return not (prefix and spoken.startswith(prefix)) or _asks(spoken, prefix)


def question_of(
    event: Event, place: Place, enclosed: Enclosed, *, addressed: bool = True, asker: str = "", thread: str = ""
) -> Message:
    """The message as the core takes it. `asker` is who wants it answered, where that is not its author, and `thread`
    the thread where that is to be, where it is not the message's own.
    """
    room, settings = place.room, place.settings
    names, asker = Names(room), asker or event.sender
    spoken = spoken_in(event, place)
    root = thread or relation_of(event.content).thread or (event.event_id if _opens(place, spoken) else "")
    where = {"room": event.room_id, "question": event.event_id, "author": asker}
    return Message(
        conversation=conversation_id(event.room_id, root),
        event_id=event.event_id,
        author=Person(person_id(asker), names.of(asker), is_admin=is_admin(settings, room, asker)),
        text=spoken,
        addressed=addressed,
        audience=_audience(room, asker),
        sent_at=sent_at(event),
        attachments=enclosed.attachments,
        context=enclosed.context,
        platform_data={**where, "thread": root} if root else where,
    )


def sent_at(event: Event) -> float:
    """When an event was sent by its sender's server's clock, in seconds; a number that is no time counts as never."""
    return event.sent_ms / 1000 if 0 <= event.sent_ms <= LATEST_MS else 0.0


def _audience(room: Room, asker: str) -> Audience:
    return private_audience(room.room_id, asker) if is_private(room) else room_audience(room.room_id)


def _opens(place: Place, spoken: str) -> bool:
    """Whether the answer opens a thread on its question. Commands are about the room that they are given in."""
    room = place.room
    return place.settings.in_thread(room.room_id) and not room.is_direct and wants_context(spoken, place.prefix)


def _asks(spoken: str, prefix: str) -> bool:
    return spoken.removeprefix(prefix).partition(" ")[0].casefold() == "ask"
