"""Takes slash commands, the message menu and presses of buttons, and hands each to the core as a message."""

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import replace

import discord

from adapters.discord.failures import LOST
from adapters.discord.ids import conversation_id, person_id, private_audience, private_conversation_id, room_audience
from adapters.discord.incoming.addressing import Seen, judge
from adapters.discord.incoming.members import People, Standing, is_admin
from adapters.discord.incoming.message_reader import Reading
from adapters.discord.limits import CONTENT_CHARACTERS
from adapters.discord.localization import language_of
from adapters.discord.outgoing.channel_transport import NOBODY
from adapters.discord.outgoing.interaction_token import Grant, Interaction, accept
from adapters.discord.outgoing.views import ABOUT, Press
from adapters.discord.settings import DiscordSettings
from bot.core.messages import Message, Person
from bot.core.ports import Inbox, Reply
from bot.core.texts import say

log = logging.getLogger(__name__)

ADMINS_ONLY = frozenset({"reindex", "stats"})
STOPS_KEPT = 200
STANDING_WITHIN_S = 1.0
"""Discord waits 3 seconds for the acknowledgement, and this may be asked before it."""


class Desk:
    """Where interactions come in. `reply_to` makes the reply to a message from the message alone."""

    def __init__(
        self,
        *,
        settings: DiscordSettings,
        inbox: Inbox,
        people: People,
        reply_to: Callable[[Message], Reply],
        reading: Reading,
    ) -> None:
        self._settings = settings
        self._inbox = inbox
        self._people = people
        self._reply_to = reply_to
        self._reading = reading
        self._stopping: deque[str] = deque(maxlen=STOPS_KEPT)

    async def ask(self, interaction: Interaction, question: str, private: bool = False) -> None:
        """Answer a question, to everybody in the channel or to the person alone."""
        if await self._refuses(interaction):
            return
        grant = await accept(interaction, private and interaction.guild_id is not None)
        await self._ask(interaction, grant, question)

    async def _ask(self, interaction: Interaction, grant: Grant, question: str) -> None:
        message = await self._message(interaction, grant, question)
        if isinstance(interaction.channel, discord.abc.Messageable):
            message = replace(message, context=await self._reading.recall(interaction.channel, interaction.id))
        await self._hand_in(message, interaction)

    async def ask_about(self, interaction: Interaction, target: discord.Message) -> None:
        """Answer what a message asks, with its files."""
        if await self._refuses(interaction):
            return
        await self._ask_as(target, interaction, await accept(interaction, ephemeral=False))

    async def run(self, interaction: Interaction, command: str, argument: str = "") -> None:
        """Run a command of the core; only the person sees what it says."""
        if await self._refuses(interaction):
            return
        if command in ADMINS_ONLY and not await self._is_admin(interaction):
            await tell(interaction, say("not_admin", language_of(interaction.locale), command=f"/{command}"))
            return
        grant = await accept(interaction, ephemeral=True)
        await self._hand_in(await self._message(interaction, grant, argument, command, in_room=True), interaction)

    async def press(self, interaction: Interaction, press: Press) -> None:
        """A button under an answer was pressed. Everybody who sees an answer may see its sources; the rest is for
        who asked, and for admins.
        """
        if await self._refuses(interaction):
            return
        mine = interaction.user.id == press.asker_id or await self._is_admin(interaction)
        if press.action == "sources":
            await self._show_sources(interaction, press)
        elif not mine:
            await tell(interaction, say("button_not_yours", language_of(interaction.locale)))
        elif press.action == "stop":
            await self._stop(interaction, press)
        else:
            await self._try_again(interaction, press)

    async def _stop(self, interaction: Interaction, press: Press) -> None:
        under_way = press.event_id in self._stopping
        if not under_way:
            under_way = await self._inbox.withdraw(press.conversation, press.event_id)
            if under_way:
                self._stopping.append(press.event_id)
        key = "button_stopping" if under_way else "nothing_to_stop"
        await tell(interaction, say(key, language_of(interaction.locale)))

    async def _show_sources(self, interaction: Interaction, press: Press) -> None:
        grant = await accept(interaction, ephemeral=True)
        message = await self._message(interaction, grant, press.event_id, "sources", in_room=not press.private)
        await self._hand_in(replace(message, conversation=press.conversation), interaction)

    async def _try_again(self, interaction: Interaction, press: Press) -> None:
        grant = await accept(interaction, press.private)
        text = None if press.about else await self._inbox.question(press.conversation, press.event_id)
        if text is not None:
            await self._ask(interaction, grant, text)
        elif (target := await self._pointed_at(interaction, press)) is not None:
            await self._ask_as(target, interaction, grant)
        else:
            await _say_instead(interaction, say("button_question_gone", language_of(interaction.locale)))

    async def _pointed_at(self, interaction: Interaction, press: Press) -> discord.Message | None:
        """The message that asks: in the channel of the button, or in the channel of the thread it was opened in."""
        channel = interaction.channel
        if isinstance(channel, discord.Thread) and channel.id == press.message_id:
            channel = channel.parent
        if not isinstance(channel, discord.abc.Messageable):
            return None
        try:
            return await channel.fetch_message(press.message_id)
        except (discord.HTTPException, *LOST) as error:
            log.info("The question %d cannot be asked again: %s", press.message_id, type(error).__name__)
            return None

    async def _ask_as(self, target: discord.Message, interaction: Interaction, grant: Grant) -> None:
        """Ask what a message says, in the name of the person who pointed at it."""
        said = await self._reading.pointed_at(target)
        message = await self._message(interaction, grant, said.text)
        data = {**message.platform_data, ABOUT: str(target.id)}
        asked = replace(message, attachments=said.attachments, context=said.context, platform_data=data)
        await self._hand_in(asked, interaction)

    async def _hand_in(self, message: Message, interaction: Interaction) -> None:
        if await self._inbox.handle(message, self._reply_to(message)) is None:
            # Blocked, or a conversation that is paused: "is thinking" must not stay for ever.
            await _say_instead(interaction, say("not_here", language_of(interaction.locale)))

    async def _message(
        self, interaction: Interaction, grant: Grant, text: str, command: str = "ask", in_room: bool = False
    ) -> Message:
        """An interaction as the core takes it; with `in_room` it is about the channel, whoever sees the answer."""
        user, channel = interaction.user, interaction.channel
        standing = await self._standing(interaction)
        if grant.guild_id is None:
            conversation = conversation_id(grant.channel_id)
            audience = private_audience(conversation, user.id, standing.role_ids, standing.guild_ids)
        elif grant.private and not in_room:
            conversation = private_conversation_id(grant.channel_id, user.id)
            audience = private_audience(conversation, user.id, standing.role_ids, standing.guild_ids)
        else:
            conversation = conversation_id(grant.channel_id)
            parent = channel.parent_id if isinstance(channel, discord.Thread) else None
            audience = room_audience(grant.channel_id, parent, grant.guild_id)
        return Message(
            conversation=conversation,
            event_id=str(interaction.id),
            author=Person(person_id(user.id), user.display_name, is_admin(self._settings, user.id, standing)),
            text=text,
            addressed=True,
            audience=audience,
            sent_at=interaction.created_at.timestamp(),
            command=command,
            platform_data=grant.platform_data(),
        )

    async def _standing(self, interaction: Interaction) -> Standing:
        return await self._people.standing(interaction.user, STANDING_WITHIN_S)

    async def _is_admin(self, interaction: Interaction) -> bool:
        return is_admin(self._settings, interaction.user.id, await self._standing(interaction))

    async def _refuses(self, interaction: Interaction) -> bool:
        """Whether the place or the person is not let in; if so, the person is told."""
        channel, user = interaction.channel, interaction.user
        by_role = bool(self._settings.roles.allow or self._settings.roles.block)
        unheard = judge(
            Seen(
                author_id=user.id,
                channel_id=interaction.channel_id or 0,
                guild_id=interaction.guild_id,
                parent_id=channel.parent_id if isinstance(channel, discord.Thread) else None,
                role_ids=(await self._standing(interaction)).role_ids if by_role else frozenset(),
                is_machine=user.bot,
                mentions_us=True,
            ),
            self._settings,
        )
        if unheard is not None:
            await tell(interaction, say("not_here", language_of(interaction.locale)))
        return unheard is not None


async def tell(interaction: Interaction, sentence: str) -> None:
    """Say one sentence to the person alone; when Discord will not have it, the log says so."""
    try:
        await interaction.response.send_message(sentence[:CONTENT_CHARACTERS], ephemeral=True, allowed_mentions=NOBODY)
    except (discord.HTTPException, discord.InteractionResponded, *LOST) as error:
        log.warning("Interaction %d could not be answered: %s", interaction.id, type(error).__name__)


async def _say_instead(interaction: Interaction, sentence: str) -> None:
    """Put one sentence where "is thinking" stands."""
    try:
        await interaction.edit_original_response(content=sentence, allowed_mentions=NOBODY)
    except (discord.HTTPException, *LOST) as error:
        log.info("Interaction %d could not be answered: %s", interaction.id, type(error).__name__)
