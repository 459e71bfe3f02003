"""What people can choose in Discord's own menus: the slash commands, and the one on messages."""

import logging
from collections.abc import Sequence

import discord
from discord import app_commands

from adapters.discord.commands.interaction_handler import Desk
from adapters.discord.connection.session import AnyBot
from adapters.discord.localization import label
from adapters.discord.outgoing.interaction_token import Interaction
from adapters.discord.outgoing.views import Press

log = logging.getLogger(__name__)

Command = app_commands.Command[discord.app_commands.Group, ..., None] | app_commands.ContextMenu

QUESTION_CHARACTERS = 4000
"""The longest text of an option (`interactions/application-commands.mdx`: `max_length` is at most 6,000)."""

WHERE = app_commands.AppCommandContext(guild=True, dm_channel=True, private_channel=False)
INSTALLED = app_commands.AppInstallationType(guild=True, user=False)
ADMINS = discord.Permissions(manage_guild=True)


class Menus:
    """Puts the commands into a bot's tree and takes them out again; the host's own always win."""

    def __init__(self, bot: AnyBot, desk: Desk) -> None:
        self._bot = bot
        self._desk = desk
        self._added: list[Command] = []

    @property
    def added(self) -> Sequence[Command]:
        """The commands that are ours."""
        return self._added

    def add(self) -> None:
        """Add the commands, and listen for presses of our buttons."""
        for command in (*self._questions(), *self._others(), self._about()):
            try:
                self._bot.tree.add_command(command)
            except app_commands.CommandAlreadyRegistered:
                log.warning("The bot has a command “%s” of its own, so Hearth's is left out.", command.name)
            else:
                self._added.append(command)
        self._bot.add_listener(self._on_interaction, "on_interaction")

    def remove(self) -> None:
        """Take out what was added."""
        self._bot.remove_listener(self._on_interaction, "on_interaction")
        for command in self._added:
            kind = command.type if isinstance(command, app_commands.ContextMenu) else discord.AppCommandType.chat_input
            self._bot.tree.remove_command(command.name, type=kind)
        self._added.clear()

    async def _on_interaction(self, interaction: Interaction) -> None:
        custom_id = interaction.data.get("custom_id") if interaction.data else None
        press = Press.read(str(custom_id)) if interaction.type is discord.InteractionType.component else None
        if press is not None:
            await self._desk.press(interaction, press)

    def _questions(self) -> Sequence[Command]:
        @app_commands.command(name=label("slash_ask_name"), description=label("slash_ask"))
        @app_commands.describe(question=label("slash_ask_question"), private=label("slash_ask_private"))
        @app_commands.rename(private=label("slash_ask_private_name"))
        async def ask(
            interaction: Interaction,
            question: app_commands.Range[str, 1, QUESTION_CHARACTERS],
            private: bool = False,
        ) -> None:
            await self._desk.ask(interaction, question, private)

        @app_commands.command(name=label("slash_forget_name"), description=label("slash_forget"))
        @app_commands.describe(conversation=label("slash_forget_conversation"))
        async def forget(interaction: Interaction, conversation: bool = False) -> None:
            await self._desk.run(interaction, "forget", "conversation" if conversation else "")

        return [_everywhere(ask), _everywhere(forget)]

    def _others(self) -> Sequence[Command]:
        return [
            self._plain("help", "slash_help_name", "slash_help"),
            self._plain("sources", "slash_sources_name", "slash_sources"),
            self._plain("stop", "slash_stop_name", "slash_stop"),
            self._plain("stats", "slash_stats_name", "slash_stats", admins=True),
            self._plain("reindex", "slash_reindex_name", "slash_reindex", admins=True),
        ]

    def _plain(self, name: str, name_key: str, description_key: str, admins: bool = False) -> Command:
        @app_commands.command(name=label(name_key), description=label(description_key))
        async def command(interaction: Interaction) -> None:
            await self._desk.run(interaction, name)

        if admins:
            command.default_permissions = ADMINS
        return _everywhere(command)

    def _about(self) -> Command:
        @app_commands.context_menu(name=label("menu_ask"))
        async def about(interaction: Interaction, message: discord.Message) -> None:
            await self._desk.ask_about(interaction, message)

        return _everywhere(about)


def _everywhere(command: Command) -> Command:
    """On servers and in direct messages with the bot, not in conversations of others."""
    command.allowed_contexts = WHERE
    command.allowed_installs = INSTALLED
    return command
