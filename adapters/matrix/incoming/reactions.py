"""Reactions on answers: a stop sign stops one, recycling arrows ask its question again."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Literal

from adapters.matrix.event_content import get_text, relation_of
from adapters.matrix.events import Event
from adapters.matrix.homeserver import Homeserver
from adapters.matrix.incoming.addressing import MatrixMessageFacts, why_ignored
from adapters.matrix.incoming.room_history import RoomHistory
from adapters.matrix.incoming.translate import RoomContext, is_admin, is_user_message, sent_at
from bot.core.messages import Message
from bot.core.ports import Inbox

log = logging.getLogger(__name__)

ReactionAction = Literal["stop", "again"]
REACTION_ACTIONS: dict[str, ReactionAction] = {
    "🛑": "stop",
    "⏹": "stop",
    "✋": "stop",
    "♻": "again",
    "🔄": "again",
    "🔁": "again",
}

# Variation selectors, and the five colours of skin.
EMOJI_MODIFIERS = dict.fromkeys((0xFE0E, 0xFE0F, *range(0x1F3FB, 0x1F400)))

BuildQuestion = Callable[[Event, RoomContext, str, str], Awaitable[Message]]
"""A message as a question of the user named, in the thread named, with its files and what was said before it."""


def reaction_action(reaction: str) -> ReactionAction | None:
    """What a reaction asks for; None for all others."""
    return REACTION_ACTIONS.get(reaction.translate(EMOJI_MODIFIERS))


class ReactionHandler:
    """Takes reactions. Those of strangers, or on anything but our answers, do nothing."""

    def __init__(self, wire: Homeserver, inbox: Inbox, running: Mapping[str, Message], ask: BuildQuestion) -> None:
        self._history = RoomHistory(wire)
        self._inbox = inbox
        self._running = running
        self._build_question = ask

    async def take_reaction(self, event: Event, place: RoomContext) -> Message | None:
        """See to a reaction: stop what it wants stopped; the question that it asks again, with the reaction's id."""
        relation = relation_of(event.content)
        wish = reaction_action(relation.reaction)
        if wish is None or not _may_react(event, place):
            return None
        asked = self._running.get(relation.reacts_to)
        answer = None if asked else await self._history.read_message(event.room_id, relation.reacts_to)
        if asked is None and (answer is None or answer.sender != place.bot.user_id):
            return None
        question_id = relation.reacts_to if answer is None else relation_of(answer.content).in_reply_to
        running = [each for each in self._running.values() if _is_about(each, event.room_id, question_id)]
        if wish == "stop":
            await self._stop(running, event, place)
        elif answer is not None and not running:
            return await self._ask_again(event, place, answer, question_id)
        return None

    async def _stop(self, running: list[Message], event: Event, place: RoomContext) -> None:
        admin = is_admin(place.settings, place.room, event.sender)
        for message in running:
            if admin or message.platform_data.get("author") == event.sender:
                await self._inbox.withdraw(message.conversation, message.event_id)

    async def _ask_again(self, event: Event, place: RoomContext, answer: Event, question_id: str) -> Message | None:
        if get_text(answer.content, "msgtype") != "m.text" or not question_id:
            return None  # what a command said or showed, or nobody's answer
        question = await self._history.read_message(event.room_id, question_id)
        if question is None or not is_user_message(question):
            log.info("The question %s cannot be asked again: it is gone", question_id)
            return None
        if question.sender != event.sender and not is_admin(place.settings, place.room, event.sender):
            return None
        thread = relation_of(answer.content).thread
        message = await self._build_question(question, place, event.sender, thread)
        return replace(message, event_id=event.event_id, sent_at=sent_at(event))


def _may_react(event: Event, place: RoomContext) -> bool:
    sender, room, us = event.sender, place.room, place.bot
    return (
        why_ignored(
            MatrixMessageFacts(sender, room.room_id, room.is_direct, sender == us.user_id, mentions_us=True),
            place.settings,
        )
        is None
    )


def _is_about(message: Message, room_id: str, question_id: str) -> bool:
    data = message.platform_data
    return data.get("room") == room_id and bool(question_id) and question_id in (data.get("question"), message.event_id)
