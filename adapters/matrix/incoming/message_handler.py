"""Hands what people write, edit, take back and react with to the core, and follows it to its end."""

import logging
import time
from collections.abc import Callable
from dataclasses import replace

from adapters.matrix.bounded_dict import put_bounded
from adapters.matrix.event_content import MESSAGE, REACTION, REDACTION, apply_edit, redaction_target, relation_of
from adapters.matrix.events import Event
from adapters.matrix.homeserver import Homeserver
from adapters.matrix.incoming.addressing import MatrixMessageFacts, MatrixRejectReason, why_ignored
from adapters.matrix.incoming.context import ContextReader, QuestionContext
from adapters.matrix.incoming.display_names import DisplayNames
from adapters.matrix.incoming.own_messages import IDS_KEPT, JoinedThreads, OwnMessages, fetch_or_none
from adapters.matrix.incoming.reactions import ReactionHandler
from adapters.matrix.incoming.translate import (
    RoomContext,
    bot_identity,
    build_message,
    message_facts,
    needs_context,
    plain_text_of,
)
from adapters.matrix.settings import MatrixSettings
from bot.core.messages import Message
from bot.core.ports import Ended, Inbox, Reply

log = logging.getLogger(__name__)

ADDRESSED_LATER_S = 600.0
"""A message that was not for us may be edited into one that is, for so long after we saw it."""


class MessageHandler:
    """One for the whole account. Events of one room are handed in one after another, in their order, live ones and
    those found in a gap alike, our own and those of no interest too; rooms may go on beside each other.
    """

    def __init__(
        self,
        *,
        wire: Homeserver,
        settings: MatrixSettings,
        prefix: str,
        inbox: Inbox,
        reply_to: Callable[[Message], Reply],
        threads: JoinedThreads,
    ) -> None:
        """`prefix` is what commands begin with; `reply_to` makes the reply to a message from the message alone."""
        self._homeserver = wire
        self._settings = settings
        self._prefix = prefix
        self._inbox = inbox
        self._reply_to = reply_to
        self._own_messages = OwnMessages(wire, threads)
        self._context = ContextReader(wire, settings)
        self._running: dict[str, Message] = {}
        self._not_addressed: dict[str, float] = {}
        self._reactions = ReactionHandler(wire, inbox, self._running, self._build_repeated)

    async def take_event(self, event: Event) -> Ended | None:
        """See to any event of a room; returns when the core has journaled what there is to do, never waits for an
        answer, whose end it returns. None: it was for nobody, was taken before, or changed something that is running.

        Never raises for what an event holds. While the homeserver does not say what is needed to decide, it is asked
        again for a while; LoggedOut is passed on.
        """
        place = self._room_context(event)
        if place is None:
            return None
        if event.type == REDACTION:
            await self._take_redaction(redaction_target(event))
        elif event.type == REACTION:
            again = await self._reactions.take_reaction(event, place)
            return await self._submit(again) if again else None
        elif relation_of(event.content).replaces:
            return await self._take_edit(event, place)
        else:
            if event.type == MESSAGE:
                self._own_messages.note_message(event)
            question = await self.build_question(event)
            return await self._submit(question) if question else None
        return None

    def track_answer(self, message: Message, ended: Ended) -> None:
        """Follow an answer that was begun elsewhere (`Inbox.resume`): edits, redactions and reactions find it."""
        self._running[message.event_id] = message
        ended.add_done_callback(lambda _: self._running.pop(message.event_id, None))

    async def leave_room(self, room_id: str) -> None:
        """We are no longer in a room: the answers in the making there end."""
        for message in list(self._running.values()):
            if message.platform_data.get("room") == room_id:
                await self._inbox.withdraw(message.conversation, message.event_id)

    async def build_question(self, event: Event) -> Message | None:
        """A message as the core takes it, with its files and what was said before; None when it is not for us."""
        place = self._room_context(event)
        if place is None:
            return None
        found = await self._gather_facts(event, place)
        if (reason := why_ignored(found, self._settings)) is not None:
            log.debug("Event %s is left alone: %s.", event.event_id, reason)
            if reason is MatrixRejectReason.NOT_ADDRESSED:
                put_bounded(self._not_addressed, event.event_id, time.monotonic(), IDS_KEPT)
            return None
        thread = relation_of(event.content).thread
        if thread and found.mentions_us:
            self._own_messages.join_thread(thread)
        return await self._build_message(event, place, found.is_addressed)

    def _room_context(self, event: Event) -> RoomContext | None:
        room = self._homeserver.get_room(event.room_id)
        return (
            None
            if room is None
            else RoomContext(room, bot_identity(room, self._homeserver.user_id), self._settings, self._prefix)
        )

    async def _gather_facts(self, event: Event, place: RoomContext) -> MatrixMessageFacts:
        """What counts of a message. The homeserver is asked only about what might make it ours."""
        found, relation = message_facts(event, place), relation_of(event.content)
        if found.is_addressed or why_ignored(replace(found, replies_to_us=True), self._settings) is not None:
            return found
        replies = bool(relation.reply_to) and await self._own_messages.is_own_message(event.room_id, relation.reply_to)
        own = bool(relation.thread) and await self._own_messages.takes_part_in(
            event.room_id, relation.thread, place.bot
        )
        return replace(found, replies_to_us=replies, in_joined_thread=own)

    async def _build_message(self, event: Event, place: RoomContext, addressed: bool = True) -> Message:
        enclosed = QuestionContext()
        if addressed or needs_context(plain_text_of(event, place), self._prefix):
            enclosed = await self._read_context(event, place)
        return build_message(event, place, enclosed, addressed=addressed)

    async def _build_repeated(self, event: Event, place: RoomContext, asker: str, thread: str) -> Message:
        return build_message(event, place, await self._read_context(event, place), asker=asker, thread=thread)

    async def _read_context(self, event: Event, place: RoomContext) -> QuestionContext:
        return await self._context.read_context(event, place.bot, DisplayNames(place.room), place.room.is_direct)

    async def _submit(self, message: Message) -> Ended | None:
        ended = await self._inbox.handle(message, self._reply_to(message))
        if ended is not None:
            self.track_answer(message, ended)
        return ended

    async def _take_edit(self, edit: Event, place: RoomContext) -> Ended | None:
        """Start an answer in the making over with the new text; a message that was not for us may be now."""
        event_id = relation_of(edit.content).replaces
        passed_at = self._not_addressed.get(event_id)
        is_new = passed_at is not None and time.monotonic() - passed_at < ADDRESSED_LATER_S
        if not (is_new or event_id in self._running):
            return None
        original = await fetch_or_none(lambda: self._homeserver.get_event(edit.room_id, event_id))
        event = apply_edit(original, edit) if original else None
        if event is None:
            return None
        if (running := self._running.get(event_id)) is not None:
            await self._revise(event, place, running)
        elif is_new and (question := await self.build_question(event)) is not None:
            del self._not_addressed[event_id]
            return await self._submit(question)
        return None

    async def _revise(self, event: Event, place: RoomContext, running: Message) -> None:
        if plain_text_of(event, place) == running.text:
            return
        message = await self._build_message(event, place)
        if event.event_id in self._running:
            self._running[event.event_id] = message
            await self._inbox.revise(message)

    async def _take_redaction(self, event_id: str) -> None:
        """A question is gone, or a reaction that asked it again."""
        for message in list(self._running.values()):
            if event_id and event_id in (message.event_id, message.platform_data.get("question")):
                await self._inbox.withdraw(message.conversation, message.event_id)
