"""Hands slash commands, context menu commands and button presses to the core as messages."""

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import replace

import discord

from adapters.discord.failures import CONNECTION_ERRORS
from adapters.discord.ids import conversation_id, person_id, private_audience, private_conversation_id, room_audience
from adapters.discord.incoming.addressing import DiscordMessageFacts, why_ignored
from adapters.discord.incoming.members import MemberDirectory, MemberRights, is_admin
from adapters.discord.incoming.message_reader import MessageReader
from adapters.discord.limits import CONTENT_CHARACTERS
from adapters.discord.localization import language_of
from adapters.discord.outgoing.interaction_token import Interaction, InteractionToken, acknowledge_interaction
from adapters.discord.outgoing.transport import NO_MENTIONS
from adapters.discord.outgoing.views import ABOUT_KEY, ButtonId
from adapters.discord.settings import DiscordSettings
from adapters.discord.texts import localize
from bot.core.messages import Message, Person
from bot.core.ports import Inbox, Reply

log = logging.getLogger(__name__)

ADMIN_COMMANDS = frozenset({"reindex", "stats"})
STOPS_KEPT = 200
RIGHTS_TIMEOUT_S = 1.0
"""Discord waits 3 seconds for the acknowledgement, and rights may be fetched before it."""


class InteractionHandler:
    """Takes interactions. `reply_to` makes the reply to a message from the message alone."""

    def __init__(
        self,
        *,
        settings: DiscordSettings,
        inbox: Inbox,
        members: MemberDirectory,
        reply_to: Callable[[Message], Reply],
        message_reader: MessageReader,
    ) -> None:
        self._settings = settings
        self._inbox = inbox
        self._members = members
        self._reply_to = reply_to
        self._message_reader = message_reader
        self._stopping: deque[str] = deque(maxlen=STOPS_KEPT)

    async def ask_question(self, interaction: Interaction, question: str, private: bool = False) -> None:
        """Answer a question, visible to the whole channel or to the person alone."""
        if await self._reject(interaction):
            return
        token = await acknowledge_interaction(interaction, private and interaction.guild_id is not None)
        await self._ask_text(interaction, token, question)

    async def _ask_text(self, interaction: Interaction, token: InteractionToken, question: str) -> None:
        message = await self._to_message(interaction, token, question)
        if isinstance(interaction.channel, discord.abc.Messageable):
            message = replace(
                message, context=await self._message_reader.read_recent(interaction.channel, interaction.id)
            )
        await self._submit_message(message, interaction)

    async def ask_about_message(self, interaction: Interaction, target: discord.Message) -> None:
        """Answer the question that a message asks, with its files."""
        if await self._reject(interaction):
            return
        await self._ask_from_message(target, interaction, await acknowledge_interaction(interaction, ephemeral=False))

    async def run_command(self, interaction: Interaction, command: str, argument: str = "") -> None:
        """Run a command of the core; only the person sees its reply."""
        if await self._reject(interaction):
            return
        if command in ADMIN_COMMANDS and not await self._is_admin(interaction):
            await send_ephemeral(
                interaction, localize("not_admin", language_of(interaction.locale), command=f"/{command}")
            )
            return
        token = await acknowledge_interaction(interaction, ephemeral=True)
        await self._submit_message(
            await self._to_message(interaction, token, argument, command, in_room=True), interaction
        )

    async def press_button(self, interaction: Interaction, press: ButtonId) -> None:
        """Take a press of a button under an answer. Everyone who sees an answer may see its sources; the other buttons
        are for the person who asked, and for admins.
        """
        if await self._reject(interaction):
            return
        may_control = interaction.user.id == press.asker_id or await self._is_admin(interaction)
        if press.action == "sources":
            await self._show_sources(interaction, press)
        elif not may_control:
            await send_ephemeral(interaction, localize("button_not_yours", language_of(interaction.locale)))
        elif press.action == "stop":
            await self._stop(interaction, press)
        else:
            await self._try_again(interaction, press)

    async def _stop(self, interaction: Interaction, press: ButtonId) -> None:
        is_stopping = press.event_id in self._stopping
        if not is_stopping:
            is_stopping = await self._inbox.stop_answer(press.conversation, press.event_id)
            if is_stopping:
                self._stopping.append(press.event_id)
        key = "button_stopping" if is_stopping else "nothing_to_stop"
        await send_ephemeral(interaction, localize(key, language_of(interaction.locale)))

    async def _show_sources(self, interaction: Interaction, press: ButtonId) -> None:
        token = await acknowledge_interaction(interaction, ephemeral=True)
        message = await self._to_message(interaction, token, press.event_id, "sources", in_room=not press.private)
        await self._submit_message(replace(message, conversation=press.conversation), interaction)

    async def _try_again(self, interaction: Interaction, press: ButtonId) -> None:
        token = await acknowledge_interaction(interaction, press.private)
        text = None if press.about else await self._inbox.question(press.conversation, press.event_id)
        if text is not None:
            await self._ask_text(interaction, token, text)
        elif (target := await self._fetch_target(interaction, press)) is not None:
            await self._ask_from_message(target, interaction, token)
        else:
            await _edit_placeholder(interaction, localize("button_question_gone", language_of(interaction.locale)))

    async def _fetch_target(self, interaction: Interaction, press: ButtonId) -> discord.Message | None:
        """The message that asked: in the channel of the button, or in the parent of a thread that was opened on it."""
        channel = interaction.channel
        if isinstance(channel, discord.Thread) and channel.id == press.message_id:
            channel = channel.parent
        if not isinstance(channel, discord.abc.Messageable):
            return None
        try:
            return await channel.fetch_message(press.message_id)
        except (discord.HTTPException, *CONNECTION_ERRORS) as error:
            log.info("Could not read the question %d to ask it again: %s", press.message_id, type(error).__name__)
            return None

    async def _ask_from_message(
        self, target: discord.Message, interaction: Interaction, token: InteractionToken
    ) -> None:
        """Ask the question of a message in the name of the person who pointed at it."""
        question = await self._message_reader.read_target(target)
        message = await self._to_message(interaction, token, question.text)
        data = {**message.platform_data, ABOUT_KEY: str(target.id)}
        asked = replace(message, attachments=question.attachments, context=question.context, platform_data=data)
        await self._submit_message(asked, interaction)

    async def _submit_message(self, message: Message, interaction: Interaction) -> None:
        if await self._inbox.handle(message, self._reply_to(message)) is None:
            # A blocked person or a paused conversation: "is thinking…" must not remain.
            await _edit_placeholder(interaction, localize("not_here", language_of(interaction.locale)))

    async def _to_message(
        self, interaction: Interaction, token: InteractionToken, text: str, command: str = "ask", in_room: bool = False
    ) -> Message:
        """An interaction as the core takes it; with `in_room` it is about the channel even if its reply is private."""
        user, channel = interaction.user, interaction.channel
        rights = await self._get_rights(interaction)
        if token.guild_id is None:
            conversation = conversation_id(token.channel_id)
            audience = private_audience(conversation, user.id, rights.role_ids, rights.guild_ids)
        elif token.private and not in_room:
            conversation = private_conversation_id(token.channel_id, user.id)
            audience = private_audience(conversation, user.id, rights.role_ids, rights.guild_ids)
        else:
            conversation = conversation_id(token.channel_id)
            parent = channel.parent_id if isinstance(channel, discord.Thread) else None
            audience = room_audience(token.channel_id, parent, token.guild_id)
        return Message(
            conversation=conversation,
            event_id=str(interaction.id),
            author=Person(person_id(user.id), user.display_name, is_admin(self._settings, user.id, rights)),
            text=text,
            addressed=True,
            audience=audience,
            sent_at=interaction.created_at.timestamp(),
            command=command,
            platform_data=token.to_platform_data(),
        )

    async def _get_rights(self, interaction: Interaction) -> MemberRights:
        return await self._members.get_rights(interaction.user, RIGHTS_TIMEOUT_S)

    async def _is_admin(self, interaction: Interaction) -> bool:
        return is_admin(self._settings, interaction.user.id, await self._get_rights(interaction))

    async def _reject(self, interaction: Interaction) -> bool:
        """Whether the channel or the person is not allowed; if so, the person is told."""
        channel, user = interaction.channel, interaction.user
        by_role = bool(self._settings.roles.allow or self._settings.roles.block)
        reason = why_ignored(
            DiscordMessageFacts(
                author_id=user.id,
                channel_id=interaction.channel_id or 0,
                guild_id=interaction.guild_id,
                parent_id=channel.parent_id if isinstance(channel, discord.Thread) else None,
                role_ids=(await self._get_rights(interaction)).role_ids if by_role else frozenset(),
                is_machine=user.bot,
                mentions_bot=True,
            ),
            self._settings,
        )
        if reason is not None:
            await send_ephemeral(interaction, localize("not_here", language_of(interaction.locale)))
        return reason is not None


async def send_ephemeral(interaction: Interaction, sentence: str) -> None:
    """Send a sentence to the person alone; a refusal is logged."""
    try:
        await interaction.response.send_message(
            sentence[:CONTENT_CHARACTERS], ephemeral=True, allowed_mentions=NO_MENTIONS
        )
    except (discord.HTTPException, discord.InteractionResponded, *CONNECTION_ERRORS) as error:
        log.warning("Could not respond to interaction %d: %s", interaction.id, type(error).__name__)


async def _edit_placeholder(interaction: Interaction, sentence: str) -> None:
    """Replace the "is thinking…" placeholder with a sentence."""
    try:
        await interaction.edit_original_response(content=sentence, allowed_mentions=NO_MENTIONS)
    except (discord.HTTPException, *CONNECTION_ERRORS) as error:
        log.info("Could not respond to interaction %d: %s", interaction.id, type(error).__name__)
