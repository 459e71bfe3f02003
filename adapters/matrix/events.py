"""Events, rooms and sync responses of a homeserver as plain values; event contents are untrusted."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Json = Mapping[str, Any]

INVITATION_RULES = frozenset({"invite", "knock"})
"""Join rules under which a member decides about each new one; others let people in by themselves."""


@dataclass(frozen=True, slots=True)
class Event:
    """An event of a room, decrypted if it was encrypted.

    `sent_ms`: time by the clock of the sender's server; `age_ms`: age by our own server; neither decides what is new.
    `state_key` is None unless it is a state event. `session_id` is set when it could not be decrypted: `type` is then
    `m.room.encrypted`.
    """

    room_id: str
    event_id: str
    sender: str
    type: str
    content: Json
    sent_ms: int = 0
    age_ms: int | None = None
    state_key: str | None = None
    redacts: str = ""
    encrypted: bool = False
    session_id: str = ""


@dataclass(frozen=True, slots=True)
class ToDevice:
    """A to-device message, decrypted if it was encrypted (`encrypted`)."""

    sender: str
    type: str
    content: Json
    encrypted: bool = False


@dataclass(frozen=True, slots=True)
class Timeline:
    """New events of a room, oldest first. `limited`: earlier ones were omitted, to be fetched from `prev_batch`."""

    room_id: str
    events: tuple[Event, ...]
    limited: bool = False
    prev_batch: str = ""


@dataclass(frozen=True, slots=True)
class Invitation:
    """An invitation to a room; `direct`: the inviter marked it as a direct chat; `space`: it is a group of rooms."""

    room_id: str
    inviter: str
    direct: bool = False
    space: bool = False


@dataclass(frozen=True, slots=True)
class Departure:
    """A room that we are no longer in; `sender`: the user who removed us, ourselves if we left."""

    room_id: str
    sender: str


@dataclass(frozen=True, slots=True)
class SyncResponse:
    """The response to a sync; `token`: the start of the next one."""

    token: str
    joined: tuple[Timeline, ...] = ()
    invited: tuple[Invitation, ...] = ()
    left: tuple[Departure, ...] = ()
    to_device: tuple[ToDevice, ...] = ()


@dataclass(frozen=True, slots=True)
class EventPage:
    """Events of a room in the requested order; `end`: the token of the next page, empty at the room's end."""

    events: tuple[Event, ...]
    end: str = ""


@dataclass(frozen=True, slots=True)
class Room:
    """A joined room. `member_count`: joined and invited users, ourselves included; None while unknown. Without
    `members_complete` it is the count of a sync, which may be wrong: after a join over federation Synapse counts one.

    `power_levels`: by user id, `default_power_level` for all others; `writing_power` is the level needed for messages.
    `members`: those joined or invited, and `display_names` by user id, as far as known. `world_readable`: people who
    were never in the room may read it. `join_rule` is empty while unknown. `is_space`: it is a group of rooms, where
    nobody writes.
    """

    room_id: str
    encrypted: bool = False
    member_count: int | None = None
    name: str = ""
    power_levels: Mapping[str, int] = field(default_factory=dict)
    default_power_level: int = 0
    members: frozenset[str] = frozenset()
    display_names: Mapping[str, str] = field(default_factory=dict)
    world_readable: bool = False
    members_complete: bool = False
    join_rule: str = ""
    is_space: bool = False
    writing_power: int = 0

    @property
    def is_direct(self) -> bool:
        """Whether exactly one other user is joined or invited, as far as known, and others need an invitation."""
        return self.member_count == 2 and self.join_rule in INVITATION_RULES

    @property
    def is_private(self) -> bool:
        """Whether certainly exactly one other person can read it."""
        return self.is_direct and self.members_complete and not self.world_readable

    def may_write(self, user_id: str) -> bool:
        """Whether a user's power level suffices for messages."""
        return self.power_level(user_id) >= self.writing_power

    def power_level(self, user_id: str) -> int:
        """A user's power level."""
        return self.power_levels.get(user_id, self.default_power_level)
