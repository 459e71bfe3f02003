"""The port between the core and the chat platforms: what an adapter fills in, and what the core offers to it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from bot.core.messages import ConversationId, FinalAnswer, Message, PostedPart
from bot.core.texts import Language

RecordPart = Callable[[PostedPart], Awaitable[None]]
"""Stores the platform's id of a posted part in the journal; await it before the next send."""

Ended = asyncio.Future[None]
"""Done when a message has been seen to: its reply has ended, or the platform has refused it."""


@dataclass(frozen=True, slots=True)
class ResumedMessage:
    """A message of an earlier process whose answer is being made, or delivered, again."""

    message: Message
    ended: Ended


class Reply(Protocol):
    """One answer as a platform shows it. Called by one task at a time, in the order open, any others, finish or fail.

    Every method may raise ReplyFailed when the platform will not take it; the core then stops the answer.
    """

    async def open(self, attempt: int, posted: Sequence[PostedPart], record: RecordPart) -> None:
        """Begin. From the second attempt on (`attempt` >= 2) an earlier run did not come to its end: take over the
        parts in `posted` and what else of this reply is found on the platform, edit them instead of posting again,
        and delete what is left over at the end.
        """
        ...

    async def waiting(self, place: int, wait_s: float | None, sentence: str) -> None:
        """Tell the place in the queue (1 is next) and the expected wait, which `sentence` says in the conversation's
        language; called again when the place changes.
        """
        ...

    async def working(self) -> None:
        """Show that the answer is being made (typing), until text comes. Only answers wait or work, and can be stopped;
        commands do neither.
        """
        ...

    async def append(self, piece: str) -> None:
        """Add text. Returns soon: shown when the platform's pace allows, always the newest text, no queue of edits."""
        ...

    async def replace(self, text: str) -> None:
        """Put a whole new text in place of what was shown so far (progress lines); paced like `append`."""
        ...

    async def finish(self, closing: FinalAnswer) -> None:
        """Show exactly `closing.text`, its sources and note; returns when the platform has all of it."""
        ...

    async def fail(self, sentence: str) -> None:
        """Say in one sentence what went wrong, below any text already shown; returns when the platform has it."""
        ...


class Inbox(Protocol):
    """What the core offers to adapters."""

    async def handle(self, message: Message, reply: Reply) -> Ended | None:
        """Take a message. Returns when it is journaled; never waits for the answer, whose end it returns.
        None: the message is ignored or was taken before, and the reply is not used.
        """
        ...

    async def resume(self, adapter: "Adapter") -> list[ResumedMessage]:
        """Answer what a crash or a stop left unanswered on the adapter's platform, oldest first.
        Call it once the platform can be written to, before or after the messages missed meanwhile are handled.
        Edits and deletions of these questions are to be followed as those of new ones.
        """
        ...

    async def stop(self, conversation: ConversationId, person_id: str | None = None) -> int:
        """Stop running and waiting answers of a conversation, of one person only if given; how many."""
        ...

    async def revise(self, message: Message) -> bool:
        """The question was edited on the platform: while its answer is being made, it starts over with the new text,
        into the same reply. False when it was not running or waiting; then nothing happens.
        """
        ...

    async def question(self, conversation: ConversationId, event_id: str) -> str | None:
        """What was asked with a command of the platform (`Message.command`), which shows its text nowhere: to ask it
        again. None when it was forgotten, or was asked in another way.
        """
        ...

    async def withdraw(self, conversation: ConversationId, event_id: str) -> bool:
        """The question was deleted on the platform: stop its answer. False when it was not running or waiting."""
        ...


class Adapter(Protocol):
    """A chat platform."""

    @property
    def platform(self) -> str:
        """The first part of its conversations' ids."""
        ...

    async def run(self, inbox: Inbox) -> None:
        """Translate events until cancelled. Ends with an exception when the platform is lost for good."""
        ...

    def reply_to(self, message: Message) -> Reply:
        """A reply for a message that a previous process received, built from the message alone."""
        ...

    async def health(self, language: Language) -> Sequence[str]:
        """Lines about the state of the platform that an admin may want to know, empty where there is nothing to tell.
        Answers at once, from what is known.
        """
        ...
