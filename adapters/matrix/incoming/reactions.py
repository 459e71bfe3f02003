"""Reactions to answers: a stop sign stops one, recycling arrows ask its question again."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Literal

from adapters.intake.question_tracker import QuestionTracker
from adapters.matrix.homeserver import Homeserver
from adapters.matrix.incoming.addressing import MatrixMessageFacts, why_ignored
from adapters.matrix.incoming.parsed_message import ParsedMessage
from adapters.matrix.incoming.room_history import RoomHistory
from adapters.matrix.incoming.translate import RoomContext, is_admin, sent_at
from bot.core.messages import Message

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

# Variation selectors, and the five skin tones.
EMOJI_MODIFIERS = dict.fromkeys((0xFE0E, 0xFE0F, *range(0x1F3FB, 0x1F400)))

BuildQuestion = Callable[[ParsedMessage, RoomContext, str, str], Awaitable[Message]]
"""Builds a question from a message, its room, the user who asks it and the thread for the answer."""


def reaction_action(reaction: str) -> ReactionAction | None:
    """The action of a reaction; None for all others."""
    return REACTION_ACTIONS.get(reaction.translate(EMOJI_MODIFIERS))


class ReactionHandler:
    """Takes reactions. Those of people who are not answered, or to anything but the bot's answers, do nothing."""

    def __init__(self, homeserver: Homeserver, questions: QuestionTracker, build_question: BuildQuestion) -> None:
        self._history = RoomHistory(homeserver)
        self._questions = questions
        self._build_question = build_question

    async def take_reaction(self, reaction: ParsedMessage, context: RoomContext) -> Message | None:
        """Stop the answers that a reaction is to stop; the question that it asks again, with the reaction's id."""
        target = reaction.relation.reacts_to
        action = reaction_action(reaction.relation.reaction)
        if action is None or not _may_react(reaction, context):
            return None
        asked = self._questions.get_running(target)
        answer = None if asked else await self._history.read_message(reaction.room_id, target)
        if asked is None and (answer is None or answer.sender != context.bot.user_id):
            return None
        question_id = target if answer is None else answer.relation.in_reply_to
        running = self._questions.find_running(lambda each: _is_about(each, reaction.room_id, question_id))
        if action == "stop":
            await self._stop(running, reaction, context)
        elif answer is not None and not running:
            return await self._ask_again(reaction, context, answer, question_id)
        return None

    async def _stop(self, running: list[Message], reaction: ParsedMessage, context: RoomContext) -> None:
        admin = is_admin(context.settings, context.room, reaction.sender)
        await self._questions.stop(
            each for each in running if admin or each.platform_data.get("author") == reaction.sender
        )

    async def _ask_again(
        self, reaction: ParsedMessage, context: RoomContext, answer: ParsedMessage, question_id: str
    ) -> Message | None:
        if answer.kind != "m.text" or not question_id:
            return None  # a command's reply, or no reply at all
        question = await self._history.read_message(reaction.room_id, question_id)
        if question is None or not question.is_user_message:
            log.info("Could not ask the question %s again: it is gone", question_id)
            return None
        if question.sender != reaction.sender and not is_admin(context.settings, context.room, reaction.sender):
            return None
        message = await self._build_question(question, context, reaction.sender, answer.relation.thread)
        return replace(message, event_id=reaction.event_id, sent_at=sent_at(reaction.event))


def _may_react(reaction: ParsedMessage, context: RoomContext) -> bool:
    room, sender = context.room, reaction.sender
    is_own = sender == context.bot.user_id
    facts = MatrixMessageFacts(sender, room.room_id, room.is_direct, is_own, mentions_bot=True)
    return why_ignored(facts, context.settings) is None


def _is_about(message: Message, room_id: str, question_id: str) -> bool:
    data = message.platform_data
    return data.get("room") == room_id and bool(question_id) and question_id in (data.get("question"), message.event_id)
