"""The cog that listens: hands questions to the core, applies edits and deletions, and catches up after gaps."""

import asyncio
import dataclasses
import logging
from collections.abc import Collection
from datetime import timedelta
from functools import partial
from pathlib import Path

import discord
from discord.ext import commands

from adapters.discord.connection.session import AnyBot
from adapters.discord.failures import CONNECTION_ERRORS, ERROR_REASONS, NO_THREAD_REASON
from adapters.discord.incoming import catch_up
from adapters.discord.incoming.addressing import DiscordMessageFacts, DiscordRejectReason, why_ignored
from adapters.discord.incoming.members import MemberDirectory
from adapters.discord.incoming.message_reader import MessageReader
from adapters.discord.incoming.read_markers import DiscordReadMarkers
from adapters.discord.incoming.translate import may_open_thread, may_write, message_facts, message_text, wants_thread
from adapters.discord.limits import NO_PERMISSION
from adapters.discord.localization import language_of
from adapters.discord.outgoing.replies import DiscordReplyFactory
from adapters.discord.outgoing.transport import NO_MENTIONS
from adapters.discord.settings import DiscordSettings
from adapters.discord.texts import localize
from adapters.intake.keyed_queue import KeyedQueue
from adapters.intake.question_tracker import QuestionTracker
from bot.core.ports import Inbox

log = logging.getLogger(__name__)

LATE_MENTION_AGE = timedelta(minutes=5)
"""Up to this age an edit that adds a mention makes a message a question: people forget the mention and add it."""


class HearthCog(commands.Cog, name="Hearth"):
    """The listening half of Hearth inside a bot. It leaves the bot's intents, commands and presence alone."""

    def __init__(
        self, bot: AnyBot, settings: DiscordSettings, inbox: Inbox, replies: DiscordReplyFactory, folder: Path
    ) -> None:
        """`folder` holds the adapter's state."""
        self._bot = bot
        self._settings = settings
        self._replies = replies
        self._read_markers = DiscordReadMarkers(folder)
        self._members = MemberDirectory(bot)
        self._message_reader = MessageReader(bot, settings, self._members)
        self._questions = QuestionTracker(inbox, replies.reply_to, LATE_MENTION_AGE.total_seconds())
        self._channels: KeyedQueue[int] = KeyedQueue()
        self._warned_channels: set[int] = set()
        self._gap: catch_up.Gap | None = None
        self._caught_up = asyncio.Event()
        self._resumed = False
        self._ready_task: asyncio.Task[None] | None = None
        self._closed = False

    async def cog_load(self) -> None:
        """Load the read markers; inside a bot that is ready already, begin at once."""
        await self._read_markers.load()
        self._note_gap()
        self._replies.watch_rate_limits()
        if self._bot.is_ready():
            # A task, because listeners run only after this returns, and no message may be lost in between.
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
        """Begin a session: messages since the last one are missing, and new ones wait until those are found."""
        self._caught_up.clear()
        self._note_gap()

    def _note_gap(self) -> None:
        if self._gap is None:
            self._gap = catch_up.Gap(
                self._read_markers.last_read_ids(), self._read_markers.newest_id, self._read_markers.direct_channels
            )

    @commands.Cog.listener()
    async def on_ready(self) -> None:
        """Resume unanswered questions, then answer missed messages, now that the bot can read and write."""
        gap, self._gap = self._gap, None
        try:
            if not self._resumed:
                self._resumed = True
                await self._questions.resume(self._replies)
            if gap is not None:
                await self._catch_up(gap)
        finally:
            self._caught_up.set()

    @commands.Cog.listener()
    async def on_message(self, message: discord.Message) -> None:
        """Hand in a message that is addressed to Hearth; returns when the core has it."""
        await self._channels.run(message.channel.id, partial(self._take_message, message))

    async def _take_message(self, message: discord.Message) -> None:
        await self._caught_up.wait()
        await self._handle_message(message)

    @commands.Cog.listener()
    async def on_raw_message_edit(self, payload: discord.RawMessageUpdateEvent) -> None:
        """Apply an edit; Discord also sends this when it only unfolds a link, and for each edit of Hearth's own."""
        message, bot_user = payload.message, self._bot.user
        if bot_user is not None and message.author.id != bot_user.id:
            await self._channels.run(message.channel.id, partial(self._take_edit, message, bot_user))

    async def _take_edit(self, message: discord.Message, bot_user: discord.ClientUser) -> None:
        await self._caught_up.wait()
        event_id = str(message.id)
        if self._questions.get_running(event_id):
            text = message_text(message, bot_user)
            await self._questions.revise(event_id, text, partial(self._message_reader.read_question, message))
        elif self._questions.may_become_question(
            event_id, (discord.utils.utcnow() - message.created_at).total_seconds()
        ):
            await self._handle_message(message)

    @commands.Cog.listener()
    async def on_raw_message_delete(self, payload: discord.RawMessageDeleteEvent) -> None:
        """Withdraw the question that a deleted message asked."""
        await self._withdraw([payload.message_id])

    @commands.Cog.listener()
    async def on_raw_bulk_message_delete(self, payload: discord.RawBulkMessageDeleteEvent) -> None:
        """Withdraw the questions of messages that were deleted together."""
        await self._withdraw(payload.message_ids)

    async def _withdraw(self, message_ids: Collection[int]) -> None:
        deleted = {str(message_id) for message_id in message_ids}
        await self._questions.withdraw(self._questions.find_running(lambda question: question.event_id in deleted))

    async def _handle_message(self, message: discord.Message) -> None:
        bot_user = self._bot.user
        if bot_user is None or self._closed:
            return
        if await self._is_question(message, bot_user):
            self._questions.mark_taken(str(message.id))
            if may_write(message):
                await self._submit_question(message)
            else:
                await _tell_cannot_write(message)
        self._read_markers.mark_read(message.channel.id, message.id, direct=message.guild is None)

    async def _is_question(self, message: discord.Message, bot_user: discord.ClientUser) -> bool:
        if message.author.id == bot_user.id:
            return False
        facts = message_facts(
            message, bot_user, self._read_markers.is_in_thread(message.channel.id), await self._is_host_command(message)
        )
        reason = why_ignored(facts, self._settings)
        if reason in (None, DiscordRejectReason.USER) and not isinstance(message.author, discord.Member):
            reason = await self._why_ignored_by_roles(message, facts)
        if reason is not None:
            log.debug("Ignoring message %d: %s.", message.id, reason)
            return False
        if isinstance(message.channel, discord.Thread) and facts.mentions_bot:
            self._read_markers.join_thread(message.channel.id)
        return True

    async def _why_ignored_by_roles(
        self, message: discord.Message, facts: DiscordMessageFacts
    ) -> DiscordRejectReason | None:
        """Decide with roles: direct messages and messages read later come without their author's roles."""
        if self._settings.roles.allow or self._settings.roles.block:
            rights = await self._members.get_rights(message.author, self._settings.read_timeout_s)
            facts = dataclasses.replace(facts, role_ids=rights.role_ids)
        return why_ignored(facts, self._settings)

    async def _is_host_command(self, message: discord.Message) -> bool:
        if not self._bot.commands:
            return False
        return (await self._bot.get_context(message)).valid

    async def _submit_question(self, message: discord.Message) -> None:
        if wants_thread(message, self._settings) and not may_open_thread(message):
            self._warn_no_thread(message.channel.id)
        await self._questions.submit(await self._message_reader.read_question(message))

    def _warn_no_thread(self, channel_id: int) -> None:
        if channel_id not in self._warned_channels:
            self._warned_channels.add(channel_id)
            log.warning("Answering in channel %d without threads: %s", channel_id, NO_THREAD_REASON)

    async def _catch_up(self, gap: catch_up.Gap) -> None:
        missed = await catch_up.fetch_missed(self._bot, gap, self._settings)
        if missed:
            log.info("Checking %d missed messages.", len(missed))
        for message in missed:
            await self._handle_message(message)


async def _tell_cannot_write(message: discord.Message) -> None:
    """Without permission to reply, DM the author instead of generating an answer no one can see."""
    channel_id = message.channel.id
    log.warning("Not answering %d: %s (channel %d)", message.id, ERROR_REASONS[NO_PERMISSION], channel_id)
    language = language_of(message.guild.preferred_locale if message.guild else None)
    sentence = localize("cannot_write", language, place=f"<#{channel_id}>")
    try:
        await message.author.send(sentence, allowed_mentions=NO_MENTIONS)
    except (discord.HTTPException, *CONNECTION_ERRORS) as error:
        log.info("Could not send a direct message to the author of %d: %s", message.id, type(error).__name__)
