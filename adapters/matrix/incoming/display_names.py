"""Display names of people in a room, without characters that would mislead a reader."""

import re
from collections import Counter
from functools import cached_property

from adapters.matrix.events import Room

NAME_CHARACTERS = 80
"""Longest name in a prompt."""

INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e0fff]"
)
"""Characters that are invisible or change the direction of text, so that only a model would read them. Joiners stay:
scripts and emoji need them.
"""


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
        return f"{name[: NAME_CHARACTERS // 2]} ({user_id})"

    def known_name(self, user_id: str) -> str:
        """A user's name; empty for users unknown to the room."""
        return self.display_name(user_id) if self._room.display_names.get(user_id) else ""

    @cached_property
    def _name_counts(self) -> Counter[str]:
        return Counter(clean_name(name).casefold() for name in self._room.display_names.values())


def clean_name(name: str) -> str:
    """A name in one line. In prompts names come before messages, as in `Name: words`: a colon in a name could fake
    another speaker.
    """
    return " ".join(INVISIBLE.sub("", name).replace(":", " ").split())[:NAME_CHARACTERS].strip()
