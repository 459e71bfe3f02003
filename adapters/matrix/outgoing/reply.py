"""An answer on Matrix: messages that are posted once, then edited with the newest text as the budget allows."""

import asyncio
import logging
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from adapters.delivery.citations import citation_footer
from adapters.delivery.live_edit import LiveEdit
from adapters.delivery.rate_limit import SendPermit
from adapters.matrix.homeserver import RateLimited, TransientFailure
from adapters.matrix.limits import MAX_EDITS
from adapters.matrix.outgoing import transactions
from adapters.matrix.outgoing.layout import MatrixLayout
from adapters.matrix.outgoing.rate_limiter import SendRateLimiter
from adapters.matrix.outgoing.reply_transport import ReplyPart, ReplyTransport
from bot.core.errors import ReplyFailed
from bot.core.messages import Attachment, FinalAnswer, PostedPart, Timings
from bot.core.ports import RecordPart

log = logging.getLogger(__name__)

AGAIN_AFTER_S = 2.0
"""Between two tries of a request that did not reach the homeserver."""

PLACES_TOLD = 4
"""Changes of the place in the queue that are shown: the edits of a reply are for its answer."""


@dataclass(slots=True)
class Shown:
    """A message of ours, and what it is known to show; None: left by an earlier attempt."""

    event_id: str
    part: ReplyPart | None


@dataclass(frozen=True, slots=True)
class Step:
    """The next request: what kind, of which message or picture (its number from 0), and how the message is to be."""

    kind: Literal["send", "edit", "redact", "picture"]
    number: int
    part: ReplyPart


class MatrixReply:
    """Fills `Reply`, and `Screen` for the showing of its texts."""

    def __init__(
        self, event_id: str, place: ReplyTransport, budget: SendRateLimiter, opened: "set[MatrixReply] | None" = None
    ) -> None:
        """`opened` holds the reply from its opening to its end."""
        self._event_id = event_id
        self._place = place
        self._share = budget.share()
        self._opened: set[MatrixReply] = set() if opened is None else opened
        self._showing = LiveEdit(self)
        self._record: RecordPart | None = None
        self._shown: list[Shown] = []
        self._layout = MatrixLayout()
        self._text = self._below = ""
        self._pictures: Sequence[Attachment] = ()
        self._pictured = 0
        self._ended = self._is_answer = self._small = False
        self._attempt = 1
        self._prepared = self._complained = False
        self._tried: Step | None = None
        self._revision = 0
        self._occasion = secrets.token_hex(4)

    async def open(self, attempt: int, posted: Sequence[PostedPart], record: RecordPart) -> None:
        """Begin, with a read receipt and typing at once. Later attempts take over what is posted, also what no journal
        knows of.
        """
        self._record, self._attempt = record, attempt
        self._opened.add(self)
        self._share.open()
        self._place.start_typing()
        ordered = sorted(posted, key=lambda part: part.number)
        self._shown = [Shown(part.platform_id, None) for part in ordered]
        try:
            await self._prepare()
        except TransientFailure as error:
            self._complain(error)
        except ReplyFailed:
            self._close()
            raise

    async def waiting(self, place: int, wait_s: float | None, sentence: str) -> None:
        """Show the place in the queue where the answer will be."""
        if not self._text and self._share.edits < PLACES_TOLD:
            self._show(sentence, at_once=True)

    async def working(self) -> None:
        """Typing has been shown since `open`, and is until the end."""
        self._place.start_typing()

    async def append(self, piece: str) -> None:
        """Add text; returns at once. Raises what showing earlier text ran into."""
        self._is_answer = True
        self._text += piece
        self._show(self._text)

    async def replace(self, text: str) -> None:
        """Put a whole new text in place; returns at once."""
        self._text = text
        self._show(text, at_once=True)

    async def finish(self, closing: FinalAnswer) -> None:
        """Show the closing text with its note and sources; returns when the homeserver has all of it."""
        # Only an answer of the model took time; what a command says is a notice.
        self._is_answer = closing.timings != Timings()
        self._small = bool(closing.text.strip())
        self._pictures = closing.pictures
        await self._end(closing.text, citation_footer(closing.note, closing.sources) if self._small else closing.note)

    async def fail(self, sentence: str) -> None:
        """Show the sentence below the text so far."""
        self._is_answer = bool(self._text.strip()) and self._is_answer
        await self._end(self._text, sentence)

    async def abandon(self) -> None:
        """Show no more: the process stops, and the next one goes on."""
        self._close()
        await self._showing.stop()

    async def _end(self, text: str, below: str) -> None:
        self._text, self._below, self._ended = text, below, True
        try:
            await self._showing.show_final_text(text)
        except ReplyFailed:
            self._opened.discard(self)
            raise
        finally:  # cancelled, its text is still on the way, and stays among the open ones for `abandon`
            self._let_go()
        self._opened.discard(self)

    def _show(self, text: str, *, at_once: bool = False) -> None:
        try:
            self._showing.show_text(text, at_once=at_once)
        except ReplyFailed:
            self._close()
            raise

    def _close(self) -> None:
        self._let_go()
        self._opened.discard(self)

    def _let_go(self) -> None:
        self._place.stop_typing()
        self._share.close()

    def next_permit(self, text: str) -> SendPermit | None:
        """What the next request on the way to showing a text has to wait for."""
        step = self._next(text)
        if step is None:
            return None
        return self._share.edit if self._shown else self._share.first

    async def send_next(self, text: str, final: bool) -> None:
        """Make the next request; one that does not reach the homeserver comes again a little later."""
        tried = self._tried
        try:
            with self._share.request:
                await self._prepare()
                if step := self._next(text):
                    await self._take(self._trial(step))
        except RateLimited as error:
            self._tried = tried  # it was not taken; the budget knows how long to wait
            self._complain(error)
        except TransientFailure as error:
            self._complain(error)
            await asyncio.sleep(AGAIN_AFTER_S)

    def _next(self, text: str) -> Step | None:
        parts = self._parts(text)
        for number, part in enumerate(parts):
            if number == len(self._shown):
                return Step("send", number, part)
            if self._shown[number].part != part and (self._ended or self._share.edits < MAX_EDITS):
                return Step("edit", number, part)
        if self._ended and len(self._shown) > len(parts):
            return Step("redact", len(self._shown) - 1, ReplyPart(""))
        if self._ended and self._pictured < len(self._pictures):
            return Step("picture", self._pictured, ReplyPart(""))
        return None

    def _parts(self, text: str) -> list[ReplyPart]:
        pages = self._layout.split_pages(text, self._below if self._ended else "")
        notice = not self._is_answer
        return [ReplyPart(page.text, page.below, self._small, notice, number == 0) for number, page in enumerate(pages)]

    def _trial(self, step: Step) -> Step:
        """What is asked now. A post whose outcome is unknown is asked again as it was, because the homeserver keeps the
        first one; an edit with another text is another edit.
        """
        if self._tried is not None and self._tried.kind == step.kind == "send" and self._tried.number == step.number:
            return self._tried
        if step != self._tried:
            self._tried = step
            self._revision += 1
        return step

    async def _take(self, step: Step) -> None:
        number, part = step.number, step.part
        if step.kind == "send":
            await self._post(step)
        elif step.kind == "edit":
            tx_id = transactions.edit_tx_id(self._event_id, number, self._occasion, self._revision)
            await self._place.edit_message(self._shown[number].event_id, part, tx_id)
            self._shown[number].part = part
        elif step.kind == "redact":
            await self._place.redact_message(
                self._shown[number].event_id, transactions.redact_tx_id(self._shown[number].event_id)
            )
            self._shown.pop()
        else:
            await self._place.send_picture(self._pictures[number], transactions.picture_tx_id(self._event_id, number))
            self._pictured += 1
        self._tried = None

    async def _post(self, step: Step) -> None:
        event_id = await self._place.send(step.part, transactions.send_tx_id(self._event_id, step.number))
        # An earlier process may have posted it, with another text.
        await self._add(event_id, step.part if self._attempt == 1 else None)

    async def _add(self, event_id: str, part: ReplyPart | None) -> None:
        number = len(self._shown)
        self._shown.append(Shown(event_id, part))
        if self._record is not None:
            await self._record(PostedPart(number, event_id))

    async def _prepare(self) -> None:
        if not self._prepared:
            if self._attempt > 1:
                await self._adopt()
            self._prepared = True

    async def _adopt(self) -> None:
        """Take over what an earlier process posted and could not note any more."""
        known = {shown.event_id for shown in self._shown}
        for event_id in await self._place.fetch_posted():
            if event_id not in known:
                await self._add(event_id, None)

    def _complain(self, error: TransientFailure) -> None:
        if not self._complained:
            self._complained = True
            log.warning("The answer to %s is held up: %s", self._event_id, error)
