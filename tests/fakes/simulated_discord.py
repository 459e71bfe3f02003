"""A simulated Discord with one server, one channel and people, and Hearth's cog in a bot on it."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import simcord
from simcord import ChannelHandle, Env, GuildHandle, MemberActor

from adapters.delivery.rate_limit import RateLimit, RateLimits
from adapters.discord.adapter import build_bot
from adapters.discord.connection.session import AnyBot
from adapters.discord.incoming.cog import HearthCog
from adapters.discord.outgoing.rate_limits import DiscordRateLimits
from adapters.discord.outgoing.replies import DiscordReplyFactory
from adapters.discord.settings import DiscordSettings
from tests.fakes.inbox import FakeInbox


def prompt_limits() -> DiscordRateLimits:
    """Rate limits for a Discord that tells of none: texts follow each other at once, not a second apart."""
    limits = DiscordRateLimits()
    limits.limits = RateLimits(lambda: RateLimit(assumed_s=0.01, floor_s=0.005))
    return limits


@dataclass
class SimulatedDiscord:
    """What a test plays with. `ana` and `ben` are members of the guild."""

    env: Env
    inbox: FakeInbox
    settings: DiscordSettings
    folder: Path
    guild: GuildHandle = field(init=False)
    channel: ChannelHandle = field(init=False)
    ana: MemberActor = field(init=False)
    ben: MemberActor = field(init=False)

    def create_guild(self) -> None:
        """Make the server and its people."""
        self.guild = self.env.create_guild("Rook Lane")
        self.channel = self.guild.create_text_channel("kitchen")
        self.ana = self.guild.add_member(self.env.create_user("ana"))
        self.ben = self.guild.add_member(self.env.create_user("ben"))

    @property
    def mention(self) -> str:
        """What people write to address the bot."""
        assert self.env.bot.user is not None
        return self.env.bot.user.mention

    def answers(self, channel: ChannelHandle | None = None) -> list[str]:
        """The bot's messages in a channel, oldest first."""
        assert self.env.bot.user is not None
        us = self.env.bot.user.id
        return [
            message.content
            for message in (channel or self.channel).history()
            if message.author.id == us and not message.is_system()
        ]

    @contextmanager
    def lost_events(self) -> Iterator[None]:
        """What happens inside, Discord tells no bot."""
        told, self.env.backend.subscribers = self.env.backend.subscribers, []
        try:
            yield
        finally:
            self.env.backend.subscribers = told

    async def restart(self) -> None:
        """A new process after an orderly stop: the same Discord, data folder and inbox."""
        await self.env.bot.remove_cog("Hearth")
        await self.env.restart_bot(small_bot(self.settings, self.inbox, self.folder))


async def add_hearth_cog(bot: AnyBot, settings: DiscordSettings, inbox: FakeInbox, folder: Path) -> None:
    """Put the cog into a bot."""
    await bot.add_cog(HearthCog(bot, settings, inbox, DiscordReplyFactory(bot, prompt_limits()), folder))


def small_bot(settings: DiscordSettings, inbox: FakeInbox, folder: Path, bot: AnyBot | None = None) -> AnyBot:
    """The smallest bot, or another one, which takes the cog in when it starts."""
    made = bot or build_bot(settings, prompt_limits())

    async def setup_hook() -> None:
        await add_hearth_cog(made, settings, inbox, folder)

    made.setup_hook = setup_hook  # type: ignore[method-assign]
    return made


@asynccontextmanager
async def simulated_discord(
    folder: Path,
    settings: DiscordSettings | None = None,
    inbox: FakeInbox | None = None,
    bot: AnyBot | None = None,
) -> AsyncIterator[SimulatedDiscord]:
    """A running house."""
    settings, inbox = settings or DiscordSettings(), inbox or FakeInbox()
    async with simcord.run(small_bot(settings, inbox, folder, bot)) as env:
        place = SimulatedDiscord(env, inbox, settings, folder)
        place.create_guild()
        yield place
