"""Store of all joined rooms, updated by syncs, with a permanent record of which rooms are encrypted."""

from collections.abc import Iterator

from adapters.matrix.api import parsing
from adapters.matrix.api.parsing import as_dict, as_list
from adapters.matrix.crypto.database import KeyDatabase
from adapters.matrix.crypto.room_state import RoomState
from adapters.matrix.events import Json, Room


class RoomStore:
    """The rooms by id. `is_complete`: a sync has reported all of them, not only changes."""

    def __init__(self, store: KeyDatabase) -> None:
        self.is_complete = False
        self._store = store
        self._rooms: dict[str, RoomState] = {}
        self._encrypted: set[str] = store.load_encrypted_rooms()

    def get_state(self, room_id: str) -> RoomState | None:
        """The state of a room; None if we are not in it."""
        return self._rooms.get(room_id)

    def get_room(self, room_id: str) -> Room | None:
        """The same as a value of the port."""
        known = self._rooms.get(room_id)
        return known.to_room() if known else None

    def apply_sync(self, response: Json) -> set[str]:
        """Apply the response to a sync; returns the ids of the rooms that we are no longer in."""
        rooms = as_dict(response.get("rooms"))
        for room_id, raw in as_dict(rooms.get("join")).items():
            self._apply_room(room_id, as_dict(raw))
        left = set(as_dict(rooms.get("leave")))
        for room_id in left:
            self._rooms.pop(room_id, None)
        self.is_complete = True
        self._save_encrypted()
        return left

    def _apply_room(self, room_id: str, joined: Json) -> None:
        room = self._rooms.setdefault(room_id, RoomState(room_id, encrypted=room_id in self._encrypted))
        if as_dict(joined.get("timeline")).get("limited") is True:
            # Lazy loading omits members who came or went in the gap without sending a message.
            room.members_complete = False
            room.member_changes += 1
        for raw in _events(joined):
            if event := parsing.parse_event(raw, room_id):
                room.apply_event(event)
        room.apply_summary(joined.get("summary"))

    def _save_encrypted(self) -> None:
        """Record which rooms are encrypted, so that the server cannot undo it later."""
        new = {room_id for room_id, room in self._rooms.items() if room.encrypted} - self._encrypted
        if new:
            self._store.save_encrypted_rooms(new)
            self._encrypted |= new


def _events(joined: Json) -> Iterator[object]:
    for part in ("state", "timeline"):
        yield from as_list(as_dict(joined.get(part)).get("events"))
