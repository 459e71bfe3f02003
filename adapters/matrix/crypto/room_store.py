"""All rooms that we are in, kept up to date by what syncs tell, and which of them are encrypted, kept for ever."""

from collections.abc import Iterator

from adapters.matrix.api import parsing
from adapters.matrix.api.parsing import items, mapping
from adapters.matrix.crypto.database import KeyStore
from adapters.matrix.crypto.room_state import KnownRoom
from adapters.matrix.events import Json, Room


class Roster:
    """The rooms. `told`: a sync has told of all of them, not only of what has changed."""

    def __init__(self, store: KeyStore) -> None:
        self.told = False
        self._store = store
        self._rooms: dict[str, KnownRoom] = {}
        self._encrypted: set[str] = store.load_encrypted_rooms()

    def get(self, room_id: str) -> KnownRoom | None:
        """A room, if we are in it."""
        return self._rooms.get(room_id)

    def view(self, room_id: str) -> Room | None:
        """The same for everything above."""
        known = self._rooms.get(room_id)
        return known.view() if known else None

    def take(self, answer: Json) -> set[str]:
        """Take in the answer to a sync; the rooms that we are no longer in."""
        rooms = mapping(answer.get("rooms"))
        for room_id, told in mapping(rooms.get("join")).items():
            self._take_room(room_id, mapping(told))
        left = set(mapping(rooms.get("leave")))
        for room_id in left:
            self._rooms.pop(room_id, None)
        self.told = True
        self._keep_encrypted()
        return left

    def _take_room(self, room_id: str, told: Json) -> None:
        room = self._rooms.setdefault(room_id, KnownRoom(room_id, encrypted=room_id in self._encrypted))
        if mapping(told.get("timeline")).get("limited") is True:
            # Who came and went meanwhile is told of those alone who spoke.
            room.complete = False
            room.changes += 1
        for raw in _events(told):
            if event := parsing.event(raw, room_id):
                room.apply(event)
        room.summarise(told.get("summary"))

    def _keep_encrypted(self) -> None:
        """Remember which rooms are encrypted, whatever the server says later."""
        new = {room_id for room_id, room in self._rooms.items() if room.encrypted} - self._encrypted
        if new:
            self._store.save_encrypted_rooms(new)
            self._encrypted |= new


def _events(told: Json) -> Iterator[object]:
    for part in ("state", "timeline"):
        yield from items(mapping(told.get(part)).get("events"))
