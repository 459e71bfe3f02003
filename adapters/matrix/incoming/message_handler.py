"""Hands messages, edits, redactions and reactions to the core, and tracks each question until its answer has ended."""

import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from adapters.intake.question_tracker import QuestionTracker
from adapters.matrix.event_content import MESSAGE, POWER_LEVELS, REACTION, REDACTION, redaction_target
from adapters.matrix.events import Event
from adapters.matrix.homeserver import Homeserver
from adapters.matrix.incoming.addressing import MatrixMessageFacts, MatrixRejectReason, why_ignored
from adapters.matrix.incoming.context import ContextReader, QuestionContext
from adapters.matrix.incoming.display_names import DisplayNames
from adapters.matrix.incoming.muted_rooms import MutedRooms
from adapters.matrix.incoming.own_messages import JoinedThreads, OwnMessages, fetch_or_none
from adapters.matrix.incoming.parsed_message import ParsedMessage, apply_edit, parse_message
from adapters.matrix.incoming.reactions import ReactionHandler
from adapters.matrix.incoming.refusal_notices import RefusalNotices
from adapters.matrix.incoming.room_history import RoomHistory
from adapters.matrix.incoming.translate import (
    RoomContext,
    bot_identity,
    build_message,
    is_unencrypted,
    message_facts,
    needs_context,
    plain_text_of,
)
from adapters.matrix.settings import MatrixSettings
from bot.core.messages import Message
from bot.core.ports import Ended, Inbox, Reply

log = logging.getLogger(__name__)

LATE_MENTION_S = 600.0
"""How long after a message was ignored an edit may still address it to Hearth."""


class MessageHandler:
    """Handles the events of one account. Those of one room come one after another, in their order, live ones and missed
    ones alike, the bot's own and irrelevant ones too; rooms may be handled concurrently.

    `questions` are those being answered.
    """

    def __init__(
        self,
        *,
        homeserver: Homeserver,
        settings: MatrixSettings,
        prefix: str,
        inbox: Inbox,
        reply_to: Callable[[Message], Reply],
        threads: JoinedThreads,
        refusals: RefusalNotices,
        end_interrupted: Callable[[str], None],
    ) -> None:
        """`prefix` begins commands; `reply_to` makes the reply to a message from the message alone; `end_interrupted`
        ends the answers that a room refused in the middle.
        """
        self.questions = QuestionTracker(inbox, reply_to, LATE_MENTION_S)
        self._homeserver = homeserver
        self._settings = settings
        self._prefix = prefix
        self._own_messages = OwnMessages(homeserver, threads)
        self._context = ContextReader(homeserver, settings)
        self._history = RoomHistory(homeserver)
        self._refusals = refusals
        self._end_interrupted = end_interrupted
        self._muted = MutedRooms(settings.catch_up_messages, settings.catch_up_max_age_s)
        self._reactions = ReactionHandler(homeserver, self.questions, self._build_repeated)

    async def take_event(self, event: Event) -> Ended | None:
        """Handle any event of a room; returns when the core has journaled its work, before the answer, whose end it
        returns. None: the event asks nothing, was taken before, or changed a question being answered.

        Never raises for an event's content. After transient failures the homeserver is asked again for a while;
        LoggedOut is passed on.
        """
        context = self._room_context(event.room_id)
        if context is None:
            return None
        if event.type == REDACTION:
            await self._take_redaction(redaction_target(event))
            return None
        if event.type == POWER_LEVELS and event.state_key == "":
            await self._answer_held(context)
            return None
        message = parse_message(event)
        if event.type == REACTION:
            question = await self._reactions.take_reaction(message, context)
        elif message.relation.replaces:
            return await self._take_edit(message, context)
        else:
            if event.type == MESSAGE:
                self._own_messages.note_message(message)
            question = await self._build_question(message, context)
        return await self.questions.submit(question) if question else None

    async def close(self) -> None:
        """Say no more about messages that are not answered."""
        await self._refusals.close()

    async def leave_room(self, room_id: str) -> None:
        """Stop the answers in a room that the account is no longer in."""
        await self.questions.withdraw(
            self.questions.find_running(lambda question: question.platform_data.get("room") == room_id)
        )

    async def _build_question(self, message: ParsedMessage, context: RoomContext) -> Message | None:
        """A message as the core takes it, with its context; None when it is not to be answered."""
        facts = await self._gather_facts(message, context)
        if (reason := why_ignored(facts, self._settings)) is not None:
            log.debug("Ignoring event %s: %s.", message.event_id, reason)
            self._note_rejection(message, context, reason)
            return None
        if message.relation.thread and facts.mentions_bot:
            self._own_messages.join_thread(message.relation.thread)
        return await self._build_message(message, context, facts.is_addressed)

    def _note_rejection(self, message: ParsedMessage, context: RoomContext, reason: MatrixRejectReason) -> None:
        if reason is MatrixRejectReason.NOT_ADDRESSED:
            self.questions.mark_skipped(message.event_id)
        elif reason is MatrixRejectReason.UNENCRYPTED:
            self._refusals.tell_unencrypted(message)
        elif reason is MatrixRejectReason.MUTED:
            if needs_context(plain_text_of(message, context), self._prefix):  # commands are about now
                self._muted.hold(message.room_id, message.event_id)
            self._refusals.tell_muted(message, context.room)

    async def _answer_held(self, context: RoomContext) -> None:
        """Answer the questions of a room in which Hearth may write again."""
        if not context.room.may_write(context.bot.user_id):
            return
        self._end_interrupted(context.room.room_id)
        for event_id in self._muted.release(context.room.room_id):
            message = await self._history.read_message(context.room.room_id, event_id)  # as it reads by now
            question = await self._build_question(message, context) if message else None
            if question is not None:
                await self.questions.submit(question)

    def _room_context(self, room_id: str) -> RoomContext | None:
        room = self._homeserver.get_room(room_id)
        if room is None:
            return None
        return RoomContext(room, bot_identity(room, self._homeserver.user_id), self._settings, self._prefix)

    async def _gather_facts(self, message: ParsedMessage, context: RoomContext) -> MatrixMessageFacts:
        """The facts about a message. The homeserver is asked only if its answer may decide."""
        facts, relation = message_facts(message, context), message.relation
        addressed = replace(facts, replies_to_bot=True, is_unencrypted=False, is_muted=False)
        if facts.is_addressed or why_ignored(addressed, self._settings) is not None:
            return facts
        replies = bool(relation.reply_to) and await self._own_messages.is_own_message(
            message.room_id, relation.reply_to
        )
        joined = (
            bool(relation.thread)
            and await self._own_messages.takes_part_in(message.room_id, relation.thread, context.bot)
            and not await self._is_for_others(message, context)
        )
        return replace(facts, replies_to_bot=replies, in_joined_thread=joined)

    async def _is_for_others(self, message: ParsedMessage, context: RoomContext) -> bool:
        """Whether a message in a thread mentions other people, or follows what another person said.

        Clients without threads of their own point at the thread's root, which says nothing about the message before.
        """
        us = {context.bot.user_id, message.sender}
        if (message.mentions or frozenset()) - us:
            return True
        relation = message.relation
        if relation.in_reply_to in ("", relation.thread) and not relation.reply_to:
            return False
        author = await self._own_messages.author_of(message.room_id, relation.in_reply_to)
        return bool(author) and author not in us

    async def _build_message(self, message: ParsedMessage, context: RoomContext, addressed: bool = True) -> Message:
        read = QuestionContext()
        if addressed or needs_context(plain_text_of(message, context), self._prefix):
            read = await self._read_context(message, context)
        return build_message(message, context, read, addressed=addressed)

    async def _build_repeated(self, message: ParsedMessage, context: RoomContext, asker: str, thread: str) -> Message:
        return build_message(message, context, await self._read_context(message, context), asker=asker, thread=thread)

    async def _read_context(self, message: ParsedMessage, context: RoomContext) -> QuestionContext:
        return await self._context.read_context(
            message, context.bot, DisplayNames(context.room), context.room.is_direct
        )

    async def _take_edit(self, edit: ParsedMessage, context: RoomContext) -> Ended | None:
        """Restart the answer to an edited question; an ignored message may be addressed to Hearth now."""
        if is_unencrypted(edit, context.room):
            return None
        event_id = edit.relation.replaces
        is_late_mention = self.questions.may_become_question(event_id)
        if not (is_late_mention or self.questions.get_running(event_id)):
            return None
        event = await fetch_or_none(lambda: self._homeserver.get_event(edit.room_id, event_id))
        message = apply_edit(parse_message(event), edit) if event else None
        if message is None:
            return None
        if self.questions.get_running(event_id):
            text = plain_text_of(message, context)
            await self.questions.revise(event_id, text, partial(self._build_message, message, context))
        elif is_late_mention and (question := await self._build_question(message, context)) is not None:
            return await self.questions.submit(question)
        return None

    async def _take_redaction(self, event_id: str) -> None:
        """Withdraw the question of a redacted message, or of a reaction that asked it again."""
        if event_id:
            await self.questions.withdraw(
                self.questions.find_running(
                    lambda question: event_id in (question.event_id, question.platform_data.get("question"))
                )
            )
