"""What Hearth puts into a bot: the cog that listens, and the cog with commands and buttons."""

import asyncio
import logging
from contextlib import suppress
from pathlib import Path

import discord
from discord.ext import commands

from adapters.discord import attachments, context
from adapters.discord.answers import Answers
from adapters.discord.bot import Furnish
from adapters.discord.channel import Channel
from adapters.discord.commands import Menus
from adapters.discord.connection import AnyBot
from adapters.discord.desk import Desk
from adapters.discord.interactions import Grant, InteractionPlace
from adapters.discord.people import People
from adapters.discord.rates import Rates
from adapters.discord.settings import DiscordSettings
from adapters.discord.sync import hand_over
from adapters.discord.translate import Enclosed, question_of, spoken
from adapters.discord.views import views_of
from bot.core.events import Message, Said
from bot.core.ports import Inbox

log = logging.getLogger(__name__)

DEFINITIONS_FILE = "discord-commands.json"


def furnishing(settings: DiscordSettings, folder: Path) -> Furnish:
    """What makes the answers and the cog with commands and buttons; `folder` is where definitions are noted."""

    def furnish(bot: AnyBot, inbox: Inbox, rates: Rates) -> tuple[Answers, list[commands.Cog]]:
        def place_of(message: Message) -> Channel:
            grant = Grant.of(message.platform_data)
            if grant is None:
                return answers.channel_of(message)
            is_question = message.command == "ask"
            return InteractionPlace(bot, grant, rates, views_of(message) if is_question else None)

        answers = Answers(bot, rates, views_of, place_of)
        return answers, [MenuCog(bot, settings, inbox, answers, folder / DEFINITIONS_FILE)]

    return furnish


class MenuCog(commands.Cog, name="Hearth menus"):
    """Commands and buttons inside a bot."""

    def __init__(self, bot: AnyBot, settings: DiscordSettings, inbox: Inbox, answers: Answers, file: Path) -> None:
        """`file` is where it stands which definitions Discord has."""
        self._bot = bot
        self._settings = settings
        self._file = file
        desk = Desk(
            settings=settings,
            inbox=inbox,
            people=People(bot),
            reply_to=answers.reply_to,
            read=self._read,
            recall=self._recall,
        )
        self._menus = Menus(bot, desk)

    async def cog_load(self) -> None:
        """Add the commands; in a bot that is ready already, tell Discord of them."""
        self._menus.add()
        if self._bot.is_ready():
            await self.on_ready()

    async def cog_unload(self) -> None:
        """Leave the bot as it was."""
        self._menus.remove()

    @commands.Cog.listener()
    async def on_ready(self) -> None:
        """Tell Discord of the commands where it has others."""
        await hand_over(self._bot, self._menus.added, self._file)

    async def _recall(self, channel: discord.abc.Messageable, before_id: int) -> tuple[Said, ...]:
        us, limit = self._bot.user, self._settings.recent_in(getattr(channel, "id", 0))
        if us is None or not limit:
            return ()
        try:
            async with asyncio.timeout(self._settings.read_timeout_s):
                return await context.recent(channel, before_id, limit, lambda each: spoken(each, us))
        except TimeoutError:
            return ()

    async def _read(self, message: discord.Message) -> Message:
        """A message that a person points at, as a question; without what cannot be read in time."""
        us = self._bot.user
        assert us is not None, "an interaction comes after the login"
        enclosed = Enclosed()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.read_timeout_s):
                enclosed = await self._enclosed(message, us)
        return question_of(message, us, self._settings, enclosed)

    async def _enclosed(self, message: discord.Message, us: discord.ClientUser) -> Enclosed:
        settings = self._settings
        said = await context.before(message, settings.reply_chain, 0, lambda each: spoken(each, us))
        above = await context.replied_to(message)
        files = [*message.attachments, *(above.attachments if above else ())]
        return Enclosed(said, await attachments.fetch(files, settings.attachments, settings.attachment_bytes))
