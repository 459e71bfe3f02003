"""The rooms we are in as the server's state tells them: who is there, who may do what, and whether it is encrypted."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from adapters.matrix.api.parsing import mapping, text, whole
from adapters.matrix.events import Event, Json, Room

STATE_TYPES = (
    "m.room.canonical_alias",
    "m.room.create",
    "m.room.encryption",
    "m.room.history_visibility",
    "m.room.member",
    "m.room.name",
    "m.room.power_levels",
)
"""The state that is read here, and asked for in a sync."""

INSIDE = ("join", "invite")
ROTATION_MESSAGES = 100
ROTATION_S = 7 * 24 * 3600.0
"""When the key of an encrypted room is renewed where the room does not say (`m.room.encryption`)."""
OLD_VERSIONS = frozenset(str(number) for number in range(1, 12))
"""Room versions in which creators are like anybody else; from 12 on they stand above all power levels."""
ABOVE_ALL = 2**53 - 1


@dataclass
class KnownRoom:
    """A room, kept up to date by `apply`. `users` holds who is joined or invited; `complete`: it holds all of them.

    `changes` counts what was told of members.
    """

    room_id: str
    encrypted: bool = False
    complete: bool = False
    changes: int = 0
    users: dict[str, str] = field(default_factory=dict)
    rotation_messages: int = ROTATION_MESSAGES
    rotation_s: float = ROTATION_S
    _counts: dict[str, int] = field(default_factory=dict)
    _names: dict[str, str] = field(default_factory=dict)
    _name: str = ""
    _alias: str = ""
    _visibility: str = "shared"
    _version: str = "1"
    _creators: tuple[str, ...] = ()
    _powers: Json | None = None

    def apply(self, event: Event) -> None:
        """Take in an event, if it is state."""
        if event.state_key is None:
            return
        take = TAKERS.get(event.type)
        if take is not None and (event.state_key == "" or event.type == "m.room.member"):
            take(self, event)

    def summarise(self, summary: object) -> None:
        """Take in a sync's summary of the room; what it leaves out has not changed."""
        for membership, name in zip(INSIDE, ("m.joined_member_count", "m.invited_member_count"), strict=True):
            count = whole(mapping(summary).get(name))
            if count is not None:
                self._counts[membership] = count

    def gather(self, members: Iterable[Event]) -> None:
        """Take in everybody who is in the room."""
        self.users = {}
        for event in members:
            self.apply(event)
        self.complete = True

    def readers(self) -> set[str]:
        """Who may read what is said now: the invited too, except where the history begins with joining."""
        return {user for user, how in self.users.items() if how == "join" or self._visibility != "joined"}

    def view(self) -> Room:
        """The room for everything above."""
        powers, default_power = self._levels()
        return Room(
            self.room_id,
            encrypted=self.encrypted,
            members=self._members(),
            name=self._name or self._alias,
            powers=powers,
            default_power=default_power,
            names=dict(self._names),
            open_history=self._visibility == "world_readable",
        )

    def _members(self) -> int | None:
        if self.complete:
            return len(self.users)
        # Servers leave out a count of nobody invited.
        return sum(self._counts.values()) if "join" in self._counts else None

    def _levels(self) -> tuple[dict[str, int], int]:
        if self._powers is None:
            powers = dict.fromkeys(self._creators, 100)
            default = 0
        else:
            levels = mapping(self._powers.get("users"))
            powers = {user: power for user, level in levels.items() if (power := whole(level)) is not None}
            default = whole(self._powers.get("users_default")) or 0
        if self._version not in OLD_VERSIONS:
            powers |= dict.fromkeys(self._creators, ABOVE_ALL)
        return powers, default

    def _take_member(self, event: Event) -> None:
        self.changes += 1
        user = event.state_key or ""
        membership = text(event.content.get("membership"))
        if membership in INSIDE:
            self.users[user] = membership
            self._names[user] = text(event.content.get("displayname"))
        else:
            self.users.pop(user, None)

    def _take_encryption(self, event: Event) -> None:
        # Also with an algorithm that nobody knows, or none: what was encrypted once is never plain again.
        self.encrypted = True
        messages = whole(event.content.get("rotation_period_msgs"))
        period_ms = whole(event.content.get("rotation_period_ms"))
        self.rotation_messages = ROTATION_MESSAGES if messages is None else min(max(messages, 1), 10_000)
        # An hour at least: else everybody who may change the room's state could keep the bot busy with nothing else.
        self.rotation_s = ROTATION_S if period_ms is None else min(max(period_ms / 1000, 3600.0), ROTATION_S)

    def _take_create(self, event: Event) -> None:
        self._version = text(event.content.get("room_version")) or "1"
        more: Any = event.content.get("additional_creators")
        others = tuple(user for user in more if isinstance(user, str)) if isinstance(more, list) else ()
        self._creators = (event.sender, *others)

    def _take_name(self, event: Event) -> None:
        self._name = text(event.content.get("name"))

    def _take_alias(self, event: Event) -> None:
        self._alias = text(event.content.get("alias"))

    def _take_visibility(self, event: Event) -> None:
        self._visibility = text(event.content.get("history_visibility")) or "shared"

    def _take_powers(self, event: Event) -> None:
        self._powers = event.content


TAKERS = {
    "m.room.canonical_alias": KnownRoom._take_alias,
    "m.room.create": KnownRoom._take_create,
    "m.room.encryption": KnownRoom._take_encryption,
    "m.room.history_visibility": KnownRoom._take_visibility,
    "m.room.member": KnownRoom._take_member,
    "m.room.name": KnownRoom._take_name,
    "m.room.power_levels": KnownRoom._take_powers,
}
