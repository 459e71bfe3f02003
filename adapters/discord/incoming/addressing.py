"""Decides whether a message on Discord is meant for Hearth, and whether it may be answered there. Pure."""

from dataclasses import dataclass, field
from enum import StrEnum

from adapters.discord.settings import DiscordSettings, Doors


class Unheard(StrEnum):
    """Why a message is left alone."""

    MACHINE = "written by a bot, a webhook or Discord itself"
    HOST_COMMAND = "a command of the host bot"
    NOT_ADDRESSED = "not meant for the assistant"
    GUILD = "its server is not let in"
    CHANNEL = "its channel is not let in"
    DIRECT = "direct messages are switched off"
    PERSON = "its author is not let in"


@dataclass(frozen=True, slots=True)
class Seen:
    """What counts of a message. `parent_id`: the channel of a thread; `guild_id` is None in a direct message.

    `own_thread`: a thread that Hearth opened or was mentioned in.
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
    own_thread: bool = False


def judge(seen: Seen, settings: DiscordSettings) -> Unheard | None:
    """Why a message is left alone; None when it is to be answered."""
    if seen.is_machine:
        return Unheard.MACHINE
    if seen.is_host_command:
        return Unheard.HOST_COMMAND
    is_direct = seen.guild_id is None
    if not (is_direct or seen.mentions_us or seen.replies_to_us or seen.own_thread):
        return Unheard.NOT_ADDRESSED
    return _shut_place(seen, settings) or (None if lets_in(settings, seen.author_id, seen.role_ids) else Unheard.PERSON)


def _shut_place(seen: Seen, settings: DiscordSettings) -> Unheard | None:
    if seen.guild_id is None:
        return None if settings.direct_messages else Unheard.DIRECT
    if not _open(settings.guilds, {seen.guild_id}):
        return Unheard.GUILD
    places = {seen.channel_id} if seen.parent_id is None else {seen.channel_id, seen.parent_id}
    return None if _open(settings.channels, places) else Unheard.CHANNEL


def _open(doors: Doors, ids: set[int]) -> bool:
    return doors.block.isdisjoint(ids) and (not doors.allow or not doors.allow.isdisjoint(ids))


def lets_in(settings: DiscordSettings, user_id: int, role_ids: frozenset[int]) -> bool:
    """Whether a person is answered: blocked by neither list, and in one of the allow lists where there are any."""
    users, roles = settings.users, settings.roles
    if user_id in users.block or not roles.block.isdisjoint(role_ids):
        return False
    return not (users.allow or roles.allow) or user_id in users.allow or not roles.allow.isdisjoint(role_ids)
