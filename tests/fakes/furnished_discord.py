"""A simulated Discord whose bot has all that Hearth puts into one: the listening cog, commands and buttons."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import discord
import simcord

from adapters.discord.adapter import build_bot
from adapters.discord.composition import cog_builder
from adapters.discord.connection.session import AnyBot
from adapters.discord.incoming.cog import HearthCog
from adapters.discord.settings import DiscordSettings
from tests.fakes.inbox import FakeInbox
from tests.fakes.simulated_discord import SimulatedDiscord, prompt_limits

MANAGE = discord.Permissions(manage_guild=True)


def full_bot(settings: DiscordSettings, inbox: FakeInbox, folder: Path, bot: AnyBot | None = None) -> AnyBot:
    """The smallest bot, or another one, which takes both cogs in when it starts."""
    rates = prompt_limits()
    made = bot or build_bot(settings, rates)

    async def setup_hook() -> None:
        answers, cogs = cog_builder(settings, folder)(made, inbox, rates)
        await made.add_cog(HearthCog(made, settings, inbox, answers, folder))
        for cog in cogs:
            await made.add_cog(cog)

    made.setup_hook = setup_hook  # type: ignore[method-assign]
    return made


class FullSimulatedDiscord(SimulatedDiscord):
    """`root` manages the server; `ana_user` is ana outside of it."""

    def create_guild(self) -> None:
        """Make the server, its people and their boss."""
        super().create_guild()
        role = self.guild.create_role("Keepers", permissions=MANAGE)
        self.ana_user = self.env.create_user("ana-herself")
        self.ana = self.guild.add_member(self.ana_user)
        self.root = self.guild.add_member(self.env.create_user("root"), roles=[role])

    def ana_direct(self) -> list[discord.Message]:
        """What stands in ana's direct messages with the bot."""
        user = self.ana_user
        return user.dm_channel.history()

    async def restart(self) -> None:
        """A new process: the same Discord, data folder and inbox."""
        await self.env.restart_bot(full_bot(self.settings, self.inbox, self.folder))


@asynccontextmanager
async def full_simulated_discord(
    folder: Path,
    settings: DiscordSettings | None = None,
    inbox: FakeInbox | None = None,
    bot: AnyBot | None = None,
) -> AsyncIterator[FullSimulatedDiscord]:
    """A running house."""
    settings, inbox = settings or DiscordSettings(), inbox or FakeInbox()
    async with simcord.run(full_bot(settings, inbox, folder, bot), settle_timeout=10) as env:
        place = FullSimulatedDiscord(env, inbox, settings, folder)
        place.create_guild()
        yield place
