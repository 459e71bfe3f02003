"""Complete member lists of small rooms: whether a room is a direct chat, or deserted, is not left to a sync's counts.

After a join over federation Synapse has a room's state without its members for a while, and a sync counts one member
(https://github.com/element-hq/synapse/issues/19865).
"""

import asyncio
import logging

from adapters.delivery.errors import TransientFailure
from adapters.matrix.events import Room
from adapters.matrix.homeserver import Homeserver, RequestRefused
from adapters.matrix.retry import retry
from adapters.storage.bounded_dict import put_bounded

log = logging.getLogger(__name__)

LOADED_WITHIN_S = 120.0
"""Time limit for a list; the room's newer events wait for it."""

RETRIED_AFTER_S = 600.0
"""How long the events of a room go without its list after the homeserver failed to give it."""

SMALL_COUNT = 2
"""Only where a sync counts no more members than this does the count decide anything."""

ROOMS_KEPT = 1000


class MemberLists:
    """The member lists of the rooms of one account."""

    def __init__(self, homeserver: Homeserver) -> None:
        self._homeserver = homeserver
        self._failed_at: dict[str, float] = {}

    async def confirm(self, room_id: str) -> Room | None:
        """The room, with all of its members if it seems to be small and the homeserver gives them in time; None if we
        are not in it. Raises LoggedOut.
        """
        room = self._homeserver.get_room(room_id)
        if room is None or not _needs_list(room) or self._has_failed(room_id):
            return room
        try:
            async with asyncio.timeout(LOADED_WITHIN_S):
                await retry(lambda: self._homeserver.load_members(room_id), tries=None)
            self._failed_at.pop(room_id, None)
        except (TimeoutError, TransientFailure, RequestRefused) as error:
            log.warning("Could not load the members of %s: %s", room_id, error or "it took too long")
            put_bounded(self._failed_at, room_id, asyncio.get_running_loop().time(), ROOMS_KEPT)
        return self._homeserver.get_room(room_id)

    def _has_failed(self, room_id: str) -> bool:
        at = self._failed_at.get(room_id)
        return at is not None and asyncio.get_running_loop().time() - at < RETRIED_AFTER_S


def _needs_list(room: Room) -> bool:
    return not room.members_complete and (room.member_count is None or room.member_count <= SMALL_COUNT)
