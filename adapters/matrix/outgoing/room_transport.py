"""A room or a thread on Matrix as the place of one answer."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from nio.crypto.attachments import encrypt_attachment  # type: ignore[import-untyped]

from adapters.matrix.api.failures import translate_errors
from adapters.matrix.background_tasks import BackgroundTasks
from adapters.matrix.event_content import MESSAGE, get_text, relation_of
from adapters.matrix.events import Event
from adapters.matrix.executor import run_in_thread
from adapters.matrix.homeserver import Homeserver, LoggedOut, RequestRefused, TransientFailure
from adapters.matrix.outgoing import contents
from adapters.matrix.outgoing.contents import RoomTarget
from adapters.matrix.outgoing.reply_transport import ReplyPart
from adapters.matrix.outgoing.typing_indicator import TypingIndicators
from bot.core.messages import Attachment

log = logging.getLogger(__name__)

PAGE = 100
PAGES = 10
"""An earlier process's answer is looked for among so many events times `PAGE` after the question."""

IMAGE = "m.image"


class RoomTransport:
    """Fills `Place`. Texts are rendered in a thread: some that are made for it take seconds."""

    def __init__(
        self, wire: Homeserver, target: RoomTarget, indicator: TypingIndicators, background: BackgroundTasks
    ) -> None:
        self._homeserver = wire
        self._target = target
        self._typing = indicator
        self._background = background
        self._read = False
        self._uploaded: dict[str, dict[str, Any]] = {}

    def start_typing(self) -> None:
        """Show that the question was read, and typing."""
        self._typing.start(self._target.room_id, self)
        if not self._read:
            self._read = True
            self._background.start(self._send_receipt(), "Read receipt")

    def stop_typing(self) -> None:
        """Show typing no longer."""
        self._typing.stop(self._target.room_id, self)

    async def send(self, part: ReplyPart, tx_id: str) -> str:
        """Post a message in reply to the question."""
        return await self._send(await run_in_thread(contents.message_content, part, self._target), tx_id)

    async def edit_message(self, event_id: str, part: ReplyPart, tx_id: str) -> None:
        """Change a message of ours."""
        await self._send(await run_in_thread(contents.edit_content, event_id, part, self._target), tx_id)

    async def redact_message(self, event_id: str, tx_id: str) -> None:
        """Take a message of ours back."""
        with homeserver_errors():
            await self._homeserver.redact_event(self._target.room_id, event_id, tx_id)

    async def send_picture(self, picture: Attachment, tx_id: str) -> None:
        """Post a picture in reply to the question, encrypted where the room is."""
        if tx_id not in self._uploaded:
            self._uploaded[tx_id] = await self._upload_picture(picture)
        await self._send(contents.image_content(picture, self._uploaded[tx_id], self._target), tx_id)

    async def fetch_posted(self) -> Sequence[str]:
        """Our messages after the question that reply to it; of an answer that is tried again those after that."""
        with homeserver_errors():
            try:
                start = await self._homeserver.token_after(self._target.room_id, self._target.asked_by_event)
            except RequestRefused as error:
                if error.status != 404:
                    raise
                log.info("What was answered before to %s cannot be found: %s", self._target.asked_by_event, error)
                return []
            return [event.event_id for event in await self._events_after(start) if self._is_answer(event)]

    async def _events_after(self, start: str) -> list[Event]:
        found: list[Event] = []
        for _ in range(PAGES):
            page = await self._homeserver.get_event_page(self._target.room_id, start, back=False, limit=PAGE)
            found += page.events
            if not page.end or not page.events:
                break
            start = page.end
        return found

    def _is_answer(self, event: Event) -> bool:
        if event.sender != self._homeserver.user_id or relation_of(event.content).in_reply_to != self._target.question:
            return False
        # One of our own that cannot be read still says what it replies to.
        return bool(event.session_id) or (event.type == MESSAGE and get_text(event.content, "msgtype") != IMAGE)

    async def _upload_picture(self, picture: Attachment) -> dict[str, Any]:
        room = self._homeserver.get_room(self._target.room_id)
        with homeserver_errors():
            if room is None or not room.encrypted:
                return {"url": await self._homeserver.upload_file(picture.data, picture.name, picture.media_type)}
            data, keys = await run_in_thread(encrypt_attachment, picture.data)
            return {"file": {**keys, "url": await self._homeserver.upload_file(data, "", "application/octet-stream")}}

    async def _send(self, content: dict[str, Any], tx_id: str) -> str:
        with homeserver_errors():
            return await self._homeserver.send(self._target.room_id, MESSAGE, content, tx_id)

    async def _send_receipt(self) -> None:
        try:
            await self._homeserver.send_read_receipt(self._target.room_id, self._target.asked_by_event)
        except (TransientFailure, RequestRefused) as error:
            log.debug("No read receipt in %s: %s", self._target.room_id, error)


@contextmanager
def homeserver_errors() -> Iterator[None]:
    """Raises ReplyFailed for what the homeserver refuses for good, and Unsettled for what the next process may do."""
    with translate_errors():
        try:
            yield
        except LoggedOut as error:
            raise TransientFailure(str(error)) from error
