"""Finds the direct chat with a user, for sentences that concern nobody else."""

from adapters.matrix.homeserver import Homeserver
from adapters.matrix.sync.sync_state import SyncState


def find_direct_room(homeserver: Homeserver, sync_state: SyncState, user_id: str) -> str:
    """The room of our direct chat with a user, the most recently active one; empty when there is none."""
    for room_id in reversed(sync_state.saved.seen):
        room = homeserver.get_room(room_id)
        if room is not None and room.is_direct and user_id in room.members:
            return room_id
    return ""
