"""Display names of people in a room, without characters that would mislead a reader."""

from collections import Counter
from functools import cached_property

from adapters.matrix.events import Room
from bot.core.foreign_text import MAX_NAME_CHARACTERS, clean_name


class DisplayNames:
    """The names in a room, as known now."""

    def __init__(self, room: Room) -> None:
        self._room = room

    def display_name(self, user_id: str) -> str:
        """A user's name; with the id where another user has the same name, as clients show it. Never empty."""
        name = clean_name(self._room.display_names.get(user_id, ""))
        if not name:
            return clean_name(user_id.removeprefix("@").partition(":")[0]) or "somebody"
        if self._name_counts[name.casefold()] < 2:
            return name
        return f"{name[: MAX_NAME_CHARACTERS // 2]} ({user_id})"

    def known_name(self, user_id: str) -> str:
        """A user's name; empty for users unknown to the room."""
        return self.display_name(user_id) if self._room.display_names.get(user_id) else ""

    @cached_property
    def _name_counts(self) -> Counter[str]:
        return Counter(clean_name(name).casefold() for name in self._room.display_names.values())
