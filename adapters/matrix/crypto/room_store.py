"""All rooms that we are in, kept up to date by what syncs tell, and which of them are encrypted, kept for ever."""

from collections.abc import Iterator

from adapters.matrix.api import parsing
from adapters.matrix.api.parsing import as_dict, as_list
from adapters.matrix.crypto.database import KeyDatabase
from adapters.matrix.crypto.room_state import RoomState
from adapters.matrix.events import Json, Room


class RoomStore:
    """The rooms. `is_complete`: a sync has told of all of them, not only of what has changed."""

    def __init__(self, store: KeyDatabase) -> None:
        self.is_complete = False
        self._store = store
        self._rooms: dict[str, RoomState] = {}
        self._encrypted: set[str] = store.load_encrypted_rooms()

    def get_state(self, room_id: str) -> RoomState | None:
        """A room, if we are in it."""
        return self._rooms.get(room_id)

    def get_room(self, room_id: str) -> Room | None:
        """The same for everything above."""
        known = self._rooms.get(room_id)
        return known.to_room() if known else None

    def apply_sync(self, answer: Json) -> set[str]:
        """Take in the answer to a sync; the rooms that we are no longer in."""
        rooms = as_dict(answer.get("rooms"))
        for room_id, told in as_dict(rooms.get("join")).items():
            self._apply_room(room_id, as_dict(told))
        left = set(as_dict(rooms.get("leave")))
        for room_id in left:
            self._rooms.pop(room_id, None)
        self.is_complete = True
        self._save_encrypted()
        return left

    def _apply_room(self, room_id: str, told: Json) -> None:
        room = self._rooms.setdefault(room_id, RoomState(room_id, encrypted=room_id in self._encrypted))
        if as_dict(told.get("timeline")).get("limited") is True:
            # Who came and went meanwhile is told of those alone who spoke.
            room.members_complete = False
            room.member_changes += 1
        for raw in _events(told):
            if event := parsing.parse_event(raw, room_id):
                room.apply_event(event)
        room.apply_summary(told.get("summary"))

    def _save_encrypted(self) -> None:
        """Remember which rooms are encrypted, whatever the server says later."""
        new = {room_id for room_id, room in self._rooms.items() if room.encrypted} - self._encrypted
        if new:
            self._store.save_encrypted_rooms(new)
            self._encrypted |= new


def _events(told: Json) -> Iterator[object]:
    for part in ("state", "timeline"):
        yield from as_list(as_dict(told.get(part)).get("events"))
