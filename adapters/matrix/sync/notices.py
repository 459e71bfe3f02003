"""Sends single sentences of Hearth's own as notices, which bots do not answer; retries after transient failures."""

import hashlib
import logging

from adapters.delivery.errors import TransientFailure
from adapters.matrix.events import Json
from adapters.matrix.homeserver import Homeserver, RequestRefused
from adapters.matrix.outgoing.rate_limiter import SendRateLimiter
from adapters.matrix.retry import retry

log = logging.getLogger(__name__)


class NoticeSender:
    """Sends notices within the account's rate limit."""

    def __init__(self, homeserver: Homeserver, rate_limiter: SendRateLimiter) -> None:
        self._homeserver = homeserver
        self._rate_limiter = rate_limiter

    async def send_notice(self, room_id: str, sentence: str, occasion: str, reply_to: str = "") -> bool:
        """Send a sentence; False when the homeserver refuses it. Each `occasion` is sent once only, as long as the
        homeserver remembers its transaction. Raises LoggedOut.
        """
        content: dict[str, object] = {"msgtype": "m.notice", "body": sentence, "m.mentions": {}}
        if reply_to:
            content["m.relates_to"] = {"m.in_reply_to": {"event_id": reply_to}}
        tx_id = hashlib.sha256(f"notice {room_id} {occasion}".encode()).hexdigest()[:40]
        try:
            await retry(lambda: self._send(room_id, content, tx_id))
        except (TransientFailure, RequestRefused) as error:
            log.warning("Could not send a notice to %s: %s", room_id, error)
            return False
        return True

    async def _send(self, room_id: str, content: Json, tx_id: str) -> str:
        with await self._rate_limiter.acquire_slot("first"):
            return await self._homeserver.send(room_id, "m.room.message", content, tx_id)
