"""A reply on any chat platform: messages that are posted once, then edited with the newest text at the allowed rate."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic

from adapters.delivery.errors import RateLimited, TransientFailure
from adapters.delivery.live_edit import LiveEdit
from adapters.delivery.rate_limit import GlobalRateLimit, SendPermit
from adapters.delivery.reply_transport import NextRequest, PartT, ReplyContent, ReplyPages, ReplyPolicy, ReplyTransport
from bot.core.errors import ReplyFailed
from bot.core.messages import Audience, FinalAnswer, PostedPart, Timings
from bot.core.ports import AudienceSource, RecordPart

log = logging.getLogger(__name__)

RETRY_AFTER_S = 2.0
"""Between two tries of a request that did not reach the platform."""

QUEUE_PLACE = -1
"""The number of the message that shows the place in the queue, where it does not become the answer."""


@dataclass(slots=True)
class ShownMessage(Generic[PartT]):
    """A message of ours and the part that it is known to show; None: left by an earlier attempt."""

    platform_id: str
    part: PartT | None


class LiveReply(Generic[PartT]):
    """Fills `Reply` and `AudienceSource`, and `EditTarget` for its texts."""

    def __init__(
        self,
        event_id: str,
        transport: ReplyTransport[PartT],
        policy: ReplyPolicy[PartT],
        global_limit: GlobalRateLimit | None = None,
        open_replies: "set[LiveReply[Any]] | None" = None,
    ) -> None:
        """`open_replies` holds the reply from its opening to its end."""
        self._event_id = event_id
        self._transport = transport
        self._policy = policy
        self._live_edit = LiveEdit(self, global_limit=global_limit)
        self._open_replies: set[LiveReply[Any]] = set() if open_replies is None else open_replies
        self._record: RecordPart | None = None
        self._attempt = 1
        self._text = self._accepted_text = ""
        self._content = ReplyContent()
        self._shown: list[ShownMessage[PartT]] = []
        self._queue_place: ShownMessage[PartT] | None = None
        self._unsettled_place: PartT | None = None  # sent, with unknown outcome
        self._edits = self._revision = self._pictures_sent = 0
        self._last_request: NextRequest[PartT] | None = None
        self._is_prepared = self._is_outcome_unknown = self._is_delay_logged = False
        self._refused: ReplyFailed | None = None

    async def open(self, attempt: int, posted: Sequence[PostedPart], record: RecordPart) -> None:
        """Open it and show typing. Later attempts take over posted messages, also those missing from the journal."""
        self._record, self._attempt = record, attempt
        self._open_replies.add(self)
        self._policy.open()
        ordered = sorted(posted, key=lambda part: part.number)
        self._shown = [ShownMessage(part.platform_id, None) for part in ordered if part.number != QUEUE_PLACE]
        places = [ShownMessage[PartT](part.platform_id, None) for part in ordered if part.number == QUEUE_PLACE]
        self._queue_place = places[0] if places else None
        try:
            await self._prepare()
        except TransientFailure as error:
            self._log_delay(error)
        except ReplyFailed:
            self._close()
            raise
        self._transport.start_typing()

    def current_audience(self) -> Audience | None:
        """The readers of the place now, where the platform can tell."""
        return self._transport.current_audience() if isinstance(self._transport, AudienceSource) else None

    async def waiting(self, place: int, wait_s: float | None, sentence: str) -> None:
        """Show the place in the queue where the answer will be."""
        self._content = replace(self._content, is_answer=True)
        if not self._text:
            self._show(sentence, at_once=True)

    async def working(self) -> None:
        """Show typing, as since `open`."""
        self._content = replace(self._content, is_answer=True)
        self._transport.start_typing()

    async def append(self, piece: str) -> None:
        """Add text; returns at once. Raises the error of an earlier text."""
        self._text += piece
        self._content = replace(self._content, is_notice=False)
        self._show(self._text)

    async def replace(self, text: str) -> None:
        """Replace the text; returns at once."""
        self._text = text
        self._show(text, at_once=True)

    async def finish(self, answer: FinalAnswer) -> None:
        """Show the final text with its note and sources; returns when the platform has all of it."""
        # Not known from `working`: an answer that was written before a restart is only delivered. The output of a
        # command, or of a question edited into something else, has no timings, no sources and no second try.
        is_answer = answer.timings != Timings()
        await self._end(
            ReplyContent(
                answer.text, "finished", is_answer, not is_answer, answer.note, answer.sources, answer.pictures
            )
        )

    async def fail(self, sentence: str) -> None:
        """Show the sentence below the text so far, without what the platform has refused of it."""
        if self._refused is not None or self._content.has_ended:
            self._text = self._accepted_text
            self._content = ReplyContent(is_answer=self._content.is_answer, is_notice=self._content.is_notice)
        is_notice = self._content.is_notice or not self._text.strip()
        await self._end(replace(self._content, text=self._text, stage="failed", is_notice=is_notice, note=sentence))

    async def discard(self) -> None:
        """Delete all messages of the reply."""
        await self._end(ReplyContent(stage="discarded"))

    async def abandon(self) -> None:
        """Stop updates: the process stops, and the next one continues the reply."""
        self._close()
        await self._live_edit.stop()

    async def _end(self, content: ReplyContent) -> None:
        self._text, self._content = content.text, content
        if self._policy.typing_ends_with_text:
            self._transport.stop_typing()
        try:
            await self._live_edit.show_final_text(content.text)
        except ReplyFailed:
            self._open_replies.discard(self)
            raise
        finally:  # when cancelled, the text is still being sent, and the reply stays open for `abandon`
            self._release()
        self._open_replies.discard(self)

    def _show(self, text: str, *, at_once: bool = False) -> None:
        if self._refused is not None:
            self._close()
            raise self._refused
        self._content = replace(self._content, text=text, stage="writing" if self._text else "queued")
        self._live_edit.show_text(text, at_once=at_once)

    def _close(self) -> None:
        self._release()
        self._open_replies.discard(self)

    def _release(self) -> None:
        self._transport.stop_typing()
        self._policy.close()

    def next_permit(self, text: str) -> SendPermit | None:
        """The rate limit of the next request on the way to showing a text."""
        request = None if self._refused and not self._content.has_ended else self._next_request(text)
        if request is None and self._refused is None and self._content.stage == "writing":
            self._accepted_text = text
        return self._policy.permit_for(request) if request else None

    async def send_next(self, text: str, *, final: bool) -> None:
        """Make the next request; one that the platform does not accept is repeated a little later."""
        try:
            with self._policy.track_request():
                await self._prepare()
                if request := self._next_request(text):
                    await self._make_request(request)
        except RateLimited as error:  # it was not accepted, and its rate limit knows how long to wait
            self._unsettled_place = None
            self._log_delay(error)
        except TransientFailure as error:
            self._is_outcome_unknown = True
            self._log_delay(error)
            await asyncio.sleep(RETRY_AFTER_S)
        except ReplyFailed as error:
            if final:
                raise
            self._refused = error  # for the next call: were it raised here, the log would have it twice

    def _next_request(self, text: str) -> NextRequest[PartT] | None:
        content = replace(self._content, text=text)
        nothing: ReplyPages[PartT] = ReplyPages(())
        pages = nothing if content.stage == "discarded" else self._policy.lay_out(content)
        if self._unsettled_place is not None:  # without its id it could not be deleted
            return NextRequest("send", QUEUE_PLACE, self._unsettled_place)
        if self._policy.sends_answer_anew and content.stage == "queued" and not self._shown:
            return self._next_place(content, pages.messages[0] if pages.messages else None)
        request = self._next_page(content, pages)
        # At once after the first text, but after the last one when the answer has ended: that one is waited for.
        is_its_turn = request is None if content.has_ended else bool(self._shown)
        return NextRequest("delete", QUEUE_PLACE) if self._queue_place is not None and is_its_turn else request

    def _next_place(self, content: ReplyContent, part: PartT | None) -> NextRequest[PartT] | None:
        if part is None or (self._queue_place is not None and self._queue_place.part == part):
            return None
        if self._queue_place is None:
            return NextRequest("send", QUEUE_PLACE, part)
        may_edit = self._policy.may_edit(self._queue_place.platform_id, content, self._edits)
        return NextRequest("edit", QUEUE_PLACE, part) if may_edit else None

    def _next_page(self, content: ReplyContent, pages: ReplyPages[PartT]) -> NextRequest[PartT] | None:
        for number, part in enumerate(pages.messages):
            if number == len(self._shown):
                return NextRequest("send", number, part)
            if self._shown[number].part != part and (content.has_ended or self._may_edit(number, content)):
                return NextRequest("edit", number, part)
        if content.has_ended and len(self._shown) > len(pages.messages):
            return NextRequest("delete", len(self._shown) - 1)
        if content.has_ended and self._pictures_sent < len(pages.pictures):
            return NextRequest("picture", self._pictures_sent, pages.pictures[self._pictures_sent])
        return None

    def _may_edit(self, number: int, content: ReplyContent) -> bool:
        return self._policy.may_edit(self._shown[number].platform_id, content, self._edits)

    async def _make_request(self, request: NextRequest[PartT]) -> None:
        if request != self._last_request:
            self._last_request = request
            self._revision += 1
        request_id, number = self._policy.request_id(self._event_id, request, self._revision), request.number
        if request.part is None:
            await self._delete(number)
        elif request.kind == "edit":
            self._edits += 1
            shown = self._message(number)
            shown.part = None  # unknown if the response is lost
            await self._transport.edit_message(shown.platform_id, request.part, request_id)
            shown.part = request.part
        elif request.kind == "send":
            self._unsettled_place = request.part if number == QUEUE_PLACE else None
            platform_id = await self._transport.send(request.part, request_id)
            # An earlier process, or a request whose response was lost, may have posted another text.
            is_first_try = self._attempt == 1 and not self._is_outcome_unknown
            await self._add_message(number, platform_id, request.part if is_first_try else None)
        else:
            await self._transport.send(request.part, request_id)
            self._pictures_sent += 1
        self._is_outcome_unknown = False
        if self._policy.typing_ends_with_text and self._text and number == 0:
            self._transport.stop_typing()

    def _message(self, number: int) -> ShownMessage[PartT]:
        if number != QUEUE_PLACE:
            return self._shown[number]
        assert self._queue_place is not None
        return self._queue_place

    async def _delete(self, number: int) -> None:
        await self._transport.delete_message(self._message(number).platform_id)
        if number == QUEUE_PLACE:
            self._queue_place = None
        else:
            self._shown.pop()

    async def _add_message(self, number: int, platform_id: str, part: PartT | None) -> None:
        if number == QUEUE_PLACE:
            self._queue_place, self._unsettled_place = ShownMessage(platform_id, part), None
        else:
            self._shown.append(ShownMessage(platform_id, part))
        if self._record is not None:
            await self._record(PostedPart(number, platform_id))

    async def _prepare(self) -> None:
        if not self._is_prepared:
            await self._transport.prepare()
            if self._attempt > 1:
                await self._adopt_posted()
            self._is_prepared = True

    async def _adopt_posted(self) -> None:
        """Take over messages that an earlier process posted and could not record any more."""
        known = {shown.platform_id for shown in self._shown}
        if self._queue_place is not None:
            known.add(self._queue_place.platform_id)
        for platform_id in await self._transport.fetch_posted():
            if platform_id not in known:
                await self._add_message(len(self._shown), platform_id, None)

    def _log_delay(self, error: TransientFailure) -> None:
        if not self._is_delay_logged:
            self._is_delay_logged = True
            log.warning("Delaying the answer to %s: %s", self._event_id, error)
