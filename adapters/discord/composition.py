"""What Hearth puts into a bot: the cog that listens, and the cog with commands and buttons."""

from pathlib import Path

from discord.ext import commands

from adapters.discord.adapter import CogBuilder
from adapters.discord.commands.app_commands import AppCommands
from adapters.discord.commands.command_registration import register_commands
from adapters.discord.commands.interaction_handler import InteractionHandler
from adapters.discord.connection.session import AnyBot
from adapters.discord.incoming.members import MemberDirectory
from adapters.discord.incoming.message_reader import MessageReader
from adapters.discord.outgoing.interaction_token import InteractionToken
from adapters.discord.outgoing.interaction_transport import InteractionTransport
from adapters.discord.outgoing.rate_limits import DiscordRateLimits
from adapters.discord.outgoing.replies import DiscordReplyFactory
from adapters.discord.outgoing.transport import DiscordTransport
from adapters.discord.outgoing.views import view_factory
from adapters.discord.settings import DiscordSettings
from bot.core.messages import Message
from bot.core.ports import Inbox

COMMANDS_FILE = "discord-commands.json"


def cog_builder(settings: DiscordSettings, folder: Path) -> CogBuilder:
    """What makes the answers and the cog with commands and buttons; `folder` is where definitions are noted."""

    def furnish(bot: AnyBot, inbox: Inbox, rates: DiscordRateLimits) -> tuple[DiscordReplyFactory, list[commands.Cog]]:
        def place_of(message: Message) -> DiscordTransport:
            grant = InteractionToken.from_platform_data(message.platform_data)
            if grant is None:
                return answers.channel_transport(message)
            is_question = message.command == "ask"
            return InteractionTransport(bot, grant, rates, view_factory(message) if is_question else None)

        answers = DiscordReplyFactory(bot, rates, view_factory, place_of)
        return answers, [CommandsCog(bot, settings, inbox, answers, folder / COMMANDS_FILE)]

    return furnish


class CommandsCog(commands.Cog, name="Hearth menus"):
    """Commands and buttons inside a bot."""

    def __init__(
        self, bot: AnyBot, settings: DiscordSettings, inbox: Inbox, answers: DiscordReplyFactory, file: Path
    ) -> None:
        """`file` is where it stands which definitions Discord has."""
        self._bot = bot
        self._settings = settings
        self._file = file
        people = MemberDirectory(bot)
        reading = MessageReader(bot, settings, people)
        desk = InteractionHandler(
            settings=settings, inbox=inbox, people=people, reply_to=answers.reply_to, reading=reading
        )
        self._commands = AppCommands(bot, desk)

    async def cog_load(self) -> None:
        """Add the commands; in a bot that is ready already, tell Discord of them."""
        self._commands.add_commands()
        if self._bot.is_ready():
            await self.on_ready()

    async def cog_unload(self) -> None:
        """Leave the bot as it was."""
        self._commands.remove_commands()

    @commands.Cog.listener()
    async def on_ready(self) -> None:
        """Tell Discord of the commands where it has others."""
        await register_commands(self._bot, self._commands.own_commands, self._file)
