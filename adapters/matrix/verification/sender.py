"""Sender for verifications: steps to a device or a room, and the string to compare."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from hashlib import sha256
from typing import Any

from adapters.delivery.errors import RateLimited, TransientFailure
from adapters.matrix.events import Json
from adapters.matrix.homeserver import Homeserver, RequestRefused
from adapters.matrix.texts import localize
from adapters.matrix.verification.emoji import emoji_glyphs, emoji_names
from adapters.matrix.verification.messages import PREFIX, FlowId
from adapters.matrix.verification.sas import ShortAuthString
from bot.core.texts import Language

log = logging.getLogger(__name__)

DirectRoom = Callable[[str], str]
"""The room of our direct chat with a user, empty when there is none."""
WaitForTurn = Callable[[], Awaitable[object]]
"""Waits until the account may send another event."""

MAX_TRIES = 4
FIRST_PAUSE_S = 1.0
MAX_PAUSE_S = 30.0


class VerificationSender:
    """Sends each event with a transaction id derived from its flow and kind, so that a retry is no second event."""

    def __init__(
        self,
        homeserver: Homeserver,
        language: Language,
        direct_room: DirectRoom,
        wait_for_turn: WaitForTurn | None = None,
    ) -> None:
        self._homeserver = homeserver
        self._language = language
        self._direct_room = direct_room
        self._wait_for_turn = wait_for_turn

    async def send_step(self, flow: FlowId, device_id: str, kind: str, content: Json) -> None:
        """Send a step. Raises TransientFailure after several tries, RequestRefused and LoggedOut at once."""
        wrapped, tx_id = flow.wrap_content(content), _tx_id(flow, kind)
        if flow.room_id:
            await self._send_to_room(flow.room_id, PREFIX + kind, wrapped, tx_id)
            return
        path = f"/v3/sendToDevice/{PREFIX}{kind}/{tx_id}"
        body = {"messages": {flow.user_id: {device_id: wrapped}}}
        await _with_retries(lambda: self._homeserver.call_api("PUT", path, body))

    async def send_comparison(self, flow: FlowId, sas: ShortAuthString) -> None:
        """Show the string to compare in the log, and in a room with the user if there is one.

        A failure to post it in the room is only logged. Raises LoggedOut.
        """
        numbers = " ".join(str(number) for number in sas.decimals)
        log.info("Verification with %s: %s; %s", flow.user_id, emoji_names(sas.emoji) or "no emoji", numbers)
        key = "matrix_compare_emoji" if sas.emoji else "matrix_compare_numbers"
        text = localize(key, self._language, emoji=emoji_glyphs(sas.emoji), numbers=numbers)
        await self._post_notice(flow, text)

    async def send_declined(self, flow: FlowId) -> bool:
        """Say in a room with the user, if there is one, that admins alone verify Hearth; whether it was said.

        A failure to post it is only logged. Raises LoggedOut.
        """
        return await self._post_notice(flow, localize("matrix_verified_by_admins_only", self._language))

    async def _post_notice(self, flow: FlowId, text: str) -> bool:
        room_id = flow.room_id or self._direct_room(flow.user_id)
        if not room_id:
            return False
        content = {"msgtype": "m.notice", "body": text, "m.mentions": {}}
        try:
            await self._send_to_room(room_id, "m.room.message", content, _tx_id(flow, "notice"))
        except (TransientFailure, RequestRefused) as error:
            log.warning("Could not post a sentence about a verification in the room: %s", error)
            return False
        return True

    async def _send_to_room(self, room_id: str, kind: str, content: Mapping[str, Any], tx_id: str) -> None:
        if self._wait_for_turn is not None:
            await self._wait_for_turn()
        await _with_retries(lambda: self._homeserver.send(room_id, kind, content, tx_id))


async def _with_retries(request: Callable[[], Awaitable[object]]) -> None:
    pause_s = FIRST_PAUSE_S
    for _ in range(MAX_TRIES - 1):
        try:
            await request()
            return
        except RateLimited as error:
            await asyncio.sleep(min(MAX_PAUSE_S, max(pause_s, error.retry_after_s)))
        except TransientFailure:
            await asyncio.sleep(pause_s)
        pause_s *= 2
    await request()


def _tx_id(flow: FlowId, kind: str) -> str:
    joined = "\0".join((flow.user_id, flow.room_id, flow.transaction_id, kind))
    return f"v{sha256(joined.encode('utf-8', 'surrogatepass')).hexdigest()[:40]}"
