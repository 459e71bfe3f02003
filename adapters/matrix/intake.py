"""Hands what people write, edit, take back and react with to the core, and follows it to its end."""

from collections.abc import Callable

from adapters.matrix.events import Event
from adapters.matrix.settings import MatrixSettings
from adapters.matrix.wire import Wire
from bot.core.events import Message
from bot.core.ports import Ended, Inbox, Reply


class Intake:
    """One for the whole account. Events of one room are handed in one after another, in their order, live ones and
    those found in a gap alike, our own and those of no interest too; rooms may go on beside each other.
    """

    def __init__(
        self, *, wire: Wire, settings: MatrixSettings, prefix: str, inbox: Inbox, reply_to: Callable[[Message], Reply]
    ) -> None:
        """`prefix` is what commands begin with; `reply_to` makes the reply to a message from the message alone."""

    async def take(self, event: Event) -> Ended | None:
        """See to any event of a room; returns when the core has journaled what there is to do, never waits for an
        answer, whose end it returns. None: it was for nobody, was taken before, or changed something that is running.

        Never raises for what an event holds. While the homeserver does not say what is needed to decide, it is asked
        again for a while; LoggedOut is passed on.
        """
        raise NotImplementedError

    def follow(self, message: Message, ended: Ended) -> None:
        """Follow an answer that was begun elsewhere (`Inbox.resume`): edits, redactions and reactions find it."""

    async def question(self, event: Event) -> Message | None:
        """A message as the core takes it, with its files and what was said before; None when it is not for us."""
        raise NotImplementedError
