"""An answer on Discord: messages that are posted once, then edited with the newest text at the channel's pace."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

import discord

from adapters.delivery.live_edit import LiveEdit
from adapters.delivery.rate_limit import GlobalRateLimit, RateLimit
from adapters.discord.limits import OLD_MESSAGE_AGE_S
from adapters.discord.outgoing.citations import subtext_footer
from adapters.discord.outgoing.layout import DiscordLayout
from adapters.discord.outgoing.nonce import part_nonce
from adapters.discord.outgoing.typing_indicator import DiscordTypingIndicator
from adapters.discord.reply_transport import (
    ButtonSet,
    DiscordPart,
    PostedMessage,
    ReplyTransport,
    RequestKind,
    TransientFailure,
)
from bot.core.errors import ReplyFailed
from bot.core.messages import Attachment, FinalAnswer, PostedPart, Timings
from bot.core.ports import RecordPart

log = logging.getLogger(__name__)

AGAIN_AFTER_S = 2.0
"""Between two tries of a request that Discord did not take; its library has tried several times itself by then."""


@dataclass(slots=True)
class ShownMessage:
    """A message of ours, and what it is known to show; None: left by an earlier attempt."""

    platform_id: str
    part: DiscordPart | None

    @property
    def is_old(self) -> bool:
        """Whether Discord takes only a few edits of it: it gets its last text, and none on the way."""
        age = discord.utils.utcnow() - discord.utils.snowflake_time(int(self.platform_id))
        return age.total_seconds() > OLD_MESSAGE_AGE_S


@dataclass(frozen=True, slots=True)
class NextRequest:
    """The next request: what kind, of which message (its number from 0), and how the message is to be."""

    kind: RequestKind
    number: int
    part: DiscordPart


class DiscordReply:
    """Fills `Reply`, and `Screen` for the showing of its texts."""

    def __init__(
        self,
        event_id: str,
        channel: ReplyTransport,
        overall: GlobalRateLimit | None = None,
        opened: "set[DiscordReply] | None" = None,
    ) -> None:
        """`opened` holds the reply from its opening to its end."""
        self._event_id = event_id
        self._transport = channel
        self._opened: set[DiscordReply] = set() if opened is None else opened
        self._typing = DiscordTypingIndicator(channel)
        self._live_edit = LiveEdit(self, overall=overall)
        self._record: RecordPart | None = None
        self._shown: list[ShownMessage] = []
        self._layout = DiscordLayout()
        self._text = ""
        self._below = ""
        self._pictures: tuple[Attachment, ...] = ()
        self._ended = False
        self._is_answer = False
        self._attempt = 1
        self._prepared = False
        self._delay_logged = False
        self._refused: ReplyFailed | None = None

    async def open(self, attempt: int, posted: Sequence[PostedPart], record: RecordPart) -> None:
        """Begin, typing at once. Later attempts take over what is posted, also what no journal knows of."""
        self._record, self._attempt = record, attempt
        self._opened.add(self)
        ordered = sorted(posted, key=lambda part: part.number)
        self._shown = [ShownMessage(part.platform_id, None) for part in ordered]
        try:
            await self._prepare()
        except TransientFailure as error:
            self._log_delay(error)
        except ReplyFailed:
            self._close()
            raise
        self._typing.start()

    async def waiting(self, place: int, wait_s: float | None, sentence: str) -> None:
        """Show the place in the queue where the answer will be."""
        self._is_answer = True
        if not self._text:
            self._show(sentence, at_once=True)

    async def working(self) -> None:
        """Typing has been shown since `open`, and is until text comes."""
        self._is_answer = True
        self._typing.start()

    async def append(self, piece: str) -> None:
        """Add text; returns at once. Raises what showing earlier text ran into."""
        self._text += piece
        self._show(self._text)

    async def replace(self, text: str) -> None:
        """Put a whole new text in place; returns at once."""
        self._text = text
        self._show(text, at_once=True)

    async def finish(self, closing: FinalAnswer) -> None:
        """Show the closing text with its note and sources; returns when Discord has all of it."""
        below = subtext_footer(closing.note, closing.sources) if closing.text.strip() else closing.note
        # An answer that was written before a restart comes without working on it. What a command says, or an answer
        # that was edited into none, took no time, cannot be tried again and rests on nothing.
        self._is_answer = closing.timings != Timings()
        await self._end(closing.text, below, closing.pictures)

    async def fail(self, sentence: str) -> None:
        """Show the sentence below the text so far."""
        await self._end(self._text, sentence)

    async def abandon(self) -> None:
        """Show no more: the process stops, and the next one goes on."""
        self._close()
        await self._live_edit.stop()

    async def _end(self, text: str, below: str, pictures: tuple[Attachment, ...] = ()) -> None:
        self._text, self._below, self._pictures, self._ended = text, below, pictures, True
        self._typing.stop()
        try:
            await self._live_edit.show_final_text(text)
        except ReplyFailed:
            self._close()
            raise
        self._close()

    def _show(self, text: str, *, at_once: bool = False) -> None:
        if self._refused is not None:
            self._close()
            raise self._refused
        self._live_edit.show_text(text, at_once=at_once)

    def _close(self) -> None:
        self._typing.stop()
        self._opened.discard(self)

    def next_permit(self, text: str) -> RateLimit | None:
        """The pace of the next request on the way to showing a text."""
        step = None if self._refused and not self._ended else self._next_request(text)
        return self._transport.limit_for(step.kind) if step else None

    async def send_next(self, text: str, final: bool) -> None:
        """Make the next request; one that Discord does not take comes again a little later."""
        try:
            await self._prepare()
            if step := self._next_request(text):
                await self._make_request(step)
        except TransientFailure as error:
            self._log_delay(error)
            await asyncio.sleep(AGAIN_AFTER_S)
        except ReplyFailed as error:
            if final:
                raise
            self._refused = error  # for the next call: were it raised here, the log would have it twice

    def _next_request(self, text: str) -> NextRequest | None:
        parts = self._parts(text)
        for number, part in enumerate(parts):
            if number == len(self._shown):
                return NextRequest("send", number, part)
            if self._shown[number].part != part and (self._ended or not self._shown[number].is_old):
                return NextRequest("edit", number, part)
        if self._ended and len(self._shown) > len(parts):
            return NextRequest("delete", len(self._shown) - 1, DiscordPart(""))
        return None

    def _parts(self, text: str) -> list[DiscordPart]:
        texts = self._layout.split_pages(text, self._below if self._ended else "")
        last = len(texts) - 1
        answering: ButtonSet = "ended" if self._ended else "running"
        under: ButtonSet = answering if self._is_answer else "none"
        return [
            DiscordPart(page, under, self._pictures) if number == last else DiscordPart(page)
            for number, page in enumerate(texts)
        ]

    async def _make_request(self, step: NextRequest) -> None:
        if step.kind == "send":
            await self._post(step)
        elif step.kind == "edit":
            await self._transport.edit_message(self._shown[step.number].platform_id, step.part)
            self._shown[step.number].part = step.part
        else:
            await self._transport.delete_message(self._shown[step.number].platform_id)
            self._shown.pop()
        if self._text and step.number == 0:
            self._typing.stop()

    async def _post(self, step: NextRequest) -> None:
        posted = await self._transport.send(step.part, part_nonce(self._event_id, step.number))
        # With a nonce that Discord knows it gives the message it has, which may hold an earlier text.
        await self._add_message(posted, step.part if posted.text.strip() == step.part.text.strip() else None)

    async def _add_message(self, posted: PostedMessage, part: DiscordPart | None) -> None:
        number = len(self._shown)
        self._shown.append(ShownMessage(posted.platform_id, part))
        if self._record is not None:
            await self._record(PostedPart(number, posted.platform_id))

    async def _prepare(self) -> None:
        if not self._prepared:
            await self._transport.ensure_thread()
            if self._attempt > 1:
                await self._adopt_posted()
            self._prepared = True

    async def _adopt_posted(self) -> None:
        """Take over what an earlier process posted and could not note any more."""
        known = {shown.platform_id for shown in self._shown}
        for posted in await self._transport.fetch_posted():
            if posted.platform_id not in known:
                await self._add_message(posted, None)

    def _log_delay(self, error: TransientFailure) -> None:
        if not self._delay_logged:
            self._delay_logged = True
            log.warning("The answer to %s is held up: %s", self._event_id, error)
