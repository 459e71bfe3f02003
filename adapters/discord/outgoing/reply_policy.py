"""Discord's rules for one reply: lengths, buttons, nonces, rate limits by route, no edits of old messages."""

from collections.abc import Callable
from functools import lru_cache, partial

import discord

from adapters.delivery.message_layout import MessageLayout
from adapters.delivery.rate_limit import RateLimit
from adapters.delivery.reply_transport import NextRequest, ReplyContent, ReplyPages, ReplyPolicy, RequestKind
from adapters.discord.limits import CONTENT_CHARACTERS, OLD_MESSAGE_AGE_S
from adapters.discord.outgoing.layout import ButtonSet, DiscordPart, subtext_footer, utf16_length
from adapters.discord.outgoing.markdown import render_words, to_discord_markdown
from adapters.discord.outgoing.nonce import part_nonce

STRETCHES_KEPT = 64
"""Rendered stretches of words between code that one reply keeps while it grows."""


class DiscordReplyPolicy(ReplyPolicy[DiscordPart]):
    """Learns its rate limits from the headers of each response, so no request is tracked."""

    typing_ends_with_text = True

    def __init__(self, limit_for: Callable[[RequestKind], RateLimit]) -> None:
        self._limit_for = limit_for
        self._layout = MessageLayout(CONTENT_CHARACTERS, utf16_length, CONTENT_CHARACTERS // 2, spoilers=True)
        # A text is laid out for its rate limit and again for its request; of a growing one only the end is new.
        rendered = lru_cache(maxsize=STRETCHES_KEPT)(render_words)
        self._to_markdown = lru_cache(maxsize=1)(partial(to_discord_markdown, render_words=rendered))

    def lay_out(self, content: ReplyContent) -> ReplyPages[DiscordPart]:
        """The messages for a content; buttons and pictures are under the last one."""
        below = subtext_footer(content.note, content.sources) if content.has_small_print else content.note
        pages = self._layout.split_pages(self._to_markdown(content.text, ended=content.has_ended), below)
        texts = ["\n\n".join(piece for piece in (page.text, page.below) if piece) for page in pages]
        buttons: ButtonSet = "none" if not content.is_answer else "ended" if content.has_ended else "running"
        last = [DiscordPart(text, buttons, tuple(content.pictures)) for text in texts[-1:]]
        return ReplyPages([*map(DiscordPart, texts[:-1]), *last])

    def request_id(self, event_id: str, request: NextRequest[DiscordPart], revision: int) -> str:
        """The nonce of a new message; Discord takes none with other requests."""
        return part_nonce(event_id, request.number)

    def permit_for(self, request: NextRequest[DiscordPart]) -> RateLimit:
        """The rate limit of the request's route."""
        return self._limit_for(request.kind)

    def may_edit(self, platform_id: str, content: ReplyContent, edits: int) -> bool:
        """False for an old message: Discord takes few more edits of it, which are reserved for the last text."""
        age = discord.utils.utcnow() - discord.utils.snowflake_time(int(platform_id))
        return age.total_seconds() <= OLD_MESSAGE_AGE_S
