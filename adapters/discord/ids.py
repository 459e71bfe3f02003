"""Core ids of Discord's channels, people and roles."""

from collections.abc import Iterable

from adapters.platform import NameForm
from bot.core.messages import Audience, ConversationId

PLATFORM = "discord"
_ID = r"[0-9]+"
READER_FORMS = (
    NameForm("guild:", _ID, "discord:guild:123456789012345678"),
    NameForm("", _ID + r"(?:#private:[0-9]+)?", "discord:123456789012345678"),
    NameForm("role:", _ID, "discord:role:123456789012345678"),
    NameForm("user:", _ID, "discord:user:123456789012345678"),
)
PERSON_FORMS = (NameForm("", _ID, "discord:123456789012345678"),)


def conversation_id(channel_id: int) -> ConversationId:
    """The conversation of a channel, a thread or a direct message channel."""
    return ConversationId(f"{PLATFORM}:{channel_id}")


def private_conversation_id(channel_id: int, user_id: int) -> ConversationId:
    """The conversation of one person's private answers in a channel."""
    return ConversationId(f"{PLATFORM}:{channel_id}#private:{user_id}")


def person_id(user_id: int) -> str:
    """A person's id in the core."""
    return f"{PLATFORM}:{user_id}"


def room_audience(channel_id: int, parent_id: int | None, guild_id: int) -> Audience:
    """The readers of a channel or thread; readers of a channel also read its threads."""
    names = {conversation_id(channel_id), f"{PLATFORM}:guild:{guild_id}"}
    if parent_id is not None:
        names.add(conversation_id(parent_id))
    return Audience(frozenset(names))


def private_audience(
    conversation: ConversationId, user_id: int, role_ids: Iterable[int], guild_ids: Iterable[int]
) -> Audience:
    """One person, with their roles and servers as they are now."""
    names = {str(conversation), f"{PLATFORM}:user:{user_id}"}
    names.update(f"{PLATFORM}:role:{role}" for role in role_ids)
    names.update(f"{PLATFORM}:guild:{guild}" for guild in guild_ids)
    return Audience(frozenset(names), private=True)
