"""The cogs that Hearth adds to a bot: one for messages, one for commands and buttons."""

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
    """Builder of the replies and of the cog with commands and buttons; `folder` holds the registered definitions."""

    def build_cogs(
        bot: AnyBot, inbox: Inbox, rates: DiscordRateLimits
    ) -> tuple[DiscordReplyFactory, list[commands.Cog]]:
        def transport_of(message: Message) -> DiscordTransport:
            token = InteractionToken.from_platform_data(message.platform_data)
            if token is None:
                return replies.channel_transport(message)
            is_question = message.command == "ask"
            views = view_factory(message) if is_question else None
            return InteractionTransport(bot, token, rates, views, replies.teller(message))

        replies = DiscordReplyFactory(bot, rates, view_factory, transport_of)
        return replies, [CommandsCog(bot, settings, inbox, replies, folder / COMMANDS_FILE)]

    return build_cogs


class CommandsCog(commands.Cog, name="Hearth menus"):
    """Commands and buttons inside a bot."""

    def __init__(
        self, bot: AnyBot, settings: DiscordSettings, inbox: Inbox, replies: DiscordReplyFactory, file: Path
    ) -> None:
        """`file` holds the definitions that Discord has."""
        self._bot = bot
        self._settings = settings
        self._file = file
        members = MemberDirectory(bot, settings)
        handler = InteractionHandler(
            settings=settings,
            inbox=inbox,
            members=members,
            reply_to=replies.reply_to,
            message_reader=MessageReader(bot, settings, members),
        )
        self._commands = AppCommands(bot, handler)

    async def cog_load(self) -> None:
        """Add the commands; in a bot that is ready already, register them with Discord."""
        self._commands.add_commands()
        if self._bot.is_ready():
            await self.on_ready()

    async def cog_unload(self) -> None:
        """Remove the commands from the bot."""
        self._commands.remove_commands()

    @commands.Cog.listener()
    async def on_ready(self) -> None:
        """Register the commands where Discord has others."""
        await register_commands(self._bot, self._commands.own_commands, self._file)
