"""Settings of the Discord adapter."""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field


class AccessList(BaseModel):
    """Who comes in: block lists win; an empty allow list lets everybody in."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    allow: frozenset[int] = Field(frozenset(), description="Ids that are let in; empty: all.")
    block: frozenset[int] = Field(frozenset(), description="Ids that are never answered.")


class ChannelSettings(BaseModel):
    """What is different in one channel."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    answer_in_thread: bool | None = Field(
        None, description="Answer each question in a thread of its own; none: as above."
    )
    recent_messages: int | None = Field(
        None, ge=0, le=100, description="Messages of the channel read with a question; none: as above."
    )


class DiscordSettings(BaseModel):
    """Where and whom Hearth answers on Discord."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = Field(False, description="Whether `hearth run` answers on Discord.")
    token_env: str = Field("HEARTH_DISCORD_TOKEN", description="The environment variable that holds the bot's token.")
    message_content: bool = Field(
        True, description="Ask for the Message Content intent; without it only mentions, replies and DMs can be read."
    )
    direct_messages: bool = Field(True, description="Answer direct messages.")
    guilds: AccessList = Field(default_factory=AccessList, description="Servers where Hearth answers.")
    channels: AccessList = Field(
        default_factory=AccessList, description="Channels where Hearth answers; threads go with them."
    )
    roles: AccessList = Field(default_factory=AccessList, description="Roles whose people are answered.")
    users: AccessList = Field(
        default_factory=AccessList, description="People who are answered; who is in either allow list comes in."
    )
    admin_users: frozenset[int] = Field(frozenset(), description="People who may use the admins' commands.")
    admin_roles: frozenset[int] = Field(frozenset(), description="Roles whose people may use the admins' commands.")
    answer_in_thread: bool = Field(False, description="Answer each question in a thread of its own.")
    recent_messages: int = Field(
        0, ge=0, le=100, description="Messages of the channel read with a question and forgotten after it."
    )
    channel_overrides: Mapping[int, ChannelSettings] = Field(
        default_factory=dict, description="What is different in single channels, by their id."
    )
    reply_chain_limit: int = Field(4, ge=0, le=20, description="Messages read upwards when a question is a reply.")
    attachment_limit: int = Field(4, ge=0, le=10, description="Files read with a question.")
    attachment_bytes: int = Field(10_000_000, ge=1, description="Larger files are not read, in bytes.")
    catch_up_max_age_s: float = Field(
        21_600, ge=0, description="Missed messages are answered up to this age, in seconds."
    )
    catch_up_messages: int = Field(50, ge=0, le=100, description="Missed messages looked at in each channel.")
    read_timeout_s: float = Field(15, gt=0, description="Longest wait for what a question refers to, in seconds.")
    gateway_silence_timeout_s: float = Field(
        180, gt=60, description="After this silence of the gateway the connection is made anew."
    )

    def answers_in_thread(self, channel_id: int) -> bool:
        """Whether questions in a channel are answered in threads of their own."""
        own = self.channel_overrides.get(channel_id)
        return self.answer_in_thread if own is None or own.answer_in_thread is None else own.answer_in_thread

    def recent_limit(self, channel_id: int) -> int:
        """How many of a channel's last messages are read with a question."""
        own = self.channel_overrides.get(channel_id)
        return self.recent_messages if own is None or own.recent_messages is None else own.recent_messages
