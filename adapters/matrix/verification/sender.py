"""Sends what a verification has to say: steps to a device or into a room, and what is to be compared."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from hashlib import sha256
from typing import Any

from adapters.delivery.errors import RateLimited, TransientFailure
from adapters.matrix.events import Json
from adapters.matrix.homeserver import Homeserver, RequestRefused
from adapters.matrix.verification.emoji import emoji_glyphs, emoji_names
from adapters.matrix.verification.messages import PREFIX, FlowId
from adapters.matrix.verification.sas import ShortAuthString
from bot.core.texts import Language, localize

log = logging.getLogger(__name__)

DirectRoom = Callable[[str], str]
"""The room of our direct chat with a user, empty when there is none."""
WaitForTurn = Callable[[], Awaitable[object]]
"""Waits until the account may send another event."""

TRIES = 4
FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 30.0


class VerificationSender:
    """Every request has an id of its own, derived from what it says, so that a second try is no second event."""

    def __init__(
        self, wire: Homeserver, language: Language, direct_room: DirectRoom, turn: WaitForTurn | None = None
    ) -> None:
        self._homeserver = wire
        self._language = language
        self._direct_room = direct_room
        self._wait_for_turn = turn

    async def send_step(self, place: FlowId, device_id: str, kind: str, content: Json) -> None:
        """Send a step. Raises Unsettled after several tries, Refused and LoggedOut at once."""
        whole, tx_id = place.wrap_content(content), _tx_id(place, kind)
        if place.room_id:
            await self._send_to_room(place.room_id, PREFIX + kind, whole, tx_id)
            return
        path = f"/v3/sendToDevice/{PREFIX}{kind}/{tx_id}"
        body = {"messages": {place.user_id: {device_id: whole}}}
        await _with_retries(lambda: self._homeserver.call_api("PUT", path, body))

    async def send_comparison(self, place: FlowId, shown: ShortAuthString) -> None:
        """Show what is to be compared: in the log, and in a room with the person where there is one.

        That it does not get into the room is logged and no more. Raises LoggedOut.
        """
        numbers = " ".join(str(number) for number in shown.decimals)
        log.info("Verification with %s: %s; %s", place.user_id, emoji_names(shown.emoji) or "no emoji", numbers)
        room_id = place.room_id or self._direct_room(place.user_id)
        if not room_id:
            return
        key = "matrix_compare_emoji" if shown.emoji else "matrix_compare_numbers"
        text = localize(key, self._language, emoji=emoji_glyphs(shown.emoji), numbers=numbers)
        content = {"msgtype": "m.notice", "body": text, "m.mentions": {}}
        try:
            await self._send_to_room(room_id, "m.room.message", content, _tx_id(place, "notice"))
        except (TransientFailure, RequestRefused) as error:
            log.warning("What is to be compared could not be written into the room: %s", error)

    async def _send_to_room(self, room_id: str, kind: str, content: Mapping[str, Any], tx_id: str) -> None:
        if self._wait_for_turn is not None:
            await self._wait_for_turn()
        await _with_retries(lambda: self._homeserver.send(room_id, kind, content, tx_id))


async def _with_retries(request: Callable[[], Awaitable[object]]) -> None:
    wait_s = FIRST_WAIT_S
    for _ in range(TRIES - 1):
        try:
            await request()
            return
        except RateLimited as error:
            await asyncio.sleep(min(LONGEST_WAIT_S, max(wait_s, error.retry_after_s)))
        except TransientFailure:
            await asyncio.sleep(wait_s)
        wait_s *= 2
    await request()


def _tx_id(place: FlowId, kind: str) -> str:
    whole = "\0".join((place.user_id, place.room_id, place.transaction_id, kind))
    return f"v{sha256(whole.encode('utf-8', 'surrogatepass')).hexdigest()[:40]}"
