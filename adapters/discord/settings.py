"""Settings of the Discord adapter."""

from collections.abc import Mapping

from pydantic import Field

from adapters.intake.access_list import AccessList
from adapters.intake.settings import ChannelSettings, ChatPlatformSettings

Ids = AccessList[int]


class DiscordSettings(ChatPlatformSettings[int]):
    """Where and whom Hearth answers on Discord."""

    token_env: str = Field("HEARTH_DISCORD_TOKEN", description="The environment variable that holds the bot's token.")
    message_content: bool = Field(
        True,
        description="Ask for the Message Content intent;"
        " without it only mentions, replies that notify it, and DMs can be read.",
    )
    guilds: Ids = Field(default_factory=Ids, description="Servers where Hearth answers.")
    channels: Ids = Field(default_factory=Ids, description="Channels where Hearth answers, their threads included.")
    roles: Ids = Field(default_factory=Ids, description="Roles whose members are answered, in addition to `users`.")
    admin_roles: frozenset[int] = Field(frozenset(), description="Roles whose members may use the admins' commands.")
    bots_as_people: frozenset[int] = Field(
        frozenset(),
        description="Bots, webhooks and applications whose messages count as people's, by their ids"
        " (PluralKit, bridges).",
    )
    channel_overrides: Mapping[int, ChannelSettings] = Field(
        default_factory=dict, description="Overrides for single channels, by their id."
    )
    # One request for each channel, and Discord gives at most 100 messages at once.
    catch_up_messages: int = Field(50, ge=0, le=100, description="Missed messages looked at in each channel or room.")
    gateway_silence_timeout_s: float = Field(
        180, gt=60, description="Reconnect after the gateway was silent for this long, in seconds."
    )

    def overrides_for(self, channel: int) -> ChannelSettings | None:
        """The overrides for a channel; None if it has none."""
        return self.channel_overrides.get(channel)
