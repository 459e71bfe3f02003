"""Turns Discord's messages into the core's: the facts that decide about a message, and the question itself."""

from dataclasses import dataclass, field
from typing import Literal

import discord

from adapters.discord.ids import conversation_id, person_id, private_audience, room_audience
from adapters.discord.incoming.addressing import DiscordMessageFacts
from adapters.discord.incoming.members import MemberRights, is_admin
from adapters.discord.incoming.message_contents import is_empty, own_text, shown_text
from adapters.discord.incoming.plain_text import MentionNames, mentioned_ids, to_plain_text
from adapters.discord.limits import THREAD_NAME_CHARACTERS
from adapters.discord.outgoing.channel_transport import DiscordReplyTarget
from adapters.discord.outgoing.layout import SUBTEXT
from adapters.discord.settings import DiscordSettings
from bot.core.foreign_text import clean_name, clean_text
from bot.core.messages import Attachment, Audience, ContextMessage, Message, Person

USER_MESSAGE_TYPES = frozenset({discord.MessageType.default, discord.MessageType.reply})

MuteReason = Literal["cannot_write", "thread_locked"]
"""The key of the sentence about a channel in which the bot may not write."""


@dataclass(frozen=True, slots=True)
class DiscordQuestionContext:
    """The context of a question, and its author's rights."""

    context: tuple[ContextMessage, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    rights: MemberRights = field(default_factory=MemberRights)


def message_facts(
    message: discord.Message,
    bot_user: discord.ClientUser,
    settings: DiscordSettings,
    own_thread: bool,
    is_host_command: bool = False,
) -> DiscordMessageFacts:
    """The facts about a message that decide whether it is answered."""
    channel, own_ids = message.channel, own_mention_ids(message, bot_user)
    mentioned, answered = mentioned_ids(message.content), _answered_author(message)
    return DiscordMessageFacts(
        author_id=message.author.id,
        channel_id=channel.id,
        guild_id=message.guild.id if message.guild else None,
        parent_id=channel.parent_id if isinstance(channel, discord.Thread) else None,
        role_ids=role_ids(message.author),
        is_machine=message.type not in USER_MESSAGE_TYPES or is_program(message, settings),
        is_host_command=is_host_command,
        mentions_bot=not own_ids.isdisjoint(mentioned),
        replies_to_bot=answered == bot_user.id,
        is_own_thread=isinstance(channel, discord.Thread) and (own_thread or channel.owner_id == bot_user.id),
        is_empty=is_empty(message),
        is_for_others=bool(mentioned) or answered not in (None, bot_user.id, message.author.id),
    )


def is_program(message: discord.Message, settings: DiscordSettings) -> bool:
    """Whether a bot or a webhook wrote it, and none that an admin has named as people's voice."""
    if not message.author.bot and message.webhook_id is None:
        return False
    return settings.bots_as_people.isdisjoint({message.author.id, message.webhook_id, message.application_id})


def _answered_author(message: discord.Message) -> int | None:
    """The author of the message that this one replies to; None when it is no reply, or its message is not known."""
    answered = message.reference.resolved if message.reference else None
    return answered.author.id if isinstance(answered, discord.Message) else None


def role_ids(author: discord.User | discord.Member) -> frozenset[int]:
    """The roles that a message's author has on its server."""
    return frozenset(role.id for role in author.roles) if isinstance(author, discord.Member) else frozenset()


def own_mention_ids(message: discord.Message, bot_user: discord.ClientUser) -> frozenset[int]:
    """Ids in mentions of Hearth: the bot, and the role that Discord made for it, which people pick by mistake."""
    role = message.guild.self_role if message.guild else None
    return frozenset({bot_user.id} if role is None else {bot_user.id, role.id})


def message_text(message: discord.Message, bot_user: discord.ClientUser) -> str:
    """The text of a question as people read it, without Hearth's own name."""
    return plain_text_of(message, own_text(message), bot_user)


def to_context(message: discord.Message, bot_user: discord.ClientUser) -> ContextMessage:
    """An earlier message as context. Of Hearth's own answers the small print stays away: its numbers name passages of
    that answer, and would be read as those of the next.
    """
    text = plain_text_of(message, shown_text(message), bot_user)
    if message.author.id == bot_user.id:
        text = without_small_print(text)
    author = message.author
    return ContextMessage(person_name(author), text, "" if author.bot else person_id(author.id))


def without_small_print(text: str) -> str:
    """An answer of Hearth's own without the small lines below it."""
    lines = text.split("\n")
    while lines and (not lines[-1].strip() or lines[-1].startswith(SUBTEXT)):
        lines.pop()
    return "\n".join(lines)


def plain_text_of(message: discord.Message, text: str, bot_user: discord.ClientUser) -> str:
    """A text of a message as people read it: without Discord's markup, invisible characters, and Hearth's own name."""
    guild = message.guild
    names = [guild.me.display_name] if guild and guild.me else []
    return to_plain_text(
        clean_text(text),
        MentionNames(
            own_mention_ids(message, bot_user),
            tuple(dict.fromkeys([*names, bot_user.display_name, bot_user.name])),
            {user.id: clean_name(user.display_name) for user in message.mentions},
            {role.id: role.name for role in message.role_mentions},
            {channel.id: channel.name for channel in message.channel_mentions},
        ),
    )


def reply_target(message: discord.Message, question: str, settings: DiscordSettings) -> DiscordReplyTarget:
    """Where the answer goes: the channel, or a new thread where the admin wants that and Discord allows it."""
    channel, guild = message.channel, message.guild
    guild_id = guild.id if guild else None
    opens_thread = wants_thread(message, settings) and may_open_thread(message)
    title = " ".join(question.split())[:THREAD_NAME_CHARACTERS] or person_name(message.author)
    return DiscordReplyTarget(channel.id, message.id, guild_id, title if opens_thread else "")


def person_name(person: discord.User | discord.Member) -> str:
    """A person's name as it goes before their words; never empty."""
    return clean_name(person.display_name) or clean_name(person.name) or "somebody"


def wants_thread(message: discord.Message, settings: DiscordSettings) -> bool:
    """Whether the admin wants the answer in a thread of its own, in a channel that has threads."""
    return isinstance(message.channel, discord.TextChannel) and settings.answers_in_thread(message.channel.id)


def may_open_thread(message: discord.Message) -> bool:
    """Whether the bot may open a thread on a message in a text channel, and write in it."""
    assert isinstance(message.channel, discord.TextChannel)
    rights = message.channel.permissions_for(message.channel.guild.me)
    return rights.create_public_threads and rights.send_messages_in_threads


def why_mute(message: discord.Message) -> MuteReason | None:
    """Why the bot may not write in the channel of a message; None when it may, or when that is unknown."""
    channel, guild = message.channel, message.guild
    if guild is None or isinstance(channel, discord.PartialMessageable) or guild.me is None:
        return None
    try:
        rights = channel.permissions_for(guild.me)
    except discord.ClientException:  # a thread of an unknown channel
        return None
    if not isinstance(channel, discord.Thread):
        return None if rights.send_messages else "cannot_write"
    if channel.locked and not rights.manage_threads:
        return "thread_locked"
    return None if rights.send_messages_in_threads else "cannot_write"


def to_question(
    message: discord.Message, bot_user: discord.ClientUser, settings: DiscordSettings, read: DiscordQuestionContext
) -> Message:
    """The message as the core takes it."""
    text = message_text(message, bot_user)
    target = reply_target(message, text, settings)
    # A thread that is opened on a message has the message's id.
    channel_id = target.question_id if target.thread_name else message.channel.id
    return Message(
        conversation=conversation_id(channel_id),
        event_id=str(message.id),
        author=Person(
            person_id(message.author.id),
            person_name(message.author),
            is_admin=is_admin(settings, message.author.id, read.rights),
            is_bot=is_program(message, settings),
        ),
        text=text,
        addressed=True,
        audience=_audience(message, channel_id, read.rights),
        sent_at=message.created_at.timestamp(),
        attachments=read.attachments,
        context=read.context,
        platform_data=target.to_platform_data(),
        locale=server_locale(message),
    )


def server_locale(message: discord.Message) -> str:
    """The locale of a message's server; empty in direct messages. The person's own comes with interactions only."""
    return str(message.guild.preferred_locale) if message.guild else ""


def _audience(message: discord.Message, channel_id: int, rights: MemberRights) -> Audience:
    channel, guild = message.channel, message.guild
    if guild is None:
        return private_audience(conversation_id(channel_id), message.author.id, rights.role_ids, rights.guild_ids)
    if isinstance(channel, discord.Thread):
        return room_audience(channel_id, channel.parent_id, guild.id)
    return room_audience(channel_id, None if channel_id == channel.id else channel.id, guild.id)
