"""Ports between core and platforms: `Adapter` and `Reply`, implemented by platforms, and `Inbox`, by the core."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from bot.core.messages import Audience, ConversationId, FinalAnswer, Message, PostedPart
from bot.core.texts import Language

RecordPart = Callable[[PostedPart], Awaitable[None]]
"""Stores the platform's id of a posted part in the journal; await it before the next send."""

Ended = asyncio.Future[None]
"""Done when a message is finished: its reply has ended, or the platform has refused it."""


@dataclass(frozen=True, slots=True)
class ResumedMessage:
    """A message of an earlier process whose answer is generated or delivered again."""

    message: Message
    ended: Ended


class Reply(Protocol):
    """One answer as a platform shows it. Called by one task at a time, in the order open, any others, then one of
    finish, fail and discard.

    Every method may raise ReplyFailed when the platform refuses it for good; the core then stops the answer, and may
    call `fail` once to say so. All but `open` and the last return at once: they wait for no reader and no platform.
    """

    async def open(self, attempt: int, posted: Sequence[PostedPart], record: RecordPart) -> None:
        """Open the reply. `attempt` >= 2 means that an earlier run did not finish: take over the parts in `posted`, and
        any others of this reply found on the platform, edit them instead of posting again, and delete the rest at the
        end.
        """
        ...

    async def waiting(self, place: int, wait_s: float | None, sentence: str) -> None:
        """Show the position in the queue (1 is next) and the expected wait in seconds; `sentence` says both in the
        conversation's language. Called again when the position changes.
        """
        ...

    async def working(self) -> None:
        """Show that the answer is in progress (typing), until the first text. Only answers call `waiting` and `working`
        and can be stopped; commands do not.
        """
        ...

    async def append(self, piece: str) -> None:
        """Append text and return without waiting: edits are throttled and coalesced, and show the newest text."""
        ...

    async def replace(self, text: str) -> None:
        """Replace the text shown so far (progress lines); throttled like `append`."""
        ...

    async def finish(self, answer: FinalAnswer) -> None:
        """Show exactly `answer.text`, its sources and note; returns when the platform has accepted all of it."""
        ...

    async def fail(self, sentence: str) -> None:
        """Show a sentence about the failure below any text; returns when the platform has accepted it.

        After a ReplyFailed of another method, show it without the text that the platform refused.
        """
        ...

    async def discard(self) -> None:
        """Take back what the reply has posted and post nothing more: the question was deleted before any text of the
        answer was shown. Returns when the platform has accepted it.
        """
        ...


@runtime_checkable
class AudienceSource(Protocol):
    """Optional part of a `Reply`, for places whose readers may change while a question waits."""

    def current_audience(self) -> Audience | None:
        """The readers of the place now; None when they are not known. Returns immediately."""
        ...


class Inbox(Protocol):
    """Entry point of the core for adapters."""

    async def handle(self, message: Message, reply: Reply) -> Ended | None:
        """Take a message and return once it is journaled, without waiting for the answer; the future of its end.
        None: the message is ignored or a duplicate, and the reply is not used.
        """
        ...

    async def resume(self, adapter: "Adapter") -> list[ResumedMessage]:
        """Answer messages that a crash or a stop left open on the adapter's platform, oldest first.
        Call it once the platform accepts messages, before or after handling the messages missed meanwhile.
        Edits and deletions of these questions must be followed as those of new ones.
        """
        ...

    async def stop(self, conversation: ConversationId, person_id: str | None = None) -> int:
        """Stop running and waiting answers of a conversation, or only one person's; the number stopped."""
        ...

    async def revise(self, message: Message) -> bool:
        """Restart the answer to an edited question with its new text, in the same reply. False, without any effect,
        when its answer is neither running nor waiting.
        """
        ...

    async def question(self, conversation: ConversationId, event_id: str) -> str | None:
        """The question of a native command of the platform (`Message.command`), whose text the platform does not show:
        for asking it again. None when it was forgotten or is unknown.
        """
        ...

    async def withdraw(self, conversation: ConversationId, event_id: str) -> bool:
        """Stop the answer to a deleted question, and take back a reply without any text of it. False when it is
        neither running nor waiting.
        """
        ...

    async def stop_answer(self, conversation: ConversationId, event_id: str) -> bool:
        """Stop the answer to one question. False when it is neither running nor waiting."""
        ...


class Adapter(Protocol):
    """A chat platform."""

    @property
    def platform(self) -> str:
        """The platform's name: the first part of its conversations' ids."""
        ...

    async def run(self, inbox: Inbox) -> None:
        """Handle the platform's events until cancelled. Raises when the platform is lost for good."""
        ...

    def reply_to(self, message: Message) -> Reply:
        """A reply to a message that an earlier process received, built from the message alone."""
        ...

    async def health(self, language: Language) -> Sequence[str]:
        """Lines about the platform's state for admins, often none. Returns immediately, from what is known."""
        ...
