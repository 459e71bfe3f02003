"""What a homeserver tells, as plain values; nothing in an event's content is to be trusted."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Event:
    """An event of a room, decrypted where it was encrypted.

    `sent_ms` is the sender's server's clock, `age_ms` how long ago our own server says it was sent; neither decides
    what is new. `state_key` is None for what is no state. `session_id` is set when it could not be decrypted: `type`
    is then `m.room.encrypted`.
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
    """A message to this device, decrypted where it was encrypted (`encrypted` says that it was)."""

    sender: str
    type: str
    content: Json
    encrypted: bool = False


@dataclass(frozen=True, slots=True)
class Timeline:
    """What happened in a room, oldest first. `limited`: more happened before it, to be paged back from `prev_batch`."""

    room_id: str
    events: tuple[Event, ...]
    limited: bool = False
    prev_batch: str = ""


@dataclass(frozen=True, slots=True)
class Invitation:
    """An invitation to a room; `direct` when the inviter means it as a direct chat."""

    room_id: str
    inviter: str
    direct: bool = False


@dataclass(frozen=True, slots=True)
class Departure:
    """A room that we are no longer in, and who saw to it (ourselves, when we left)."""

    room_id: str
    sender: str


@dataclass(frozen=True, slots=True)
class SyncResponse:
    """One answer to a sync; `token` is where the next one goes on."""

    token: str
    joined: tuple[Timeline, ...] = ()
    invited: tuple[Invitation, ...] = ()
    left: tuple[Departure, ...] = ()
    to_device: tuple[ToDevice, ...] = ()


@dataclass(frozen=True, slots=True)
class EventPage:
    """Events of a room in the order asked for; `end` is where the next page goes on, empty at the room's end."""

    events: tuple[Event, ...]
    end: str = ""


@dataclass(frozen=True, slots=True)
class Room:
    """A room we are in, as known now. `member_count`: joined and invited, ourselves too; None while that is not known.

    `power_levels`: power level by user, `default_power_level` for everybody else. `display_names`: display names by
    user, as far as known.
    `world_readable`: people who never were in the room may read it.
    """

    room_id: str
    encrypted: bool = False
    member_count: int | None = None
    name: str = ""
    power_levels: Mapping[str, int] = field(default_factory=dict)
    default_power_level: int = 0
    display_names: Mapping[str, str] = field(default_factory=dict)
    world_readable: bool = False

    @property
    def is_direct(self) -> bool:
        """Whether exactly one other person is in it or invited to it."""
        return self.member_count == 2

    def power_level(self, user_id: str) -> int:
        """A user's power level."""
        return self.power_levels.get(user_id, self.default_power_level)
