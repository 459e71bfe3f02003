"""Sentences to people whose messages cannot be answered where they were sent; each is said once."""

import logging
from collections.abc import Callable
from typing import Protocol

from adapters.matrix.background_tasks import BackgroundTasks
from adapters.matrix.events import Room
from adapters.matrix.incoming.parsed_message import ParsedMessage
from adapters.matrix.texts import localize
from adapters.storage.bounded_dict import put_bounded
from bot.core.texts import Language

log = logging.getLogger(__name__)

TOLD_KEPT = 1000


class Notices(Protocol):
    """Sends notices; filled by `NoticeSender`."""

    async def send_notice(self, room_id: str, sentence: str, occasion: str, reply_to: str = "") -> bool:
        """Send a sentence, once for each `occasion`; False when the homeserver refuses it."""
        ...


class RefusalNotices:
    """Tells people why, in the background."""

    def __init__(self, notices: Notices, direct_room: Callable[[str], str], language: Language) -> None:
        """`direct_room` gives the room of our direct chat with a user, or an empty text."""
        self._notices = notices
        self._direct_room = direct_room
        self._language = language
        self._told: dict[tuple[str, str], None] = {}
        self._background = BackgroundTasks()

    def tell_unencrypted(self, message: ParsedMessage) -> None:
        """Tell an encrypted room that unencrypted messages are not answered."""
        room_id = message.room_id
        if not self._is_first("unencrypted", room_id):
            return
        log.warning("Ignoring unencrypted messages in %s: it is encrypted, and its server could forge them.", room_id)
        self._send(room_id, localize("matrix_unencrypted", self._language), "unencrypted", message.event_id)

    def tell_muted(self, message: ParsedMessage, room: Room) -> None:
        """Tell the author, in their direct chat if they have one, that Hearth may not write in a room."""
        if self._is_first("muted", room.room_id):
            log.warning("Could not answer in %s: Hearth's power level does not suffice to write there.", room.room_id)
        chat = self._direct_room(message.sender)
        if chat and self._is_first(room.room_id, message.sender):
            sentence = localize("matrix_muted", self._language, room=room.name or room.room_id)
            self._send(chat, sentence, f"muted in {room.room_id} {message.event_id}")

    async def close(self) -> None:
        """Send no more."""
        await self._background.close()

    def _is_first(self, subject: str, of: str) -> bool:
        if (subject, of) in self._told:
            return False
        put_bounded(self._told, (subject, of), None, TOLD_KEPT)
        return True

    def _send(self, room_id: str, sentence: str, occasion: str, reply_to: str = "") -> None:
        self._background.start(self._send_now(room_id, sentence, occasion, reply_to), f"A notice to {room_id}")

    async def _send_now(self, room_id: str, sentence: str, occasion: str, reply_to: str) -> None:
        await self._notices.send_notice(room_id, sentence, occasion, reply_to)
