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
from adapters.discord.failures import CONNECTION_ERRORS, ERROR_REASONS, NO_THREAD_REASON
from adapters.discord.incoming import catch_up
from adapters.discord.incoming.addressing import DiscordMessageFacts, DiscordRejectReason, why_ignored
from adapters.discord.incoming.channel_locks import KeyedLocks
from adapters.discord.incoming.members import MemberDirectory
from adapters.discord.incoming.message_reader import MessageReader
from adapters.discord.incoming.read_markers import ReadMarkers
from adapters.discord.incoming.translate import may_open_thread, may_write, message_facts, message_text, wants_thread
from adapters.discord.limits import NO_PERMISSION
from adapters.discord.localization import language_of
from adapters.discord.outgoing.replies import DiscordReplyFactory
from adapters.discord.outgoing.transport import NO_MENTIONS
from adapters.discord.settings import DiscordSettings
from bot.core.messages import Message
from bot.core.ports import Ended, Inbox
from bot.core.texts import localize

log = logging.getLogger(__name__)

READ_MARKERS_FILE = "discord-marks.json"
HANDLED_KEPT = 1000
"""Messages that edits make no new questions of."""

LATE_MENTION_AGE = timedelta(minutes=5)
"""Up to this age a message becomes a question by an edit that addresses us: people forget the mention and add it."""


class HearthCog(commands.Cog, name="Hearth"):
    """What Hearth is inside a bot. It leaves the bot's intents, commands and presence alone."""

    def __init__(
        self, bot: AnyBot, settings: DiscordSettings, inbox: Inbox, answers: DiscordReplyFactory, folder: Path
    ) -> None:
        """`folder` is where the adapter keeps what it has read."""
        self._bot = bot
        self._settings = settings
        self._inbox = inbox
        self._replies = answers
        self._read_markers = ReadMarkers(folder / READ_MARKERS_FILE)
        self._members = MemberDirectory(bot)
        self._message_reader = MessageReader(bot, settings, self._members)
        self._channel_locks = KeyedLocks()
        self._running: dict[int, Message] = {}
        self._handled: deque[int] = deque(maxlen=HANDLED_KEPT)
        self._warned_channels: set[int] = set()
        self._gap: catch_up.Gap | None = None
        self._caught_up = asyncio.Event()
        self._resumed = False
        self._ready_task: asyncio.Task[None] | None = None
        self._closed = False

    async def cog_load(self) -> None:
        """Remember what was read; inside a bot that is ready already, begin at once."""
        await self._read_markers.load()
        self._note_gap()
        self._replies.watch_rate_limits()
        if self._bot.is_ready():
            # A task, because nothing is heard before this returns, and nothing may come between looking and hearing.
            self._ready_task = asyncio.create_task(self.on_ready())

    async def cog_unload(self) -> None:
        """Leave the bot as it was."""
        self._closed = True
        self._caught_up.set()
        if self._ready_task is not None:
            self._ready_task.cancel()
            await asyncio.wait([self._ready_task])
        await self._replies.close()
        await self._read_markers.close()

    @commands.Cog.listener()
    async def on_connect(self) -> None:
        """A new session: what came since the last one ended is missing. Messages wait until it is found."""
        self._caught_up.clear()
        self._note_gap()

    def _note_gap(self) -> None:
        if self._gap is None:
            self._gap = catch_up.Gap(
                self._read_markers.last_read_ids(), self._read_markers.newest_id, self._read_markers.direct_channels
            )

    @commands.Cog.listener()
    async def on_ready(self) -> None:
        """The bot can read and write: answer what was left, then what was missed."""
        gap, self._gap = self._gap, None
        try:
            if not self._resumed:
                self._resumed = True
                await self._resume()
            if gap is not None:
                await self._catch_up(gap)
        finally:
            self._caught_up.set()

    async def _resume(self) -> None:
        for resumed in await self._inbox.resume(self._replies):
            self._track_answer(int(resumed.message.event_id), resumed.message, resumed.ended)

    @commands.Cog.listener()
    async def on_message(self, message: discord.Message) -> None:
        """Hand a message in when it is meant for us; returns when the core has it."""
        async with self._channel_locks.hold_lock(message.channel.id):
            await self._caught_up.wait()
            await self._handle_message(message)

    @commands.Cog.listener()
    async def on_raw_message_edit(self, payload: discord.RawMessageUpdateEvent) -> None:
        """A message was edited; Discord also sends this when it only unfolds a link, and for each edit of ours."""
        message, us = payload.message, self._bot.user
        if us is None or message.author.id == us.id:
            return
        async with self._channel_locks.hold_lock(message.channel.id):
            await self._caught_up.wait()
            if running := self._running.get(message.id):
                await self._revise(message, running, us)
            elif message.id not in self._handled and discord.utils.utcnow() - message.created_at < LATE_MENTION_AGE:
                await self._handle_message(message)

    async def _revise(self, message: discord.Message, running: Message, us: discord.ClientUser) -> None:
        if message_text(message, us) == running.text:
            return
        edited = await self._message_reader.read_question(message)
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

    async def _handle_message(self, message: discord.Message) -> None:
        us = self._bot.user
        if us is None or self._closed:
            return
        if await self._is_for_us(message, us):
            self._handled.append(message.id)
            if may_write(message):
                await self._submit_question(message)
            else:
                await _tell_cannot_write(message)
        self._read_markers.mark_read(message.channel.id, message.id, direct=message.guild is None)

    async def _is_for_us(self, message: discord.Message, us: discord.ClientUser) -> bool:
        if message.author.id == us.id:
            return False
        found = message_facts(
            message, us, self._read_markers.is_in_thread(message.channel.id), await self._is_host_command(message)
        )
        reason = why_ignored(found, self._settings)
        if reason in (None, DiscordRejectReason.USER) and not isinstance(message.author, discord.Member):
            reason = await self._why_ignored_by_roles(message, found)
        if reason is not None:
            log.debug("Message %d is left alone: %s.", message.id, reason)
            return False
        if isinstance(message.channel, discord.Thread) and found.mentions_us:
            self._read_markers.join_thread(message.channel.id)
        return True

    async def _why_ignored_by_roles(
        self, message: discord.Message, found: DiscordMessageFacts
    ) -> DiscordRejectReason | None:
        """Direct messages and messages read later come without their author's roles."""
        if self._settings.roles.allow or self._settings.roles.block:
            standing = await self._members.get_rights(message.author, self._settings.read_timeout_s)
            found = dataclasses.replace(found, role_ids=standing.role_ids)
        return why_ignored(found, self._settings)

    async def _is_host_command(self, message: discord.Message) -> bool:
        if not self._bot.commands:
            return False
        return (await self._bot.get_context(message)).valid

    async def _submit_question(self, message: discord.Message) -> None:
        if wants_thread(message, self._settings) and not may_open_thread(message):
            self._warn_no_thread(message.channel.id)
        question = await self._message_reader.read_question(message)
        ended = await self._inbox.handle(question, self._replies.reply_to(question))
        if ended is not None:
            self._track_answer(message.id, question, ended)

    def _warn_no_thread(self, channel_id: int) -> None:
        if channel_id not in self._warned_channels:
            self._warned_channels.add(channel_id)
            log.warning("Answering in channel %d without threads: %s", channel_id, NO_THREAD_REASON)

    def _track_answer(self, message_id: int, question: Message, ended: Ended) -> None:
        self._running[message_id] = question
        ended.add_done_callback(lambda _: self._running.pop(message_id, None))

    async def _catch_up(self, gap: catch_up.Gap) -> None:
        missed = await catch_up.fetch_missed(self._bot, gap, self._settings)
        if missed:
            log.info("Looking at %d messages that came meanwhile.", len(missed))
        for message in missed:
            await self._handle_message(message)


async def _tell_cannot_write(message: discord.Message) -> None:
    """Where nothing may be written the person is told directly, and no model works for nobody."""
    place = message.channel.id
    log.warning("No answer to %d: %s (channel %d)", message.id, ERROR_REASONS[NO_PERMISSION], place)
    language = language_of(message.guild.preferred_locale if message.guild else None)
    try:
        await message.author.send(localize("cannot_write", language, place=f"<#{place}>"), allowed_mentions=NO_MENTIONS)
    except (discord.HTTPException, *CONNECTION_ERRORS) as error:
        log.info("The author of %d could not be told either: %s", message.id, type(error).__name__)
