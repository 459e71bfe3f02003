"""Hands what people write, edit, take back and react with to the core, and follows it to its end."""

import logging
import time
from collections.abc import Callable
from dataclasses import replace

from adapters.matrix.bounded_dict import put
from adapters.matrix.event_content import MESSAGE, REACTION, REDACTION, edited, redacted_by, relation_of
from adapters.matrix.events import Event
from adapters.matrix.homeserver import Wire
from adapters.matrix.incoming.addressing import Seen, Unheard, judge
from adapters.matrix.incoming.context import Context, Enclosed
from adapters.matrix.incoming.display_names import Names
from adapters.matrix.incoming.own_messages import KEPT, Ours, Threads, patiently
from adapters.matrix.incoming.reactions import Reactions
from adapters.matrix.incoming.translate import Place, question_of, seen, spoken_in, us_in, wants_context
from adapters.matrix.settings import MatrixSettings
from bot.core.messages import Message
from bot.core.ports import Ended, Inbox, Reply

log = logging.getLogger(__name__)

ADDRESSED_LATER_S = 600.0
"""A message that was not for us may be edited into one that is, for so long after we saw it."""


class Intake:
    """One for the whole account. Events of one room are handed in one after another, in their order, live ones and
    those found in a gap alike, our own and those of no interest too; rooms may go on beside each other.
    """

    def __init__(
        self,
        *,
        wire: Wire,
        settings: MatrixSettings,
        prefix: str,
        inbox: Inbox,
        reply_to: Callable[[Message], Reply],
        threads: Threads,
    ) -> None:
        """`prefix` is what commands begin with; `reply_to` makes the reply to a message from the message alone."""
        self._wire = wire
        self._settings = settings
        self._prefix = prefix
        self._inbox = inbox
        self._reply_to = reply_to
        self._ours = Ours(wire, threads)
        self._context = Context(wire, settings)
        self._running: dict[str, Message] = {}
        self._passed: dict[str, float] = {}
        self._reactions = Reactions(wire, inbox, self._running, self._asked_by)

    async def take(self, event: Event) -> Ended | None:
        """See to any event of a room; returns when the core has journaled what there is to do, never waits for an
        answer, whose end it returns. None: it was for nobody, was taken before, or changed something that is running.

        Never raises for what an event holds. While the homeserver does not say what is needed to decide, it is asked
        again for a while; LoggedOut is passed on.
        """
        place = self._place(event)
        if place is None:
            return None
        if event.type == REDACTION:
            await self._redacted(redacted_by(event))
        elif event.type == REACTION:
            again = await self._reactions.asked_again(event, place)
            return await self._hand_in(again) if again else None
        elif relation_of(event.content).replaces:
            return await self._edited(event, place)
        else:
            if event.type == MESSAGE:
                self._ours.note(event)
            question = await self.question(event)
            return await self._hand_in(question) if question else None
        return None

    def follow(self, message: Message, ended: Ended) -> None:
        """Follow an answer that was begun elsewhere (`Inbox.resume`): edits, redactions and reactions find it."""
        self._running[message.event_id] = message
        ended.add_done_callback(lambda _: self._running.pop(message.event_id, None))

    async def left(self, room_id: str) -> None:
        """We are no longer in a room: the answers in the making there end."""
        for message in list(self._running.values()):
            if message.platform_data.get("room") == room_id:
                await self._inbox.withdraw(message.conversation, message.event_id)

    async def question(self, event: Event) -> Message | None:
        """A message as the core takes it, with its files and what was said before; None when it is not for us."""
        place = self._place(event)
        if place is None:
            return None
        found = await self._seen(event, place)
        if (reason := judge(found, self._settings)) is not None:
            log.debug("Event %s is left alone: %s.", event.event_id, reason)
            if reason is Unheard.NOT_ADDRESSED:
                put(self._passed, event.event_id, time.monotonic(), KEPT)
            return None
        thread = relation_of(event.content).thread
        if thread and found.mentions_us:
            self._ours.own(thread)
        return await self._translated(event, place, found.addressed)

    def _place(self, event: Event) -> Place | None:
        room = self._wire.room(event.room_id)
        return None if room is None else Place(room, us_in(room, self._wire.user_id), self._settings, self._prefix)

    async def _seen(self, event: Event, place: Place) -> Seen:
        """What counts of a message. The homeserver is asked only about what might make it ours."""
        found, relation = seen(event, place), relation_of(event.content)
        if found.addressed or judge(replace(found, replies_to_us=True), self._settings) is not None:
            return found
        replies = bool(relation.reply_to) and await self._ours.wrote(event.room_id, relation.reply_to)
        own = bool(relation.thread) and await self._ours.takes_part(event.room_id, relation.thread, place.us)
        return replace(found, replies_to_us=replies, own_thread=own)

    async def _translated(self, event: Event, place: Place, addressed: bool = True) -> Message:
        enclosed = Enclosed()
        if addressed or wants_context(spoken_in(event, place), self._prefix):
            enclosed = await self._enclosed(event, place)
        return question_of(event, place, enclosed, addressed=addressed)

    async def _asked_by(self, event: Event, place: Place, asker: str, thread: str) -> Message:
        return question_of(event, place, await self._enclosed(event, place), asker=asker, thread=thread)

    async def _enclosed(self, event: Event, place: Place) -> Enclosed:
        return await self._context.enclosed(event, place.us, Names(place.room), place.room.is_direct)

    async def _hand_in(self, message: Message) -> Ended | None:
        ended = await self._inbox.handle(message, self._reply_to(message))
        if ended is not None:
            self.follow(message, ended)
        return ended

    async def _edited(self, edit: Event, place: Place) -> Ended | None:
        """Start an answer in the making over with the new text; a message that was not for us may be now."""
        event_id = relation_of(edit.content).replaces
        passed_at = self._passed.get(event_id)
        is_new = passed_at is not None and time.monotonic() - passed_at < ADDRESSED_LATER_S
        if not (is_new or event_id in self._running):
            return None
        original = await patiently(lambda: self._wire.event(edit.room_id, event_id))
        event = edited(original, edit) if original else None
        if event is None:
            return None
        if (running := self._running.get(event_id)) is not None:
            await self._revise(event, place, running)
        elif is_new and (question := await self.question(event)) is not None:
            del self._passed[event_id]
            return await self._hand_in(question)
        return None

    async def _revise(self, event: Event, place: Place, running: Message) -> None:
        if spoken_in(event, place) == running.text:
            return
        message = await self._translated(event, place)
        if event.event_id in self._running:
            self._running[event.event_id] = message
            await self._inbox.revise(message)

    async def _redacted(self, event_id: str) -> None:
        """A question is gone, or a reaction that asked it again."""
        for message in list(self._running.values()):
            if event_id and event_id in (message.event_id, message.platform_data.get("question")):
                await self._inbox.withdraw(message.conversation, message.event_id)
