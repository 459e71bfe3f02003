"""Decides whether a message on Discord is addressed to Hearth, and whether it may be answered there. Pure."""

from dataclasses import dataclass, field
from enum import StrEnum

from adapters.discord.settings import DiscordSettings
from adapters.intake.access_list import AccessVerdict, is_allowed


class DiscordRejectReason(StrEnum):
    """Why a message is ignored."""

    BOT = "written by a bot, a webhook or Discord itself"
    HOST_COMMAND = "a command of the host bot"
    NOT_ADDRESSED = "not addressed to the assistant"
    GUILD = "its server is not allowed"
    CHANNEL = "its channel is not allowed"
    DIRECT_MESSAGE = "direct messages are switched off"
    USER = "its author is not allowed"
    ROLES_UNKNOWN = "Discord does not tell the roles of its author"


@dataclass(frozen=True, slots=True)
class DiscordMessageFacts:
    """The facts about a message that decide whether it is answered.

    `parent_id`: the channel of a thread; `guild_id` is None in a direct message. `role_ids`: None when Discord has not
    told them. `is_own_thread`: a thread that Hearth opened or was mentioned in. `is_empty`: nothing of it can be read.
    `is_for_others`: it mentions or answers people, and not Hearth.
    """

    author_id: int
    channel_id: int
    guild_id: int | None = None
    parent_id: int | None = None
    role_ids: frozenset[int] | None = field(default_factory=frozenset)
    is_machine: bool = False
    is_host_command: bool = False
    mentions_bot: bool = False
    replies_to_bot: bool = False
    is_own_thread: bool = False
    is_empty: bool = False
    is_for_others: bool = False

    @property
    def is_addressed(self) -> bool:
        """Whether it is addressed to Hearth. On servers a message without a mention must have something to read:
        without the intent for message content, Discord delivers it empty.
        """
        if self.guild_id is None or self.mentions_bot:
            return True
        return not self.is_empty and (self.replies_to_bot or (self.is_own_thread and not self.is_for_others))


def why_ignored(facts: DiscordMessageFacts, settings: DiscordSettings) -> DiscordRejectReason | None:
    """Why a message is ignored; None when it is to be answered."""
    if facts.is_machine:
        return DiscordRejectReason.BOT
    if facts.is_host_command:
        return DiscordRejectReason.HOST_COMMAND
    if not facts.is_addressed:
        return DiscordRejectReason.NOT_ADDRESSED
    return _why_channel_ignored(facts, settings) or why_user_ignored(settings, facts.author_id, facts.role_ids)


def _why_channel_ignored(facts: DiscordMessageFacts, settings: DiscordSettings) -> DiscordRejectReason | None:
    if facts.guild_id is None:
        return None if settings.direct_messages else DiscordRejectReason.DIRECT_MESSAGE
    if not settings.guilds.allows(facts.guild_id):
        return DiscordRejectReason.GUILD
    channels = {facts.channel_id} if facts.parent_id is None else {facts.channel_id, facts.parent_id}
    return None if settings.channels.allows(*channels) else DiscordRejectReason.CHANNEL


def why_user_ignored(
    settings: DiscordSettings, user_id: int, role_ids: frozenset[int] | None
) -> DiscordRejectReason | None:
    """Why a person is not answered, by the lists of users and of roles together. Unknown roles (None) are never let
    past the roles' block list, and never count for its allow list.
    """
    user = settings.users.verdict(user_id)
    if user is AccessVerdict.BLOCKED:
        return DiscordRejectReason.USER
    if role_ids is None:
        decides = bool(settings.roles.block) or (bool(settings.roles.allow) and user is not AccessVerdict.ALLOWED)
        return DiscordRejectReason.ROLES_UNKNOWN if decides else None if is_allowed(user) else DiscordRejectReason.USER
    return None if is_allowed(user, settings.roles.verdict(*role_ids)) else DiscordRejectReason.USER
