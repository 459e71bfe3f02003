"""An answer on the console: one message, posted once, then edited with the newest whole text at a bounded rate."""

from collections.abc import Sequence

from adapters.console import events
from adapters.console.events import QuestionRef
from adapters.delivery.live_edit import LiveEdit
from adapters.delivery.rate_limit import RateLimit
from adapters.json_lines.channel import LineChannel
from bot.core.messages import FinalAnswer, PostedPart
from bot.core.ports import RecordPart

WITHDRAWN = "The question was withdrawn."


class ConsoleReply:
    """Fills `Reply`, and `EditTarget` for its texts. A console takes a text of any length, so an answer is one part.

    In later attempts the first text is sent again under its first id, which a client that has it drops, and then
    edited: so it is shown once, whether or not the crash came between the first send and the journal.
    """

    def __init__(self, question: QuestionRef, channel: LineChannel, interval_s: float) -> None:
        self._question = question
        self._channel = channel
        self._write = channel.write_event
        self._rate_limit = RateLimit(assumed_s=interval_s, floor_s=0.0)
        self._live_edit = LiveEdit(self)
        self._attempt = 1
        self._record: RecordPart | None = None
        self._posted_id = ""
        self._revision = 0
        self._text = ""
        self._shown = ""
        self._typing = False
        self._ended = False
        self.has_ended = False
        """Whether the event that ends the answer was written."""

    async def open(self, attempt: int, posted: Sequence[PostedPart], record: RecordPart) -> None:
        """Begin; with `posted`, edit that message."""
        self._attempt, self._record = attempt, record
        self._posted_id = posted[0].platform_id if posted else ""

    async def waiting(self, place: int, wait_s: float | None, sentence: str) -> None:
        """Write the place in the queue, unless the client reads too little; returns at once."""
        self._channel.post_event(self._question.make_event("queued", place=place, wait_s=wait_s, sentence=sentence))

    async def working(self) -> None:
        """Write once that the answer is being made, unless the client reads too little; returns at once."""
        if not self._typing:
            self._typing = True
            self._channel.post_event(self._question.make_event("typing"))

    async def append(self, piece: str) -> None:
        """Add text; returns at once. Raises the error of an earlier text."""
        self._text += piece
        self._live_edit.show_text(self._text, at_once=True)

    async def replace(self, text: str) -> None:
        """Replace the text; returns at once."""
        self._text = text
        self._live_edit.show_text(text, at_once=True)

    async def finish(self, answer: FinalAnswer) -> None:
        """Show the final text, then write `finished`."""
        await self._show_last(answer.text)
        await self._write(events.finished_event(self._question, self._attempt, answer))
        self.has_ended = True

    async def fail(self, sentence: str) -> None:
        """Show the sentence below the text so far, then write `failed`."""
        text = f"{self._text}\n\n{sentence}" if self._text else sentence
        await self._show_last(text)
        await self._write(events.failed_event(self._question, self._attempt, text, sentence))
        self.has_ended = True

    async def discard(self) -> None:
        """Show an empty text in place of a posted one, then write `failed`: a client waits for an end."""
        if self._posted_id:
            await self._show_last("")
        await self._write(events.failed_event(self._question, self._attempt, "", WITHDRAWN))
        self.has_ended = True

    def next_permit(self, text: str) -> RateLimit | None:
        """The console's one rate limit, while another text is shown."""
        may_stand = self._ended and self._attempt > 1 and self._revision == 0  # text of an earlier attempt
        return self._rate_limit if self._shown != text or may_stand else None

    async def send_next(self, text: str, *, final: bool) -> None:
        """Post the text, or edit what is posted."""
        is_new = not self._posted_id
        if is_new:
            await self._post(text)
        if self._attempt > 1 or not is_new:
            self._revision += 1
            await self._write(events.edited_event(self._question, self._posted_id, self._attempt, self._revision, text))
        self._shown = text

    async def _show_last(self, text: str) -> None:
        self._text, self._ended = text, True
        await self._live_edit.show_final_text(text)

    async def _post(self, text: str) -> None:
        await self._write(events.posted_event(self._question, text))
        self._posted_id = self._question.send_id
        if self._record is not None:
            await self._record(PostedPart(0, self._posted_id))
