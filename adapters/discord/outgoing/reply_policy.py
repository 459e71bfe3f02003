"""Discord's rules for one reply: rate limits by route, nonces for new messages, no edits of old ones."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import discord

from adapters.delivery.rate_limit import RateLimit
from adapters.delivery.reply_transport import NextRequest, ReplyContent, ReplyPages, RequestKind
from adapters.discord.limits import OLD_MESSAGE_AGE_S
from adapters.discord.outgoing.layout import DiscordLayout, DiscordPart
from adapters.discord.outgoing.nonce import part_nonce


class DiscordReplyPolicy:
    """Fills `ReplyPolicy`."""

    typing_ends_with_text = True

    def __init__(self, limit_for: Callable[[RequestKind], RateLimit]) -> None:
        self._limit_for = limit_for
        self._layout = DiscordLayout()

    def lay_out(self, content: ReplyContent) -> ReplyPages[DiscordPart]:
        """The messages for a content; pictures are part of the last one."""
        return self._layout.lay_out(content)

    def request_id(self, event_id: str, request: NextRequest[DiscordPart], revision: int) -> str:
        """The nonce of a new message; Discord takes none with other requests."""
        return part_nonce(event_id, request.number)

    def permit_for(self, request: NextRequest[DiscordPart]) -> RateLimit:
        """The rate limit of the request's route."""
        return self._limit_for(request.kind)

    def may_edit(self, platform_id: str, content: ReplyContent) -> bool:
        """Not where Discord takes only a few edits of a message any more: they are for its last text."""
        age = discord.utils.utcnow() - discord.utils.snowflake_time(int(platform_id))
        return age.total_seconds() <= OLD_MESSAGE_AGE_S

    def track_request(self) -> AbstractContextManager[None]:
        """Nothing: the rate limits learn from the headers of each response."""
        return nullcontext()

    def open(self) -> None:
        """Nothing: the bot's rate limits reserve no requests for a reply."""

    def close(self) -> None:
        """Nothing, likewise."""
