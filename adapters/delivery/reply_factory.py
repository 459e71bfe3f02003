"""Factory for the replies of one platform, which are ended when Hearth stops."""

import asyncio
from abc import ABC, abstractmethod
from typing import Any, Generic

from adapters.delivery.live_reply import LiveReply
from adapters.delivery.rate_limit import GlobalRateLimit
from adapters.delivery.reply_transport import PartT, ReplyPolicy, ReplyTransport
from bot.core.messages import Message


class ReplyFactory(ABC, Generic[PartT]):
    """Builds replies from messages alone, those of earlier processes too."""

    def __init__(self, global_limit: GlobalRateLimit | None = None) -> None:
        self._global_limit = global_limit
        self._open_replies: set[LiveReply[Any]] = set()

    def reply_to(self, message: Message) -> LiveReply[PartT]:
        """A reply in the channel or room that the message names."""
        return LiveReply(message.event_id, *self._connect(message), self._global_limit, self._open_replies)

    async def close(self) -> None:
        """Stop updates of all replies."""
        await asyncio.gather(*(reply.abandon() for reply in list(self._open_replies)))

    @abstractmethod
    def _connect(self, message: Message) -> tuple[ReplyTransport[PartT], ReplyPolicy[PartT]]: ...
