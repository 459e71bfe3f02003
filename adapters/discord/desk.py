"""Takes slash commands, the message menu and presses of buttons, and hands each to the core as a message."""

import logging
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from dataclasses import replace

import discord

from adapters.discord.addressing import Seen, judge
from adapters.discord.failures import LOST
from adapters.discord.interactions import Grant
from adapters.discord.labels import language_of
from adapters.discord.limits import ALREADY_ACKNOWLEDGED, CONTENT_CHARACTERS
from adapters.discord.people import People, Standing
from adapters.discord.places import (
    conversation_id,
    is_admin,
    person_id,
    private_audience,
    private_conversation_id,
    room_audience,
)
from adapters.discord.posting import NOBODY
from adapters.discord.settings import DiscordSettings
from adapters.discord.translate import role_ids
from adapters.discord.views import Press
from bot.core.events import Message, Person, Said
from bot.core.ports import Inbox, Reply
from bot.core.texts import say

log = logging.getLogger(__name__)

Interaction = discord.Interaction[discord.Client]
Read = Callable[[discord.Message], Awaitable[Message]]
"""A message as the core takes it, with its attachments and what was said before it."""

Recall = Callable[[discord.abc.Messageable, int], Awaitable[tuple[Said, ...]]]
"""What was said in a channel before the moment of an id, as far as the admin lets it be read."""

ADMINS_ONLY = frozenset({"reindex", "stats"})
KEPT = 200
"""Questions of slash commands that can be tried again, and stops that are under way."""


class Desk:
    """Where interactions come in. `reply_to` makes the reply to a message from the message alone."""

    def __init__(
        self,
        *,
        settings: DiscordSettings,
        inbox: Inbox,
        people: People,
        reply_to: Callable[[Message], Reply],
        read: Read,
        recall: Recall,
    ) -> None:
        self._settings = settings
        self._inbox = inbox
        self._people = people
        self._reply_to = reply_to
        self._read = read
        self._recall = recall
        # Discord shows the text of a slash command nowhere, so trying again needs it from here.
        self._asked: OrderedDict[str, Message] = OrderedDict()
        self._stopping: deque[str] = deque(maxlen=KEPT)

    async def ask(self, interaction: Interaction, question: str, private: bool = False) -> None:
        """Answer a question, to everybody in the channel or to the person alone."""
        if await self._refuses(interaction):
            return
        grant = await accept(interaction, private and interaction.guild_id is not None)
        message = await self._message(interaction, grant, question)
        if isinstance(interaction.channel, discord.abc.Messageable):
            message = replace(message, context=await self._recall(interaction.channel, interaction.id))
        self._remember(message)
        await self._hand_in(message, interaction)

    async def ask_about(self, interaction: Interaction, target: discord.Message) -> None:
        """Answer what a message asks, with its files."""
        if await self._refuses(interaction):
            return
        grant = await accept(interaction, ephemeral=False)
        await self._ask_as(target, await self._message(interaction, grant, ""), interaction)

    async def run(self, interaction: Interaction, command: str, argument: str = "") -> None:
        """Run a command of the core; only the person sees what it says."""
        if await self._refuses(interaction):
            return
        if command in ADMINS_ONLY and not self._is_admin(interaction):
            await tell(interaction, say("not_admin", language_of(interaction.locale), command=f"/{command}"))
            return
        grant = await accept(interaction, ephemeral=True)
        message = await self._message(interaction, grant, argument, command, in_room=True)
        if command == "forget":
            self._forget(message)
        await self._hand_in(message, interaction)

    async def press(self, interaction: Interaction, press: Press) -> None:
        """A button under an answer was pressed. Everybody who sees an answer may see its sources; the rest is for
        who asked, and for admins.
        """
        if await self._refuses(interaction):
            return
        mine = interaction.user.id == press.asker_id or self._is_admin(interaction)
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
        asked = self._asked.get(press.event_id)
        original = await self._original(interaction, press) if asked is None else None
        if asked is None and original is None:
            await tell(interaction, say("button_question_gone", language_of(interaction.locale)))
            return
        grant = await accept(interaction, press.private)
        message = await self._message(interaction, grant, "")
        if original is not None:
            await self._ask_as(original, message, interaction)
        elif asked is not None:
            again = replace(message, text=asked.text, attachments=asked.attachments, context=asked.context)
            self._remember(again)
            await self._hand_in(again, interaction)

    async def _original(self, interaction: Interaction, press: Press) -> discord.Message | None:
        """The message that asked: in the channel of the button, or in the channel of the thread it was opened in."""
        channel = interaction.channel
        if isinstance(channel, discord.Thread) and channel.id == int(press.event_id):
            channel = channel.parent
        if not isinstance(channel, discord.abc.Messageable):
            return None
        try:
            return await channel.fetch_message(int(press.event_id))
        except (discord.HTTPException, *LOST) as error:
            log.info("The question %s cannot be asked again: %s", press.event_id, type(error).__name__)
            return None

    async def _ask_as(self, target: discord.Message, message: Message, interaction: Interaction) -> None:
        """Ask what a message says, in the name of the person who pointed at it."""
        said = await self._read(target)
        asked = replace(message, text=said.text, attachments=said.attachments, context=said.context)
        self._remember(asked)
        await self._hand_in(asked, interaction)

    async def _hand_in(self, message: Message, interaction: Interaction) -> None:
        if await self._inbox.handle(message, self._reply_to(message)) is None:
            # Blocked, or a conversation that is paused: "is thinking" must not stay for ever.
            sentence = say("not_here", language_of(interaction.locale))
            try:
                await interaction.edit_original_response(content=sentence, allowed_mentions=NOBODY)
            except (discord.HTTPException, *LOST) as error:
                log.info("Interaction %d could not be answered: %s", interaction.id, type(error).__name__)

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
            author=Person(person_id(user.id), user.display_name, is_admin=self._is_admin(interaction)),
            text=text,
            addressed=True,
            audience=audience,
            sent_at=interaction.created_at.timestamp(),
            command=command,
            platform_data=grant.platform_data(),
        )

    async def _standing(self, interaction: Interaction) -> Standing:
        """The person's roles; on a server they come with each interaction, as they are now."""
        if interaction.guild_id is None:
            return await self._people.standing(interaction.user.id)
        return Standing(role_ids(interaction.user), frozenset({interaction.guild_id}))

    def _is_admin(self, interaction: Interaction) -> bool:
        rights = interaction.permissions
        manages = interaction.guild_id is not None and (rights.administrator or rights.manage_guild)
        return manages or is_admin(self._settings, interaction.user.id, role_ids(interaction.user))

    async def _refuses(self, interaction: Interaction) -> bool:
        """Whether the place or the person is not let in; if so, the person is told."""
        channel, user = interaction.channel, interaction.user
        unheard = judge(
            Seen(
                author_id=user.id,
                channel_id=interaction.channel_id or 0,
                guild_id=interaction.guild_id,
                parent_id=channel.parent_id if isinstance(channel, discord.Thread) else None,
                role_ids=role_ids(user),
                is_machine=user.bot,
                mentions_us=True,
            ),
            self._settings,
        )
        if unheard is not None:
            await tell(interaction, say("not_here", language_of(interaction.locale)))
        return unheard is not None

    def _remember(self, message: Message) -> None:
        self._asked[message.event_id] = message
        while len(self._asked) > KEPT:
            self._asked.popitem(last=False)

    def _forget(self, message: Message) -> None:
        kept = [each for each in self._asked.values() if each.author.id != message.author.id]
        if message.text:
            kept = [each for each in kept if each.conversation != message.conversation]
        self._asked = OrderedDict((each.event_id, each) for each in kept)


async def accept(interaction: Interaction, ephemeral: bool) -> Grant:
    """Acknowledge an interaction, which Discord waits 3 seconds for, and what may be done with it then."""
    original = 0
    try:
        response = await interaction.response.defer(ephemeral=ephemeral, thinking=True)
        original = (response.message_id if response else None) or 0
    except discord.HTTPException as error:
        log.warning("Interaction %d was not acknowledged: %s", interaction.id, error.text or error.status)
        if error.code == ALREADY_ACKNOWLEDGED:
            original = await _acknowledged(interaction)
    except LOST as error:
        log.warning("Interaction %d was not acknowledged: %s", interaction.id, type(error).__name__)
    return Grant(
        interaction_id=interaction.id,
        application_id=interaction.application_id,
        token=interaction.token,
        channel_id=interaction.channel_id or 0,
        user_id=interaction.user.id,
        guild_id=interaction.guild_id,
        original_id=original,
        private=ephemeral,
        locale=str(interaction.locale),
    )


async def _acknowledged(interaction: Interaction) -> int:
    """The message that somebody else's acknowledgement opened; 0 when there is none."""
    try:
        return (await interaction.original_response()).id
    except (discord.HTTPException, discord.ClientException, *LOST):
        return 0


async def tell(interaction: Interaction, sentence: str) -> None:
    """Say one sentence to the person alone; when Discord will not have it, the log says so."""
    try:
        await interaction.response.send_message(sentence[:CONTENT_CHARACTERS], ephemeral=True, allowed_mentions=NOBODY)
    except (discord.HTTPException, discord.InteractionResponded, *LOST) as error:
        log.warning("Interaction %d could not be answered: %s", interaction.id, type(error).__name__)
