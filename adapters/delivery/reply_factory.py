"""The open replies of one platform: builds them, and ends them when Hearth stops."""

import asyncio
from typing import Any, Generic

from adapters.delivery.live_reply import LiveReply
from adapters.delivery.rate_limit import GlobalRateLimit
from adapters.delivery.reply_transport import PartT, ReplyPolicy, ReplyTransport


class ReplyFactory(Generic[PartT]):
    """Base of the platforms' factories, which know the transport and the policy for a message."""

    def __init__(self, global_limit: GlobalRateLimit | None = None) -> None:
        self._global_limit = global_limit
        self._open_replies: set[LiveReply[Any]] = set()

    def build_reply(
        self, event_id: str, transport: ReplyTransport[PartT], policy: ReplyPolicy[PartT]
    ) -> LiveReply[PartT]:
        """A reply to the message with this event id, which `close` ends if it is still open."""
        return LiveReply(event_id, transport, policy, self._global_limit, self._open_replies)

    async def close(self) -> None:
        """Show no more."""
        await asyncio.gather(*(reply.abandon() for reply in list(self._open_replies)))
