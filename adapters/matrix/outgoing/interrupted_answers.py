"""Answers that a room refused in the middle: their last text, ended once the room takes messages again."""

import logging
from dataclasses import replace
from functools import partial

from adapters.delivery.errors import TransientFailure
from adapters.matrix.event_content import MESSAGE
from adapters.matrix.executor import run_in_thread
from adapters.matrix.homeserver import Homeserver, RequestRefused
from adapters.matrix.outgoing import contents, transactions
from adapters.matrix.outgoing.contents import RoomTarget
from adapters.matrix.outgoing.layout import MatrixPart
from adapters.matrix.outgoing.rate_limiter import SendRateLimiter
from adapters.matrix.retry import retry
from adapters.matrix.texts import localize
from adapters.storage.bounded_dict import put_bounded
from bot.core.texts import Language

log = logging.getLogger(__name__)

ANSWERS_KEPT = 100


class InterruptedAnswers:
    """The messages of this process whose last edit was refused, by room."""

    def __init__(self, homeserver: Homeserver, rate_limiter: SendRateLimiter, language: Language) -> None:
        self._homeserver = homeserver
        self._rate_limiter = rate_limiter
        self._language = language
        self._refused: dict[str, tuple[RoomTarget, MatrixPart]] = {}

    def note_refused(self, platform_id: str, target: RoomTarget, part: MatrixPart) -> None:
        """Note that an edit of a message was refused for good."""
        put_bounded(self._refused, platform_id, (target, part), ANSWERS_KEPT)

    async def end(self, room_id: str) -> None:
        """Say below the answers of a room that they were interrupted."""
        for platform_id, (target, part) in list(self._refused.items()):
            if target.room_id != room_id:
                continue
            del self._refused[platform_id]
            below = localize("matrix_interrupted", self._language)
            content = await run_in_thread(contents.edit_content, platform_id, replace(part, below=below), target)
            tx_id = transactions.edit_tx_id(platform_id, 0, "interrupted", 0)
            try:
                await retry(partial(self._send, room_id, content, tx_id))
            except (TransientFailure, RequestRefused) as error:
                log.warning("Could not end an interrupted answer in %s: %s", room_id, error)

    async def _send(self, room_id: str, content: contents.Content, tx_id: str) -> None:
        with await self._rate_limiter.acquire_slot("edit"):
            await self._homeserver.send(room_id, MESSAGE, content, tx_id)
