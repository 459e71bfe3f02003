"""Builds the replies to messages, and ends those that are open when Hearth stops."""

import asyncio

from adapters.matrix.answering.budget import Budget
from adapters.matrix.answering.contents import Target
from adapters.matrix.answering.indicator import Indicator
from adapters.matrix.answering.posting import MatrixPlace
from adapters.matrix.answering.reply import MatrixReply
from adapters.matrix.background import Background
from adapters.matrix.wire import Wire
from bot.core.events import Message


class Answers:
    """The replies of one account."""

    def __init__(self, wire: Wire, budget: Budget) -> None:
        self._wire = wire
        self._budget = budget
        self._indicator = Indicator(wire)
        self._background = Background()
        self._open: set[MatrixReply] = set()

    def reply_to(self, message: Message) -> MatrixReply:
        """A reply in the room or thread that the message names."""
        place = MatrixPlace(self._wire, Target.of(message), self._indicator, self._background)
        return MatrixReply(message.event_id, place, self._budget, self._open)

    async def close(self) -> None:
        """Show no more."""
        await asyncio.gather(*(reply.abandon() for reply in list(self._open)))
        await self._indicator.close()
        await self._background.close()
