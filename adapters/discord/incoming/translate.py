"""Turns Discord's messages into the core's: what counts for deciding, and the question itself."""

from dataclasses import dataclass, field

import discord

from adapters.discord.ids import conversation_id, person_id, private_audience, room_audience
from adapters.discord.incoming.addressing import DiscordMessageFacts
from adapters.discord.incoming.members import MemberRights, is_admin
from adapters.discord.incoming.plain_text import MentionNames, to_plain_text
from adapters.discord.limits import THREAD_NAME_CHARACTERS
from adapters.discord.outgoing.channel_transport import DiscordReplyTarget
from adapters.discord.outgoing.views import LOCALE_KEY
from adapters.discord.settings import DiscordSettings
from bot.core.messages import Attachment, Audience, ContextMessage, Message, Person

USER_MESSAGE_TYPES = frozenset({discord.MessageType.default, discord.MessageType.reply})


@dataclass(frozen=True, slots=True)
class DiscordQuestionContext:
    """What was read from Discord to go with a question."""

    context: tuple[ContextMessage, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    rights: MemberRights = field(default_factory=MemberRights)


def message_facts(
    message: discord.Message, us: discord.ClientUser, own_thread: bool, is_host_command: bool = False
) -> DiscordMessageFacts:
    """What counts of a message for deciding whether it is ours."""
    channel, reference = message.channel, message.reference
    replied = reference.resolved if reference else None
    return DiscordMessageFacts(
        author_id=message.author.id,
        channel_id=channel.id,
        guild_id=message.guild.id if message.guild else None,
        parent_id=channel.parent_id if isinstance(channel, discord.Thread) else None,
        role_ids=role_ids(message.author),
        is_machine=message.author.bot or message.webhook_id is not None or message.type not in USER_MESSAGE_TYPES,
        is_host_command=is_host_command,
        mentions_us=bool(own_mention_ids(message, us) & {*message.raw_mentions, *message.raw_role_mentions}),
        replies_to_us=isinstance(replied, discord.Message) and replied.author.id == us.id,
        is_own_thread=isinstance(channel, discord.Thread) and (own_thread or channel.owner_id == us.id),
    )


def role_ids(author: discord.User | discord.Member) -> frozenset[int]:
    """The roles that a message's author has on its server."""
    return frozenset(role.id for role in author.roles) if isinstance(author, discord.Member) else frozenset()


def own_mention_ids(message: discord.Message, us: discord.ClientUser) -> frozenset[int]:
    """What a mention of us may name: the bot, or the role that Discord made for it, which people pick by mistake."""
    role = message.guild.self_role if message.guild else None
    return frozenset({us.id} if role is None else {us.id, role.id})


def message_text(message: discord.Message, us: discord.ClientUser) -> str:
    """A message's text for people: names for mentions, our own name gone."""
    guild = message.guild
    names = [guild.me.display_name] if guild and guild.me else []
    return to_plain_text(
        message.content,
        MentionNames(
            own_mention_ids(message, us),
            tuple(dict.fromkeys([*names, us.display_name, us.name])),
            {user.id: user.display_name for user in message.mentions},
            {role.id: role.name for role in message.role_mentions},
            {channel.id: channel.name for channel in message.channel_mentions},
        ),
    )


def reply_target(message: discord.Message, question: str, settings: DiscordSettings) -> DiscordReplyTarget:
    """Where the answer goes: the channel, or a thread on the question where the admin wants that and it is allowed."""
    channel, guild = message.channel, message.guild
    guild_id = guild.id if guild else None
    opens = wants_thread(message, settings) and may_open_thread(message)
    title = " ".join(question.split())[:THREAD_NAME_CHARACTERS] or message.author.display_name
    return DiscordReplyTarget(channel.id, message.id, guild_id, title if opens else "")


def wants_thread(message: discord.Message, settings: DiscordSettings) -> bool:
    """Whether the admin wants the answer in a thread of its own, where that can be."""
    return isinstance(message.channel, discord.TextChannel) and settings.answers_in_thread(message.channel.id)


def may_open_thread(message: discord.Message) -> bool:
    """Whether a thread may be opened on a message in a text channel, and be written to."""
    assert isinstance(message.channel, discord.TextChannel)
    rights = message.channel.permissions_for(message.channel.guild.me)
    return rights.create_public_threads and rights.send_messages_in_threads


def may_write(message: discord.Message) -> bool:
    """Whether an answer may be written where a message stands; what is not known counts as allowed."""
    channel, guild = message.channel, message.guild
    if guild is None or isinstance(channel, discord.PartialMessageable) or guild.me is None:
        return True
    try:
        rights = channel.permissions_for(guild.me)
    except discord.ClientException:  # a thread whose channel is not known
        return True
    return rights.send_messages_in_threads if isinstance(channel, discord.Thread) else rights.send_messages


def to_question(
    message: discord.Message, us: discord.ClientUser, settings: DiscordSettings, enclosed: DiscordQuestionContext
) -> Message:
    """The message as the core takes it."""
    text = message_text(message, us)
    target = reply_target(message, text, settings)
    place = target.question_id if target.thread_name else message.channel.id
    return Message(
        conversation=conversation_id(place),
        event_id=str(message.id),
        author=Person(
            person_id(message.author.id),
            message.author.display_name,
            is_admin=is_admin(settings, message.author.id, enclosed.rights),
            is_bot=message.author.bot,
        ),
        text=text,
        addressed=True,
        audience=_audience(message, place, enclosed.rights),
        sent_at=message.created_at.timestamp(),
        attachments=enclosed.attachments,
        context=enclosed.context,
        platform_data={
            **target.to_platform_data(),
            LOCALE_KEY: str(message.guild.preferred_locale) if message.guild else "",
        },
    )


def _audience(message: discord.Message, place: int, standing: MemberRights) -> Audience:
    channel, guild = message.channel, message.guild
    if guild is None:
        return private_audience(conversation_id(place), message.author.id, standing.role_ids, standing.guild_ids)
    if isinstance(channel, discord.Thread):
        return room_audience(place, channel.parent_id, guild.id)
    return room_audience(place, None if place == channel.id else channel.id, guild.id)
