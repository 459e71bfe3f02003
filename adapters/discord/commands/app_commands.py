"""Slash commands, and the context menu command on messages."""

import logging
from collections.abc import Sequence

import discord
from discord import app_commands

from adapters.discord.commands.interaction_handler import InteractionHandler
from adapters.discord.connection.session import AnyBot
from adapters.discord.localization import localized
from adapters.discord.outgoing.interaction_token import Interaction
from adapters.discord.outgoing.views import ButtonId

log = logging.getLogger(__name__)

TreeCommand = app_commands.Command[discord.app_commands.Group, ..., None] | app_commands.ContextMenu

QUESTION_CHARACTERS = 4000
"""The longest text of an option (`interactions/application-commands.mdx`: `max_length` is at most 6,000)."""

CONTEXTS = app_commands.AppCommandContext(guild=True, dm_channel=True, private_channel=False)
INSTALL_TYPES = app_commands.AppInstallationType(guild=True, user=False)
ADMIN_PERMISSIONS = discord.Permissions(manage_guild=True)


class AppCommands:
    """Adds the commands to a bot's tree and removes them again; commands of the host bot take precedence."""

    def __init__(self, bot: AnyBot, handler: InteractionHandler) -> None:
        self._bot = bot
        self._handler = handler
        self._added: list[TreeCommand] = []

    @property
    def own_commands(self) -> Sequence[TreeCommand]:
        """The commands that were added."""
        return self._added

    def add_commands(self) -> None:
        """Add the commands, and listen for presses of Hearth's buttons."""
        for command in (*self._argument_commands(), *self._plain_commands(), self._message_menu()):
            try:
                self._bot.tree.add_command(command)
            except app_commands.CommandAlreadyRegistered:
                log.warning("Skipping the command “%s”: the bot has one of its own.", command.name)
            except app_commands.CommandLimitReached as error:
                log.warning("Skipping the command “%s”: the bot has %d, the most of a kind.", command.name, error.limit)
            else:
                self._added.append(command)
        self._bot.add_listener(self._on_interaction, "on_interaction")

    def remove_commands(self) -> None:
        """Remove the commands and the listener."""
        self._bot.remove_listener(self._on_interaction, "on_interaction")
        for command in self._added:
            kind = command.type if isinstance(command, app_commands.ContextMenu) else discord.AppCommandType.chat_input
            self._bot.tree.remove_command(command.name, type=kind)
        self._added.clear()

    async def _on_interaction(self, interaction: Interaction) -> None:
        custom_id = interaction.data.get("custom_id") if interaction.data else None
        press = (
            ButtonId.from_custom_id(str(custom_id)) if interaction.type is discord.InteractionType.component else None
        )
        if press is not None:
            await self._handler.press_button(interaction, press)

    def _argument_commands(self) -> Sequence[TreeCommand]:
        @app_commands.command(name=localized("slash_ask_name"), description=localized("slash_ask"))
        @app_commands.describe(question=localized("slash_ask_question"), private=localized("slash_ask_private"))
        @app_commands.rename(private=localized("slash_ask_private_name"))
        async def ask(
            interaction: Interaction,
            question: app_commands.Range[str, 1, QUESTION_CHARACTERS],
            private: bool = False,
        ) -> None:
            await self._handler.ask_question(interaction, question, private)

        @app_commands.command(name=localized("slash_forget_name"), description=localized("slash_forget"))
        @app_commands.describe(conversation=localized("slash_forget_conversation"))
        async def forget(interaction: Interaction, conversation: bool = False) -> None:
            await self._handler.run_command(interaction, "forget", "conversation" if conversation else "")

        return [_set_contexts(ask), _set_contexts(forget)]

    def _plain_commands(self) -> Sequence[TreeCommand]:
        return [
            self._plain_command("help", "slash_help_name", "slash_help"),
            self._plain_command("sources", "slash_sources_name", "slash_sources"),
            self._plain_command("stop", "slash_stop_name", "slash_stop"),
            self._plain_command("stats", "slash_stats_name", "slash_stats", admins=True),
            self._plain_command("reindex", "slash_reindex_name", "slash_reindex", admins=True),
        ]

    def _plain_command(self, name: str, name_key: str, description_key: str, admins: bool = False) -> TreeCommand:
        @app_commands.command(name=localized(name_key), description=localized(description_key))
        async def command(interaction: Interaction) -> None:
            await self._handler.run_command(interaction, name)

        if admins:
            command.default_permissions = ADMIN_PERMISSIONS
        return _set_contexts(command)

    def _message_menu(self) -> TreeCommand:
        @app_commands.context_menu(name=localized("menu_ask"))
        async def about(interaction: Interaction, message: discord.Message) -> None:
            await self._handler.ask_about_message(interaction, message)

        return _set_contexts(about)


def _set_contexts(command: TreeCommand) -> TreeCommand:
    """Offer a command on servers and in direct messages with the bot, not in conversations between others."""
    command.allowed_contexts = CONTEXTS
    command.allowed_installs = INSTALL_TYPES
    return command
