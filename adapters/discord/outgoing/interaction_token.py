"""The token of an interaction: acknowledged in time, then valid for a while."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

import discord

from adapters.discord.failures import CONNECTION_ERRORS, failure_reason
from adapters.discord.limits import ALREADY_ACKNOWLEDGED, INTERACTION_LASTS_S
from adapters.discord.outgoing.views import LANGUAGE_KEY

log = logging.getLogger(__name__)

Interaction = discord.Interaction[discord.Client]

TOKEN_MARGIN_S = 20.0
"""The token is not used in its last seconds, because a request may take that long."""


@dataclass(frozen=True, slots=True)
class InteractionToken:
    """Permission to answer an interaction for a while. `original_id` is the message that waits for the answer, 0 when
    Discord refused it; `private`: only the person sees it.
    """

    interaction_id: int
    application_id: int
    token: str = field(repr=False)
    channel_id: int
    user_id: int
    guild_id: int | None = None
    original_id: int = 0
    private: bool = False
    locale: str = ""

    def to_platform_data(self) -> dict[str, str]:
        """The token as data of a message, so that the answer goes to the same message after a restart."""
        return {
            "interaction": str(self.interaction_id),
            "application": str(self.application_id),
            "token": self.token,
            "channel": str(self.channel_id),
            "user": str(self.user_id),
            "guild": str(self.guild_id or ""),
            "original": str(self.original_id),
            "private": "yes" if self.private else "",
            LANGUAGE_KEY: self.locale,
        }

    @classmethod
    def from_platform_data(cls, data: Mapping[str, str]) -> Self | None:
        """The token in a message's data; None when the message was no interaction."""
        if "interaction" not in data:
            return None
        return cls(
            interaction_id=int(data["interaction"]),
            application_id=int(data["application"]),
            token=data["token"],
            channel_id=int(data["channel"]),
            user_id=int(data["user"]),
            guild_id=int(data["guild"]) if data["guild"] else None,
            original_id=int(data["original"]),
            private=bool(data["private"]),
            locale=data[LANGUAGE_KEY],
        )

    def is_valid(self, margin_s: float = TOKEN_MARGIN_S) -> bool:
        """Whether the token is valid now, and for another `margin_s`."""
        age = discord.utils.utcnow() - discord.utils.snowflake_time(self.interaction_id)
        return bool(self.original_id) and age.total_seconds() < INTERACTION_LASTS_S - margin_s


async def acknowledge_interaction(interaction: Interaction, ephemeral: bool) -> InteractionToken:
    """Acknowledge an interaction, for which Discord allows 3 seconds. Returns the token for its answer."""
    original = 0
    try:
        response = await interaction.response.defer(ephemeral=ephemeral, thinking=True)
        original = (response.message_id if response else None) or 0
    except discord.HTTPException as error:
        log.warning("Could not acknowledge interaction %d: %s", interaction.id, error.text or error.status)
        if error.code == ALREADY_ACKNOWLEDGED:
            original = await _original_response_id(interaction)
    except CONNECTION_ERRORS as error:
        log.warning("Could not acknowledge interaction %d: %s", interaction.id, failure_reason(error))
    return InteractionToken(
        interaction_id=interaction.id,
        application_id=interaction.application_id,
        token=interaction.token,
        channel_id=interaction.channel_id or 0,
        user_id=interaction.user.id,
        guild_id=interaction.guild_id,
        original_id=original,
        private=ephemeral,
        locale=str(interaction.locale),
    )


async def _original_response_id(interaction: Interaction) -> int:
    """The message opened by another program's acknowledgement; 0 when there is none."""
    try:
        return (await interaction.original_response()).id
    except (discord.HTTPException, discord.ClientException, *CONNECTION_ERRORS):
        return 0
