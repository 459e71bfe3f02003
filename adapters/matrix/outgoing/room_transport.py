"""Reply transport for a room or thread on Matrix."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from nio.crypto.attachments import encrypt_attachment  # type: ignore[import-untyped]

from adapters.delivery.errors import TransientFailure
from adapters.matrix.api.failures import translate_errors
from adapters.matrix.background_tasks import BackgroundTasks
from adapters.matrix.event_content import MESSAGE, get_text, relation_of
from adapters.matrix.events import Event, Room
from adapters.matrix.executor import run_in_thread
from adapters.matrix.homeserver import Homeserver, LoggedOut, RequestRefused
from adapters.matrix.outgoing import contents, transactions
from adapters.matrix.outgoing.contents import RoomTarget
from adapters.matrix.outgoing.interrupted_answers import InterruptedAnswers
from adapters.matrix.outgoing.layout import MatrixPart
from adapters.matrix.outgoing.typing_indicator import TypingIndicators
from bot.core.errors import ReplyFailed
from bot.core.messages import Attachment, Audience

log = logging.getLogger(__name__)

PAGE = 100
PAGES = 10
"""Pages after the question that are searched for an earlier process's answer."""

IMAGE = "m.image"


class RoomTransport:
    """Fills `ReplyTransport` and `AudienceSource`. Texts are rendered in a thread: hostile ones take seconds."""

    def __init__(
        self,
        homeserver: Homeserver,
        target: RoomTarget,
        indicator: TypingIndicators,
        background: BackgroundTasks,
        *,
        interrupted: InterruptedAnswers,
        audience_of: Callable[[Room, str], Audience] | None = None,
    ) -> None:
        self._homeserver = homeserver
        self._target = target
        self._typing = indicator
        self._background = background
        self._interrupted = interrupted
        self._audience_of = audience_of
        self._is_read = False
        self._uploaded: dict[str, dict[str, Any]] = {}

    def current_audience(self) -> Audience | None:
        """The readers of the room now: somebody may have joined a chat of two since the question."""
        room = self._homeserver.get_room(self._target.room_id)
        if room is None or self._audience_of is None:
            return None
        return self._audience_of(room, self._target.asker)

    async def prepare(self) -> None:
        """Show typing and that the question was read, before the search for an earlier process's answer."""
        if not self._is_read:
            self._is_read = True
            self.start_typing()
            self._background.start(self._send_receipt(), "Read receipt")
            with homeserver_errors():
                await self._load_members()

    async def report_refusal(self, platform_ids: Sequence[str], error: ReplyFailed) -> None:
        """Nothing: messages on Matrix look the same before and after the end of an answer."""

    def start_typing(self) -> None:
        """Show typing."""
        self._typing.start(self._target.room_id, self)

    def stop_typing(self) -> None:
        """Stop typing."""
        self._typing.stop(self._target.room_id, self)

    async def send(self, part: MatrixPart, request_id: str) -> str:
        """Post a message or a picture in reply to the question; `request_id` is its transaction id."""
        if part.picture is not None:
            if request_id not in self._uploaded:
                self._uploaded[request_id] = await self._upload_picture(part.picture)
            content = contents.image_content(part.picture, self._uploaded[request_id], self._target)
        else:
            content = await run_in_thread(contents.message_content, part, self._target)
        return await self._send(content, request_id)

    async def edit_message(self, platform_id: str, part: MatrixPart, request_id: str) -> None:
        """Change a message of ours."""
        content = await run_in_thread(contents.edit_content, platform_id, part, self._target)
        try:
            await self._send(content, request_id)
        except ReplyFailed:
            self._interrupted.note_refused(platform_id, self._target, part)
            raise

    async def delete_message(self, platform_id: str) -> None:
        """Redact a message of ours."""
        with homeserver_errors():
            tx_id = transactions.redact_tx_id(platform_id)
            await self._homeserver.redact_event(self._target.room_id, platform_id, tx_id)

    async def fetch_posted(self) -> Sequence[str]:
        """Our messages that reply to the question, after the event that asked."""
        with homeserver_errors():
            try:
                start = await self._homeserver.token_after(self._target.room_id, self._target.asked_by_event)
            except RequestRefused as error:
                if error.status != 404:
                    raise
                log.info("Could not look for earlier answers to %s: %s", self._target.asked_by_event, error)
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
        # A message of ours that cannot be decrypted still says what it replies to.
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

    async def _load_members(self) -> None:
        """Load the members of a direct chat, without which it is not private: after a restart they are not known."""
        room = self._homeserver.get_room(self._target.room_id)
        if room is None or not room.is_direct or room.members_complete:
            return
        try:
            await self._homeserver.load_members(room.room_id)
        except (TransientFailure, RequestRefused) as error:
            log.info("Could not load the members of %s: %s", room.room_id, error)

    async def _send_receipt(self) -> None:
        try:
            await self._homeserver.send_read_receipt(self._target.room_id, self._target.asked_by_event)
        except (TransientFailure, RequestRefused) as error:
            log.debug("Could not send a read receipt in %s: %s", self._target.room_id, error)


@contextmanager
def homeserver_errors() -> Iterator[None]:
    """Raises ReplyFailed for a request that is refused for good, TransientFailure for a logged-out device."""
    with translate_errors():
        try:
            yield
        except LoggedOut as error:
            raise TransientFailure(str(error)) from error
