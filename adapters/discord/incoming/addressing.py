"""Decides whether a message on Discord is meant for Hearth, and whether it may be answered there. Pure."""

from dataclasses import dataclass, field
from enum import StrEnum

from adapters.discord.settings import AccessList, DiscordSettings


class DiscordRejectReason(StrEnum):
    """Why a message is left alone."""

    BOT = "written by a bot, a webhook or Discord itself"
    HOST_COMMAND = "a command of the host bot"
    NOT_ADDRESSED = "not meant for the assistant"
    GUILD = "its server is not let in"
    CHANNEL = "its channel is not let in"
    DIRECT_MESSAGE = "direct messages are switched off"
    USER = "its author is not let in"


@dataclass(frozen=True, slots=True)
class DiscordMessageFacts:
    """What counts of a message. `parent_id`: the channel of a thread; `guild_id` is None in a direct message.

    `is_own_thread`: a thread that Hearth opened or was mentioned in.
    """

    author_id: int
    channel_id: int
    guild_id: int | None = None
    parent_id: int | None = None
    role_ids: frozenset[int] = field(default_factory=frozenset)
    is_machine: bool = False
    is_host_command: bool = False
    mentions_us: bool = False
    replies_to_us: bool = False
    is_own_thread: bool = False


def why_ignored(seen: DiscordMessageFacts, settings: DiscordSettings) -> DiscordRejectReason | None:
    """Why a message is left alone; None when it is to be answered."""
    if seen.is_machine:
        return DiscordRejectReason.BOT
    if seen.is_host_command:
        return DiscordRejectReason.HOST_COMMAND
    is_direct = seen.guild_id is None
    if not (is_direct or seen.mentions_us or seen.replies_to_us or seen.is_own_thread):
        return DiscordRejectReason.NOT_ADDRESSED
    return _why_place_ignored(seen, settings) or (
        None if is_person_allowed(settings, seen.author_id, seen.role_ids) else DiscordRejectReason.USER
    )


def _why_place_ignored(seen: DiscordMessageFacts, settings: DiscordSettings) -> DiscordRejectReason | None:
    if seen.guild_id is None:
        return None if settings.direct_messages else DiscordRejectReason.DIRECT_MESSAGE
    if not _is_allowed(settings.guilds, {seen.guild_id}):
        return DiscordRejectReason.GUILD
    places = {seen.channel_id} if seen.parent_id is None else {seen.channel_id, seen.parent_id}
    return None if _is_allowed(settings.channels, places) else DiscordRejectReason.CHANNEL


def _is_allowed(doors: AccessList, ids: set[int]) -> bool:
    return doors.block.isdisjoint(ids) and (not doors.allow or not doors.allow.isdisjoint(ids))


def is_person_allowed(settings: DiscordSettings, user_id: int, role_ids: frozenset[int]) -> bool:
    """Whether a person is answered: blocked by neither list, and in one of the allow lists where there are any."""
    users, roles = settings.users, settings.roles
    if user_id in users.block or not roles.block.isdisjoint(role_ids):
        return False
    return not (users.allow or roles.allow) or user_id in users.allow or not roles.allow.isdisjoint(role_ids)
