"""Sends what a verification has to say: steps to a device or into a room, and what is to be compared."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from hashlib import sha256
from typing import Any

from adapters.matrix.events import Json
from adapters.matrix.homeserver import Limited, Refused, Unsettled, Wire
from adapters.matrix.verification.emoji import glyphs, named
from adapters.matrix.verification.messages import PREFIX, Place
from adapters.matrix.verification.sas import Shown
from bot.core.texts import Language, say

log = logging.getLogger(__name__)

DirectRoom = Callable[[str], str]
"""The room of our direct chat with a user, empty when there is none."""
Turn = Callable[[], Awaitable[object]]
"""Waits until the account may send another event."""

TRIES = 4
FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 30.0


class Post:
    """Every request has an id of its own, derived from what it says, so that a second try is no second event."""

    def __init__(self, wire: Wire, language: Language, direct_room: DirectRoom, turn: Turn | None = None) -> None:
        self._wire = wire
        self._language = language
        self._direct_room = direct_room
        self._turn = turn

    async def step(self, place: Place, device_id: str, kind: str, content: Json) -> None:
        """Send a step. Raises Unsettled after several tries, Refused and LoggedOut at once."""
        whole, tx_id = place.wrapped(content), _tx_id(place, kind)
        if place.room_id:
            await self._into(place.room_id, PREFIX + kind, whole, tx_id)
            return
        path = f"/v3/sendToDevice/{PREFIX}{kind}/{tx_id}"
        body = {"messages": {place.user_id: {device_id: whole}}}
        await _tried(lambda: self._wire.call("PUT", path, body))

    async def show(self, place: Place, shown: Shown) -> None:
        """Show what is to be compared: in the log, and in a room with the person where there is one.

        That it does not get into the room is logged and no more. Raises LoggedOut.
        """
        numbers = " ".join(str(number) for number in shown.decimals)
        log.info("Verification with %s: %s; %s", place.user_id, named(shown.emoji) or "no emoji", numbers)
        room_id = place.room_id or self._direct_room(place.user_id)
        if not room_id:
            return
        key = "matrix_compare_emoji" if shown.emoji else "matrix_compare_numbers"
        text = say(key, self._language, emoji=glyphs(shown.emoji), numbers=numbers)
        content = {"msgtype": "m.notice", "body": text, "m.mentions": {}}
        try:
            await self._into(room_id, "m.room.message", content, _tx_id(place, "notice"))
        except (Unsettled, Refused) as error:
            log.warning("What is to be compared could not be written into the room: %s", error)

    async def _into(self, room_id: str, kind: str, content: Mapping[str, Any], tx_id: str) -> None:
        if self._turn is not None:
            await self._turn()
        await _tried(lambda: self._wire.send(room_id, kind, content, tx_id))


async def _tried(request: Callable[[], Awaitable[object]]) -> None:
    wait_s = FIRST_WAIT_S
    for _ in range(TRIES - 1):
        try:
            await request()
            return
        except Limited as error:
            await asyncio.sleep(min(LONGEST_WAIT_S, max(wait_s, error.retry_after_s)))
        except Unsettled:
            await asyncio.sleep(wait_s)
        wait_s *= 2
    await request()


def _tx_id(place: Place, kind: str) -> str:
    whole = "\0".join((place.user_id, place.room_id, place.transaction, kind))
    return f"v{sha256(whole.encode('utf-8', 'surrogatepass')).hexdigest()[:40]}"
