"""Decides whether a message on Discord is addressed to Hearth, and whether it may be answered there. Pure."""

from dataclasses import dataclass, field
from enum import StrEnum

from adapters.discord.settings import DiscordSettings
from adapters.intake.access_list import is_allowed


class DiscordRejectReason(StrEnum):
    """Why a message is ignored."""

    BOT = "written by a bot, a webhook or Discord itself"
    HOST_COMMAND = "a command of the host bot"
    NOT_ADDRESSED = "not addressed to the assistant"
    GUILD = "its server is not allowed"
    CHANNEL = "its channel is not allowed"
    DIRECT_MESSAGE = "direct messages are switched off"
    USER = "its author is not allowed"


@dataclass(frozen=True, slots=True)
class DiscordMessageFacts:
    """The facts about a message that decide whether it is answered.

    `parent_id`: the channel of a thread; `guild_id` is None in a direct message. `is_own_thread`: a thread that Hearth
    opened or was mentioned in.
    """

    author_id: int
    channel_id: int
    guild_id: int | None = None
    parent_id: int | None = None
    role_ids: frozenset[int] = field(default_factory=frozenset)
    is_machine: bool = False
    is_host_command: bool = False
    mentions_bot: bool = False
    replies_to_bot: bool = False
    is_own_thread: bool = False


def why_ignored(facts: DiscordMessageFacts, settings: DiscordSettings) -> DiscordRejectReason | None:
    """Why a message is ignored; None when it is to be answered."""
    if facts.is_machine:
        return DiscordRejectReason.BOT
    if facts.is_host_command:
        return DiscordRejectReason.HOST_COMMAND
    is_direct = facts.guild_id is None
    if not (is_direct or facts.mentions_bot or facts.replies_to_bot or facts.is_own_thread):
        return DiscordRejectReason.NOT_ADDRESSED
    return _why_channel_ignored(facts, settings) or (
        None if answers_user(settings, facts.author_id, facts.role_ids) else DiscordRejectReason.USER
    )


def _why_channel_ignored(facts: DiscordMessageFacts, settings: DiscordSettings) -> DiscordRejectReason | None:
    if facts.guild_id is None:
        return None if settings.direct_messages else DiscordRejectReason.DIRECT_MESSAGE
    if not settings.guilds.allows(facts.guild_id):
        return DiscordRejectReason.GUILD
    channels = {facts.channel_id} if facts.parent_id is None else {facts.channel_id, facts.parent_id}
    return None if settings.channels.allows(*channels) else DiscordRejectReason.CHANNEL


def answers_user(settings: DiscordSettings, user_id: int, role_ids: frozenset[int]) -> bool:
    """Whether a person is answered, by the lists of users and of roles together."""
    return is_allowed(settings.users.verdict(user_id), settings.roles.verdict(*role_ids))
