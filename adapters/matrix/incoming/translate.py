"""Turns Matrix's messages into the core's: what counts for deciding, and the question itself. Pure."""

from dataclasses import dataclass

from adapters.matrix.event_content import MESSAGE, get_text, relation_of
from adapters.matrix.events import Event, Json, Room
from adapters.matrix.ids import conversation_id, person_id, private_audience, room_audience
from adapters.matrix.incoming.addressing import MatrixMessageFacts
from adapters.matrix.incoming.attachments import FILE_MSGTYPES, caption_of, is_bare_file, is_file
from adapters.matrix.incoming.context import QuestionContext
from adapters.matrix.incoming.display_names import INVISIBLE, DisplayNames
from adapters.matrix.incoming.pills import BotIdentity, mentions_bot
from adapters.matrix.incoming.plain_text import to_plain_text, typed_text
from adapters.matrix.settings import MatrixSettings
from bot.core.messages import Audience, Message, Person

USER_MSGTYPES = frozenset({"m.text", "m.emote", *FILE_MSGTYPES})

MAX_SENT_MS = 2**53
"""The largest number in canonical JSON."""

DOUBLE_PUPPET = "fi.mau.double_puppet_source"
"""What bridges of the mautrix family put into what they write in a person's own name: it was said elsewhere."""


@dataclass(frozen=True, slots=True)
class RoomContext:
    """Where a message stands: the room, how we are called in it, and what holds there. `prefix` begins commands."""

    room: Room
    bot: BotIdentity
    settings: MatrixSettings
    prefix: str


def bot_identity(room: Room, user_id: str) -> BotIdentity:
    """How we are called in a room."""
    return BotIdentity(user_id, " ".join(INVISIBLE.sub("", room.display_names.get(user_id, "")).split()))


def typed_or_caption(content: Json) -> str:
    """What a message says as it was typed; of a file what is said with it."""
    if not is_file(content):
        return typed_text(content)
    caption = caption_of(content)
    return typed_text({**content, "body": caption}) if caption.strip() else ""


def plain_text_of(event: Event, place: RoomContext) -> str:
    """What a message says to us, as plain text."""
    return to_plain_text(event.content, typed_or_caption(event.content), place.bot, DisplayNames(place.room).known_name)


def message_facts(event: Event, place: RoomContext) -> MatrixMessageFacts:
    """What counts of a message for deciding whether it is ours, as far as it says so itself."""
    content, typed, us = event.content, typed_or_caption(event.content), place.bot
    return MatrixMessageFacts(
        sender=event.sender,
        room_id=event.room_id,
        is_direct=place.room.is_direct,
        is_own=event.sender == us.user_id,
        is_user_message=is_user_message(event) and (bool(typed.strip()) or is_file(content)),
        is_bridged=DOUBLE_PUPPET in content,
        is_bare_file=is_bare_file(content),
        has_prefix=bool(place.prefix) and plain_text_of(event, place).startswith(place.prefix),
        mentions_us=mentions_bot(content, typed, us),
    )


def is_user_message(event: Event) -> bool:
    """Whether an event is a message that people write, not an edit of one, nor a notice."""
    kind = get_text(event.content, "msgtype")
    return (
        event.type == MESSAGE
        and event.state_key is None
        and kind in USER_MSGTYPES
        and not relation_of(event.content).replaces
    )


def is_admin(settings: MatrixSettings, room: Room, user_id: str) -> bool:
    """Whether a person may use the admins' commands in a room. Power counts only in rooms that the admin named: in a
    room of their own everybody has all of it.
    """
    if user_id in settings.admin_users:
        return True
    return room.room_id in settings.admin_rooms and room.power_level(user_id) >= settings.admin_power


def is_private(room: Room) -> bool:
    """Whether exactly one person reads what is written in a room."""
    return room.is_direct and not room.world_readable


def needs_context(spoken: str, prefix: str) -> bool:
    """Whether a text that may be a command is to be read with what goes with it: a question is."""
    return not (prefix and spoken.startswith(prefix)) or _is_ask_command(spoken, prefix)


def build_message(
    event: Event,
    place: RoomContext,
    enclosed: QuestionContext,
    *,
    addressed: bool = True,
    asker: str = "",
    thread: str = "",
) -> Message:
    """The message as the core takes it. `asker` is who wants it answered, where that is not its author, and `thread`
    the thread where that is to be, where it is not the message's own.
    """
    room, settings = place.room, place.settings
    names, asker = DisplayNames(room), asker or event.sender
    spoken = plain_text_of(event, place)
    root = thread or relation_of(event.content).thread or (event.event_id if _opens_thread(place, spoken) else "")
    where = {"room": event.room_id, "question": event.event_id, "author": asker}
    return Message(
        conversation=conversation_id(event.room_id, root),
        event_id=event.event_id,
        author=Person(person_id(asker), names.display_name(asker), is_admin=is_admin(settings, room, asker)),
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
    return event.sent_ms / 1000 if 0 <= event.sent_ms <= MAX_SENT_MS else 0.0


def _audience(room: Room, asker: str) -> Audience:
    return private_audience(room.room_id, asker) if is_private(room) else room_audience(room.room_id)


def _opens_thread(place: RoomContext, spoken: str) -> bool:
    """Whether the answer opens a thread on its question. Commands are about the room that they are given in."""
    room = place.room
    return place.settings.answers_in_thread(room.room_id) and not room.is_direct and needs_context(spoken, place.prefix)


def _is_ask_command(spoken: str, prefix: str) -> bool:
    return spoken.removeprefix(prefix).partition(" ")[0].casefold() == "ask"
