"""What Hearth puts into a bot: the cog that listens, and the cog with commands and buttons."""

from pathlib import Path

from discord.ext import commands

from adapters.discord.adapter import Furnish
from adapters.discord.commands.app_commands import Menus
from adapters.discord.commands.command_registration import hand_over
from adapters.discord.commands.interaction_handler import Desk
from adapters.discord.connection.session import AnyBot
from adapters.discord.incoming.members import People
from adapters.discord.incoming.message_reader import Reading
from adapters.discord.outgoing.interaction_token import Grant
from adapters.discord.outgoing.interaction_transport import InteractionPlace
from adapters.discord.outgoing.rate_limits import Rates
from adapters.discord.outgoing.replies import Answers
from adapters.discord.outgoing.views import views_of
from adapters.discord.reply_transport import Channel
from adapters.discord.settings import DiscordSettings
from bot.core.messages import Message
from bot.core.ports import Inbox

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
        people = People(bot)
        reading = Reading(bot, settings, people)
        desk = Desk(settings=settings, inbox=inbox, people=people, reply_to=answers.reply_to, reading=reading)
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
