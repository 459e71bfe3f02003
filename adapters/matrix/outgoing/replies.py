"""Builds the replies to messages, and ends those that are open when Hearth stops."""

import asyncio

from adapters.matrix.background_tasks import Background
from adapters.matrix.homeserver import Wire
from adapters.matrix.outgoing.contents import Target
from adapters.matrix.outgoing.rate_limiter import Budget
from adapters.matrix.outgoing.reply import MatrixReply
from adapters.matrix.outgoing.room_transport import MatrixPlace
from adapters.matrix.outgoing.typing_indicator import Indicator
from bot.core.messages import Message


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
