"""State of a joined room from its state events: members, power levels, encryption, visibility, admission."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from adapters.matrix.api.parsing import as_dict, as_int, as_text
from adapters.matrix.events import Event, Json, Room

STATE_TYPES = (
    "m.room.canonical_alias",
    "m.room.create",
    "m.room.encryption",
    "m.room.history_visibility",
    "m.room.join_rules",
    "m.room.member",
    "m.room.name",
    "m.room.power_levels",
)
"""State event types read here and requested in a sync."""

PRESENT_MEMBERSHIPS = ("join", "invite")
ROTATION_MESSAGES = 100
ROTATION_S = 7 * 24 * 3600.0
"""Default rotation of an encrypted room's key, if `m.room.encryption` sets none."""
NO_CREATOR_POWER_VERSIONS = frozenset(str(number) for number in range(1, 12))
"""Room versions in which creators have no special power; from 12 on they are above all power levels."""
CREATOR_POWER_LEVEL = 2**53 - 1


@dataclass
class RoomState:
    """A room, kept up to date by `apply_event`. `memberships`: the joined and invited users; `members_complete`: it
    holds all of them.

    `member_changes` counts the member events and gaps seen.
    """

    room_id: str
    encrypted: bool = False
    members_complete: bool = False
    member_changes: int = 0
    memberships: dict[str, str] = field(default_factory=dict)
    rotation_messages: int = ROTATION_MESSAGES
    rotation_s: float = ROTATION_S
    _counts: dict[str, int] = field(default_factory=dict)
    _names: dict[str, str] = field(default_factory=dict)
    _name: str = ""
    _alias: str = ""
    _visibility: str = "shared"
    _join_rule: str = ""
    _kind: str = ""
    _version: str = "1"
    _creators: tuple[str, ...] = ()
    _powers: Json | None = None

    def apply_event(self, event: Event) -> None:
        """Apply a state event; ignores other events."""
        if event.state_key is None:
            return
        handler = STATE_HANDLERS.get(event.type)
        if handler is not None and (event.state_key == "" or event.type == "m.room.member"):
            handler(self, event)

    def apply_summary(self, summary: object) -> None:
        """Apply a sync's summary of the room; missing fields have not changed."""
        for membership, name in zip(
            PRESENT_MEMBERSHIPS, ("m.joined_member_count", "m.invited_member_count"), strict=True
        ):
            count = as_int(as_dict(summary).get(name))
            if count is not None:
                self._counts[membership] = count

    def set_members(self, members: Iterable[Event]) -> None:
        """Replace the members by the complete list."""
        self.memberships = {}
        for event in members:
            self.apply_event(event)
        self.members_complete = True

    def readers(self) -> set[str]:
        """The users who may read a new message: invited users too, unless history starts at the join."""
        if self._visibility != "joined":
            return set(self.memberships)
        return {user for user, membership in self.memberships.items() if membership == "join"}

    def to_room(self) -> Room:
        """The room as a value of the port."""
        powers, default_power = self._power_levels()
        return Room(
            self.room_id,
            encrypted=self.encrypted,
            member_count=self._member_count(),
            name=self._name or self._alias,
            power_levels=powers,
            default_power_level=default_power,
            members=frozenset(self.memberships),
            display_names=dict(self._names),
            world_readable=self._visibility == "world_readable",
            members_complete=self.members_complete,
            join_rule=self._join_rule,
            is_space=self._kind == "m.space",
            writing_power=self._writing_power(),
        )

    def _member_count(self) -> int | None:
        if self.members_complete:
            return len(self.memberships)
        # Servers omit a count of zero invited users.
        return sum(self._counts.values()) if "join" in self._counts else None

    def _power_levels(self) -> tuple[dict[str, int], int]:
        if self._powers is None:
            powers = dict.fromkeys(self._creators, 100)
            default = 0
        else:
            levels = as_dict(self._powers.get("users"))
            powers = {user: power for user, level in levels.items() if (power := as_int(level)) is not None}
            default = as_int(self._powers.get("users_default")) or 0
        if self._version not in NO_CREATOR_POWER_VERSIONS:
            powers |= dict.fromkeys(self._creators, CREATOR_POWER_LEVEL)
        return powers, default

    def _writing_power(self) -> int:
        levels = self._powers or {}
        kind = "m.room.encrypted" if self.encrypted else "m.room.message"
        power = as_int(as_dict(levels.get("events")).get(kind))
        return (as_int(levels.get("events_default")) or 0) if power is None else power

    def _apply_member(self, event: Event) -> None:
        self.member_changes += 1
        user = event.state_key or ""
        membership = as_text(event.content.get("membership"))
        if membership in PRESENT_MEMBERSHIPS:
            self.memberships[user] = membership
            self._names[user] = as_text(event.content.get("displayname"))
        else:
            self.memberships.pop(user, None)

    def _apply_encryption(self, event: Event) -> None:
        # Also with an unknown algorithm or none: an encrypted room never becomes unencrypted again.
        self.encrypted = True
        messages = as_int(event.content.get("rotation_period_msgs"))
        period_ms = as_int(event.content.get("rotation_period_ms"))
        self.rotation_messages = ROTATION_MESSAGES if messages is None else min(max(messages, 1), 10_000)
        # At least an hour: otherwise any user who may change the room's state could keep the bot busy with rotations.
        self.rotation_s = ROTATION_S if period_ms is None else min(max(period_ms / 1000, 3600.0), ROTATION_S)

    def _apply_create(self, event: Event) -> None:
        self._version = as_text(event.content.get("room_version")) or "1"
        additional: Any = event.content.get("additional_creators")
        others = tuple(user for user in additional if isinstance(user, str)) if isinstance(additional, list) else ()
        self._creators = (event.sender, *others)
        self._kind = as_text(event.content.get("type"))

    def _apply_name(self, event: Event) -> None:
        self._name = as_text(event.content.get("name"))

    def _apply_alias(self, event: Event) -> None:
        self._alias = as_text(event.content.get("alias"))

    def _apply_visibility(self, event: Event) -> None:
        self._visibility = as_text(event.content.get("history_visibility")) or "shared"

    def _apply_join_rules(self, event: Event) -> None:
        self._join_rule = as_text(event.content.get("join_rule"))

    def _apply_power_levels(self, event: Event) -> None:
        self._powers = event.content


STATE_HANDLERS = {
    "m.room.canonical_alias": RoomState._apply_alias,
    "m.room.create": RoomState._apply_create,
    "m.room.encryption": RoomState._apply_encryption,
    "m.room.history_visibility": RoomState._apply_visibility,
    "m.room.join_rules": RoomState._apply_join_rules,
    "m.room.member": RoomState._apply_member,
    "m.room.name": RoomState._apply_name,
    "m.room.power_levels": RoomState._apply_power_levels,
}
