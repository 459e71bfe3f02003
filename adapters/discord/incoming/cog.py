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
from adapters.discord.failures import ERROR_REASONS, NO_THREAD_REASON, missing_intents_text
from adapters.discord.ids import conversation_id
from adapters.discord.incoming import catch_up
from adapters.discord.incoming.addressing import DiscordMessageFacts, DiscordRejectReason, why_ignored
from adapters.discord.incoming.members import MemberDirectory
from adapters.discord.incoming.message_reader import MessageReader
from adapters.discord.incoming.read_markers import DiscordReadMarkers
from adapters.discord.incoming.session_gaps import OpenGap, SessionGaps
from adapters.discord.incoming.translate import (
    MuteReason,
    may_open_thread,
    message_facts,
    message_text,
    server_locale,
    wants_thread,
    why_mute,
)
from adapters.discord.limits import NO_PERMISSION, THREAD_LOCKED
from adapters.discord.outgoing.replies import DiscordReplyFactory
from adapters.discord.outgoing.views import with_language
from adapters.discord.settings import DiscordSettings
from adapters.discord.texts import localize
from adapters.intake.keyed_queue import KeyedQueue
from adapters.intake.question_tracker import QuestionTracker
from bot.core.messages import Message
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
        self._members = MemberDirectory(bot, settings)
        self._message_reader = MessageReader(bot, settings, self._members)
        self._inbox = inbox
        self._questions = QuestionTracker(inbox, replies.reply_to, LATE_MENTION_AGE.total_seconds())
        self._channels: KeyedQueue[int] = KeyedQueue()
        self._warned_channels: set[int] = set()
        self._gaps = SessionGaps(bot, self._note_gap)
        self._resumed = False
        self._ready_task: asyncio.Task[None] | None = None
        self._closed = False

    async def cog_load(self) -> None:
        """Load the read markers; inside a bot that is ready already, begin at once."""
        await self._read_markers.load()
        self._gaps = SessionGaps(self._bot, self._note_gap)
        self._replies.watch_rate_limits()
        if sentence := missing_intents_text(self._bot.intents, self._settings.message_content):
            log.warning(sentence)
        if self._bot.is_ready():
            # A task, because listeners run only after this returns, and no message may be lost in between.
            self._ready_task = asyncio.create_task(self.on_ready())

    async def cog_unload(self) -> None:
        """Leave the bot as it was."""
        self._closed = True
        self._gaps.end_all()
        if self._ready_task is not None:
            self._ready_task.cancel()
            await asyncio.wait([self._ready_task])
        await self._replies.close()
        await self._read_markers.close()

    @commands.Cog.listener()
    async def on_connect(self) -> None:
        """Begin a session: messages since the last one are missing, and new ones wait until those are found."""
        if not self._gaps.is_sharded:
            self._gaps.open(0)

    @commands.Cog.listener()
    async def on_shard_connect(self, shard: int) -> None:
        """Begin a session of one shard. The library reports `ready` only once all shards have new sessions."""
        self._gaps.open(shard)

    def _note_gap(self) -> catch_up.Gap:
        return catch_up.Gap(
            self._read_markers.last_read_ids(), self._read_markers.newest_id, self._read_markers.direct_channels
        )

    @commands.Cog.listener()
    async def on_ready(self) -> None:
        """Resume unanswered questions, then answer missed messages, now that the bot can read and write."""
        for shard in self._gaps.known_shards():
            await self.on_shard_ready(shard)

    @commands.Cog.listener()
    async def on_shard_ready(self, shard: int) -> None:
        """The same for one shard."""
        gap = self._gaps.take(shard)
        try:
            if not self._resumed:
                self._resumed = True
                await self._questions.resume(self._replies)
            if gap is not None:
                await self._catch_up(gap)
        finally:
            if gap is not None:
                self._gaps.end(gap)

    @commands.Cog.listener()
    async def on_message(self, message: discord.Message) -> None:
        """Hand in a message that is addressed to Hearth; returns when the core has it."""
        await self._channels.run(message.channel.id, partial(self._take_message, message))

    async def _take_message(self, message: discord.Message) -> None:
        await self._gaps.wait(message.guild)
        await self._handle_message(message)

    @commands.Cog.listener()
    async def on_raw_message_edit(self, payload: discord.RawMessageUpdateEvent) -> None:
        """Apply an edit; Discord also sends this when it only unfolds a link, and for each edit of Hearth's own."""
        message, bot_user = payload.message, self._bot.user
        if bot_user is not None and message.author.id != bot_user.id:
            await self._channels.run(message.channel.id, partial(self._take_edit, message, bot_user))

    async def _take_edit(self, message: discord.Message, bot_user: discord.ClientUser) -> None:
        await self._gaps.wait(message.guild)
        event_id = str(message.id)
        if self._questions.get_running(event_id):
            text = message_text(message, bot_user)
            await self._questions.revise(event_id, text, partial(self._read_question, message))
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
        await self._questions.withdraw_deleted(map(str, message_ids))

    async def _handle_message(self, message: discord.Message) -> None:
        bot_user = self._bot.user
        if bot_user is None or self._closed:
            return
        if await self._is_question(message, bot_user):
            self._questions.mark_taken(str(message.id))
            if (why := why_mute(message)) is None:
                await self._submit_question(message)
            else:
                await self._tell_mute(message, why)
        self._read_markers.mark_read(message.channel.id, message.id, direct=message.guild is None)

    async def _is_question(self, message: discord.Message, bot_user: discord.ClientUser) -> bool:
        if message.author.id == bot_user.id:
            return False
        own_thread = self._read_markers.is_in_thread(message.channel.id)
        facts = message_facts(message, bot_user, self._settings, own_thread, await self._is_host_command(message))
        reason = why_ignored(facts, self._settings)
        if reason in (None, DiscordRejectReason.USER) and not isinstance(message.author, discord.Member):
            reason = await self._why_ignored_by_roles(message, facts)
        if reason is DiscordRejectReason.ROLES_UNKNOWN:
            log.warning("Not answering %d: %s.", message.id, reason)
            await self._tell_author(message, "roles_unknown")
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
            facts = dataclasses.replace(facts, role_ids=rights.known_role_ids)
        return why_ignored(facts, self._settings)

    async def _is_host_command(self, message: discord.Message) -> bool:
        if not self._bot.commands:
            return False
        return (await self._bot.get_context(message)).valid

    async def _submit_question(self, message: discord.Message) -> None:
        if wants_thread(message, self._settings) and not may_open_thread(message):
            self._warn_no_thread(message.channel.id)
        await self._questions.submit(await self._read_question(message))

    async def _read_question(self, message: discord.Message) -> Message:
        question = await self._message_reader.read_question(message)
        language = await self._inbox.language(question.conversation, question.locale, question.text)
        return with_language(question, language)

    def _warn_no_thread(self, channel_id: int) -> None:
        if channel_id not in self._warned_channels:
            self._warned_channels.add(channel_id)
            log.warning("Answering in channel %d without threads: %s", channel_id, NO_THREAD_REASON)

    async def _catch_up(self, gap: OpenGap) -> None:
        def covers(guild: discord.Guild | None) -> bool:
            return self._gaps.shard_of(guild) == gap.shard

        missed = await catch_up.fetch_missed(self._bot, gap.gap, self._settings, covers)
        if missed:
            log.info("Checking %d missed messages.", len(missed))
        for message in missed:
            (error,) = await asyncio.gather(self._handle_message(message), return_exceptions=True)
            if error is not None:  # whatever it is, it is this message's alone
                log.error("Could not handle the missed message %d", message.id, exc_info=error)

    async def _tell_mute(self, message: discord.Message, why: MuteReason) -> None:
        """Without permission to reply, tell the author directly instead of generating an answer no one can see."""
        reason = ERROR_REASONS[THREAD_LOCKED if why == "thread_locked" else NO_PERMISSION]
        log.warning("Not answering %d: %s (channel %d)", message.id, reason, message.channel.id)
        await self._tell_author(message, why)

    async def _tell_author(self, message: discord.Message, text_key: str) -> None:
        language = await self._inbox.language(conversation_id(message.channel.id), server_locale(message))
        sentence = localize(text_key, language, place=f"<#{message.channel.id}>")
        await self._replies.direct_notices.send(message.author.id, sentence)
