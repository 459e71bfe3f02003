"""A room or a thread on Matrix as the place of one answer."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from nio.crypto.attachments import encrypt_attachment  # type: ignore[import-untyped]

from adapters.matrix.api.failures import answering
from adapters.matrix.background_tasks import Background
from adapters.matrix.event_content import MESSAGE, relation_of, text
from adapters.matrix.events import Event
from adapters.matrix.executor import aside
from adapters.matrix.homeserver import LoggedOut, Refused, Unsettled, Wire
from adapters.matrix.outgoing import contents
from adapters.matrix.outgoing.contents import Target
from adapters.matrix.outgoing.reply_transport import Part
from adapters.matrix.outgoing.typing_indicator import Indicator
from bot.core.messages import Attachment

log = logging.getLogger(__name__)

PAGE = 100
PAGES = 10
"""An earlier process's answer is looked for among so many events times `PAGE` after the question."""

IMAGE = "m.image"


class MatrixPlace:
    """Fills `Place`. Texts are rendered in a thread: some that are made for it take seconds."""

    def __init__(self, wire: Wire, target: Target, indicator: Indicator, background: Background) -> None:
        self._wire = wire
        self._target = target
        self._indicator = indicator
        self._background = background
        self._read = False
        self._uploaded: dict[str, dict[str, Any]] = {}

    def begin(self) -> None:
        """Show that the question was read, and typing."""
        self._indicator.start(self._target.room_id, self)
        if not self._read:
            self._read = True
            self._background.start(self._receipt(), "Read receipt")

    def rest(self) -> None:
        """Show typing no longer."""
        self._indicator.stop(self._target.room_id, self)

    async def send(self, part: Part, tx_id: str) -> str:
        """Post a message in reply to the question."""
        return await self._send(await aside(contents.message, part, self._target), tx_id)

    async def edit(self, event_id: str, part: Part, tx_id: str) -> None:
        """Change a message of ours."""
        await self._send(await aside(contents.edit, event_id, part, self._target), tx_id)

    async def redact(self, event_id: str, tx_id: str) -> None:
        """Take a message of ours back."""
        with asking():
            await self._wire.redact(self._target.room_id, event_id, tx_id)

    async def show(self, picture: Attachment, tx_id: str) -> None:
        """Post a picture in reply to the question, encrypted where the room is."""
        if tx_id not in self._uploaded:
            self._uploaded[tx_id] = await self._upload(picture)
        await self._send(contents.picture(picture, self._uploaded[tx_id], self._target), tx_id)

    async def answers(self) -> Sequence[str]:
        """Our messages after the question that reply to it; of an answer that is tried again those after that."""
        with asking():
            try:
                start = await self._wire.after(self._target.room_id, self._target.since)
            except Refused as error:
                if error.status != 404:
                    raise
                log.info("What was answered before to %s cannot be found: %s", self._target.since, error)
                return []
            return [event.event_id for event in await self._later(start) if self._is_answer(event)]

    async def _later(self, start: str) -> list[Event]:
        found: list[Event] = []
        for _ in range(PAGES):
            page = await self._wire.page(self._target.room_id, start, back=False, limit=PAGE)
            found += page.events
            if not page.end or not page.events:
                break
            start = page.end
        return found

    def _is_answer(self, event: Event) -> bool:
        if event.sender != self._wire.user_id or relation_of(event.content).points_at != self._target.question:
            return False
        # One of our own that cannot be read still says what it replies to.
        return bool(event.session_id) or (event.type == MESSAGE and text(event.content, "msgtype") != IMAGE)

    async def _upload(self, picture: Attachment) -> dict[str, Any]:
        room = self._wire.room(self._target.room_id)
        with asking():
            if room is None or not room.encrypted:
                return {"url": await self._wire.upload(picture.data, picture.name, picture.media_type)}
            data, keys = await aside(encrypt_attachment, picture.data)
            return {"file": {**keys, "url": await self._wire.upload(data, "", "application/octet-stream")}}

    async def _send(self, content: dict[str, Any], tx_id: str) -> str:
        with asking():
            return await self._wire.send(self._target.room_id, MESSAGE, content, tx_id)

    async def _receipt(self) -> None:
        try:
            await self._wire.read(self._target.room_id, self._target.since)
        except (Unsettled, Refused) as error:
            log.debug("No read receipt in %s: %s", self._target.room_id, error)


@contextmanager
def asking() -> Iterator[None]:
    """Raises ReplyFailed for what the homeserver refuses for good, and Unsettled for what the next process may do."""
    with answering():
        try:
            yield
        except LoggedOut as error:
            raise Unsettled(str(error)) from error
