"""Builds the replies to messages, and ends those that are open when Hearth stops."""

import asyncio

from adapters.matrix.background_tasks import BackgroundTasks
from adapters.matrix.homeserver import Homeserver
from adapters.matrix.outgoing.contents import RoomTarget
from adapters.matrix.outgoing.rate_limiter import SendRateLimiter
from adapters.matrix.outgoing.reply import MatrixReply
from adapters.matrix.outgoing.room_transport import RoomTransport
from adapters.matrix.outgoing.typing_indicator import TypingIndicators
from bot.core.messages import Message


class MatrixReplyFactory:
    """The replies of one account."""

    def __init__(self, wire: Homeserver, budget: SendRateLimiter) -> None:
        self._homeserver = wire
        self._rate_limiter = budget
        self._typing = TypingIndicators(wire)
        self._background = BackgroundTasks()
        self._open: set[MatrixReply] = set()

    def reply_to(self, message: Message) -> MatrixReply:
        """A reply in the room or thread that the message names."""
        place = RoomTransport(self._homeserver, RoomTarget.from_message(message), self._typing, self._background)
        return MatrixReply(message.event_id, place, self._rate_limiter, self._open)

    async def close(self) -> None:
        """Show no more."""
        await asyncio.gather(*(reply.abandon() for reply in list(self._open)))
        await self._typing.close()
        await self._background.close()
