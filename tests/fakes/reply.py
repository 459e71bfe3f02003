"""A reply that keeps everything the core does to it, and holds the core to the order the port promises."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from bot.core.errors import ReplyFailed
from bot.core.messages import FinalAnswer, PostedPart
from bot.core.ports import RecordPart


@dataclass
class FakePlatform:
    """What people would see: the posted parts by platform id, oldest first, and the ids in the order of posting."""

    parts: dict[str, str] = field(default_factory=dict)
    posts: list[str] = field(default_factory=list)

    def post(self, send_id: str, text: str) -> str:
        """Post a part once; a send id that is known already changes nothing, as on a real platform."""
        if send_id not in self.parts:
            self.parts[send_id] = text
            self.posts.append(send_id)
        return send_id


class RecordingReply:
    """Fills `Reply`: `calls` is what happened in order, `text` what is shown, `closing` or `failure` how it ended."""

    def __init__(self, event_id: str = "event", platform: FakePlatform | None = None) -> None:
        self.event_id = event_id
        self.platform = platform or FakePlatform()
        self.calls: list[tuple[str, object]] = []
        self.attempt = 0
        self.posted: tuple[PostedPart, ...] = ()
        self.places: list[int] = []
        self.pieces: list[str] = []
        self.text = ""
        self.closing: FinalAnswer | None = None
        self.failure: str | None = None
        self.refuses_with: str | None = None
        self.ended = asyncio.Event()
        self._record: RecordPart | None = None

    async def open(self, attempt: int, posted: Sequence[PostedPart], record: RecordPart) -> None:
        assert self._record is None, "open is called once"
        self._record = record
        self.attempt, self.posted = attempt, tuple(posted)
        self._note("open", attempt)

    async def waiting(self, place: int, wait_s: float | None, sentence: str) -> None:
        self._note("waiting", (place, wait_s))
        self.places.append(place)

    async def working(self) -> None:
        self._note("working", None)

    async def append(self, piece: str) -> None:
        self._note("append", piece)
        self.pieces.append(piece)
        await self._show(self.text + piece)

    async def replace(self, text: str) -> None:
        self._note("replace", text)
        await self._show(text)

    async def finish(self, closing: FinalAnswer) -> None:
        self._note("finish", closing)
        if closing.text or self.text:
            await self._show(closing.text)
        self.closing = closing
        self.ended.set()

    async def fail(self, sentence: str) -> None:
        self._note("fail", sentence)
        await self._show(f"{self.text}\n\n{sentence}" if self.text else sentence)
        self.failure = sentence
        self.ended.set()

    async def discard(self) -> None:
        self._note("discard", None)
        for part in self.posted:
            self.platform.parts.pop(part.platform_id, None)
        self.text = ""
        self.ended.set()

    def _note(self, name: str, detail: object) -> None:
        assert not self.ended.is_set(), f"{name} was called after the reply had ended"
        assert name == "open" or self._record is not None, f"{name} was called before open"
        self.calls.append((name, detail))
        if self.refuses_with is not None:
            raise ReplyFailed(self.refuses_with)

    async def _show(self, text: str) -> None:
        self.text = text
        if not self.posted:
            platform_id = self.platform.post(f"{self.event_id}/0", text)
            self.posted = (PostedPart(0, platform_id),)
            assert self._record is not None
            await self._record(self.posted[0])
        self.platform.parts[self.posted[0].platform_id] = text
