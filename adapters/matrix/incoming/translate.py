"""Turns Matrix's messages into the core's: the facts that decide about a message, and the question itself. Pure."""

from dataclasses import dataclass

from adapters.matrix.events import Event, Room
from adapters.matrix.ids import conversation_id, person_id, private_audience, room_audience
from adapters.matrix.incoming.addressing import MatrixMessageFacts
from adapters.matrix.incoming.context import QuestionContext
from adapters.matrix.incoming.display_names import DisplayNames
from adapters.matrix.incoming.mentions import BotIdentity, mentions_bot
from adapters.matrix.incoming.parsed_message import ParsedMessage
from adapters.matrix.incoming.plain_text import to_plain_text
from adapters.matrix.settings import MatrixSettings
from bot.core.foreign_text import INVISIBLE
from bot.core.messages import Audience, Message, Person

MAX_SENT_MS = 2**53
"""The largest number in canonical JSON."""


@dataclass(frozen=True, slots=True)
class RoomContext:
    """A message's room, the bot's identity in it, and the settings. `prefix` begins commands."""

    room: Room
    bot: BotIdentity
    settings: MatrixSettings
    prefix: str


def bot_identity(room: Room, user_id: str) -> BotIdentity:
    """The bot's identity in a room."""
    return BotIdentity(user_id, " ".join(INVISIBLE.sub("", room.display_names.get(user_id, "")).split()))


def plain_text_of(message: ParsedMessage, context: RoomContext) -> str:
    """A message's text as plain text, without the words that only address the bot."""
    return to_plain_text(message, message.text, context.bot, DisplayNames(context.room).known_name)


def message_facts(message: ParsedMessage, context: RoomContext) -> MatrixMessageFacts:
    """The facts about a message that it states itself."""
    has_content = bool(message.text.strip()) or message.file is not None
    return MatrixMessageFacts(
        sender=message.sender,
        room_id=message.room_id,
        is_direct=context.room.is_direct,
        is_own=message.sender == context.bot.user_id,
        is_user_message=message.is_user_message and has_content,
        is_bare_file=message.is_bare_file,
        has_prefix=bool(context.prefix) and plain_text_of(message, context).startswith(context.prefix),
        mentions_bot=mentions_bot(message, message.text, context.bot),
        is_unencrypted=is_unencrypted(message, context.room),
        is_muted=not context.room.may_write(context.bot.user_id),
    )


def is_admin(settings: MatrixSettings, room: Room, user_id: str) -> bool:
    """Whether a person may use the admins' commands in a room. A power level counts only in the configured rooms: in
    a room of their own everyone has the highest.
    """
    if user_id in settings.admin_users:
        return True
    return room.room_id in settings.admin_rooms and room.power_level(user_id) >= settings.admin_power


def needs_context(text: str, prefix: str) -> bool:
    """Whether a text is a question, which is read with its context; commands are not."""
    return not (prefix and text.startswith(prefix)) or _is_ask_command(text, prefix)


def build_message(
    message: ParsedMessage,
    context: RoomContext,
    read: QuestionContext,
    *,
    addressed: bool = True,
    asker: str = "",
    thread: str = "",
) -> Message:
    """The message as the core takes it. `asker` is the person who wants it answered, if not its author; `thread` is the
    thread for the answer, if not the message's own.
    """
    room, settings = context.room, context.settings
    names, asker = DisplayNames(room), asker or message.sender
    text = plain_text_of(message, context)
    root = thread or message.relation.thread or (message.event_id if _opens_thread(context, text) else "")
    data = {"room": message.room_id, "question": message.event_id, "author": asker}
    return Message(
        conversation=conversation_id(message.room_id, root),
        event_id=message.event_id,
        author=Person(person_id(asker), names.display_name(asker), is_admin=is_admin(settings, room, asker)),
        text=text,
        addressed=addressed,
        audience=audience_of(room, asker),
        sent_at=sent_at(message.event),
        attachments=read.attachments,
        context=read.context,
        platform_data={**data, "thread": root} if root else data,
    )


def sent_at(event: Event) -> float:
    """When an event was sent by its sender's server's clock, in seconds; 0 when that is no valid time."""
    return event.sent_ms / 1000 if 0 <= event.sent_ms <= MAX_SENT_MS else 0.0


def is_unencrypted(message: ParsedMessage, room: Room) -> bool:
    """Whether a message came without encryption into an encrypted room: it may be the homeserver's own."""
    return room.encrypted and not message.event.encrypted


def audience_of(room: Room, asker: str) -> Audience:
    """The people who read an answer in a room."""
    return private_audience(room.room_id, asker) if room.is_private else room_audience(room.room_id)


def _opens_thread(context: RoomContext, text: str) -> bool:
    """Whether the answer opens a thread on its question. Commands are about the room that they are given in."""
    room = context.room
    return (
        context.settings.answers_in_thread(room.room_id) and not room.is_direct and needs_context(text, context.prefix)
    )


def _is_ask_command(text: str, prefix: str) -> bool:
    return text.removeprefix(prefix).partition(" ")[0].casefold() == "ask"
