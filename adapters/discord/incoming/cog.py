"""Listens to a bot: hands in what is meant for Hearth, follows edits and deletions, and catches up after gaps."""

import asyncio
import dataclasses
import logging
from collections import deque
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import discord
from discord.ext import commands

from adapters.discord.connection.session import AnyBot
from adapters.discord.failures import LOST, NO_THREAD, REASONS
from adapters.discord.incoming import catch_up
from adapters.discord.incoming.addressing import Seen, Unheard, judge
from adapters.discord.incoming.channel_locks import Lanes
from adapters.discord.incoming.members import People
from adapters.discord.incoming.message_reader import Reading
from adapters.discord.incoming.read_markers import Marks
from adapters.discord.incoming.translate import may_open, may_write, seen, spoken, wants_thread
from adapters.discord.limits import NO_PERMISSION
from adapters.discord.localization import language_of
from adapters.discord.outgoing.channel_transport import NOBODY
from adapters.discord.outgoing.replies import Answers
from adapters.discord.settings import DiscordSettings
from bot.core.messages import Message
from bot.core.ports import Ended, Inbox
from bot.core.texts import say

log = logging.getLogger(__name__)

MARKS_FILE = "discord-marks.json"
TAKEN_KEPT = 1000
"""Messages that edits make no new questions of."""

ADDRESSED_LATER = timedelta(minutes=5)
"""Up to this age a message becomes a question by an edit that addresses us: people forget the mention and add it."""


class HearthCog(commands.Cog, name="Hearth"):
    """What Hearth is inside a bot. It leaves the bot's intents, commands and presence alone."""

    def __init__(self, bot: AnyBot, settings: DiscordSettings, inbox: Inbox, answers: Answers, folder: Path) -> None:
        """`folder` is where the adapter keeps what it has read."""
        self._bot = bot
        self._settings = settings
        self._inbox = inbox
        self._answers = answers
        self._marks = Marks(folder / MARKS_FILE)
        self._people = People(bot)
        self._reading = Reading(bot, settings, self._people)
        self._lanes = Lanes()
        self._running: dict[int, Message] = {}
        self._taken: deque[int] = deque(maxlen=TAKEN_KEPT)
        self._threadless: set[int] = set()
        self._before_gap: catch_up.Gap | None = None
        self._caught_up = asyncio.Event()
        self._resumed = False
        self._begun: asyncio.Task[None] | None = None
        self._closed = False

    async def cog_load(self) -> None:
        """Remember what was read; inside a bot that is ready already, begin at once."""
        await self._marks.load()
        self._note_gap()
        self._answers.watch()
        if self._bot.is_ready():
            # A task, because nothing is heard before this returns, and nothing may come between looking and hearing.
            self._begun = asyncio.create_task(self.on_ready())

    async def cog_unload(self) -> None:
        """Leave the bot as it was."""
        self._closed = True
        self._caught_up.set()
        if self._begun is not None:
            self._begun.cancel()
            await asyncio.wait([self._begun])
        await self._answers.close()
        await self._marks.close()

    @commands.Cog.listener()
    async def on_connect(self) -> None:
        """A new session: what came since the last one ended is missing. Messages wait until it is found."""
        self._caught_up.clear()
        self._note_gap()

    def _note_gap(self) -> None:
        if self._before_gap is None:
            self._before_gap = catch_up.Gap(self._marks.snapshot(), self._marks.newest, self._marks.direct)

    @commands.Cog.listener()
    async def on_ready(self) -> None:
        """The bot can read and write: answer what was left, then what was missed."""
        gap, self._before_gap = self._before_gap, None
        try:
            if not self._resumed:
                self._resumed = True
                await self._resume()
            if gap is not None:
                await self._catch_up(gap)
        finally:
            self._caught_up.set()

    async def _resume(self) -> None:
        for resumed in await self._inbox.resume(self._answers):
            self._follow(int(resumed.message.event_id), resumed.message, resumed.ended)

    @commands.Cog.listener()
    async def on_message(self, message: discord.Message) -> None:
        """Hand a message in when it is meant for us; returns when the core has it."""
        async with self._lanes.turn(message.channel.id):
            await self._caught_up.wait()
            await self._take(message)

    @commands.Cog.listener()
    async def on_raw_message_edit(self, payload: discord.RawMessageUpdateEvent) -> None:
        """A message was edited; Discord also sends this when it only unfolds a link, and for each edit of ours."""
        message, us = payload.message, self._bot.user
        if us is None or message.author.id == us.id:
            return
        async with self._lanes.turn(message.channel.id):
            await self._caught_up.wait()
            if running := self._running.get(message.id):
                await self._revise(message, running, us)
            elif message.id not in self._taken and discord.utils.utcnow() - message.created_at < ADDRESSED_LATER:
                await self._take(message)

    async def _revise(self, message: discord.Message, running: Message, us: discord.ClientUser) -> None:
        if spoken(message, us) == running.text:
            return
        edited = await self._reading.question(message)
        if message.id in self._running:
            self._running[message.id] = edited
            await self._inbox.revise(edited)

    @commands.Cog.listener()
    async def on_raw_message_delete(self, payload: discord.RawMessageDeleteEvent) -> None:
        """A question was deleted."""
        await self._withdraw([payload.message_id])

    @commands.Cog.listener()
    async def on_raw_bulk_message_delete(self, payload: discord.RawBulkMessageDeleteEvent) -> None:
        """Many messages were deleted at once."""
        await self._withdraw(payload.message_ids)

    async def _withdraw(self, message_ids: Iterable[int]) -> None:
        for message_id in message_ids:
            if running := self._running.get(message_id):
                await self._inbox.withdraw(running.conversation, running.event_id)

    async def _take(self, message: discord.Message) -> None:
        us = self._bot.user
        if us is None or self._closed:
            return
        if await self._is_ours(message, us):
            self._taken.append(message.id)
            if may_write(message):
                await self._hand_in(message)
            else:
                await _tell_mute(message)
        self._marks.see(message.channel.id, message.id, direct=message.guild is None)

    async def _is_ours(self, message: discord.Message, us: discord.ClientUser) -> bool:
        if message.author.id == us.id:
            return False
        found = seen(message, us, self._marks.owns(message.channel.id), await self._is_host_command(message))
        reason = judge(found, self._settings)
        if reason in (None, Unheard.PERSON) and not isinstance(message.author, discord.Member):
            reason = await self._judge_by_roles(message, found)
        if reason is not None:
            log.debug("Message %d is left alone: %s.", message.id, reason)
            return False
        if isinstance(message.channel, discord.Thread) and found.mentions_us:
            self._marks.own(message.channel.id)
        return True

    async def _judge_by_roles(self, message: discord.Message, found: Seen) -> Unheard | None:
        """Direct messages and messages read later come without their author's roles."""
        if self._settings.roles.allow or self._settings.roles.block:
            standing = await self._people.standing(message.author, self._settings.read_timeout_s)
            found = dataclasses.replace(found, role_ids=standing.role_ids)
        return judge(found, self._settings)

    async def _is_host_command(self, message: discord.Message) -> bool:
        if not self._bot.commands:
            return False
        return (await self._bot.get_context(message)).valid

    async def _hand_in(self, message: discord.Message) -> None:
        if wants_thread(message, self._settings) and not may_open(message):
            self._tell_threadless(message.channel.id)
        question = await self._reading.question(message)
        ended = await self._inbox.handle(question, self._answers.reply_to(question))
        if ended is not None:
            self._follow(message.id, question, ended)

    def _tell_threadless(self, channel_id: int) -> None:
        if channel_id not in self._threadless:
            self._threadless.add(channel_id)
            log.warning("Answering in channel %d without threads: %s", channel_id, NO_THREAD)

    def _follow(self, message_id: int, question: Message, ended: Ended) -> None:
        self._running[message_id] = question
        ended.add_done_callback(lambda _: self._running.pop(message_id, None))

    async def _catch_up(self, gap: catch_up.Gap) -> None:
        missed = await catch_up.missed(self._bot, gap, self._settings)
        if missed:
            log.info("Looking at %d messages that came meanwhile.", len(missed))
        for message in missed:
            await self._take(message)


async def _tell_mute(message: discord.Message) -> None:
    """Where nothing may be written the person is told directly, and no model works for nobody."""
    place = message.channel.id
    log.warning("No answer to %d: %s (channel %d)", message.id, REASONS[NO_PERMISSION], place)
    language = language_of(message.guild.preferred_locale if message.guild else None)
    try:
        await message.author.send(say("cannot_write", language, place=f"<#{place}>"), allowed_mentions=NOBODY)
    except (discord.HTTPException, *LOST) as error:
        log.info("The author of %d could not be told either: %s", message.id, type(error).__name__)
