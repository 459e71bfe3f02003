"""Settings of the Matrix adapter."""

import re
from collections.abc import Iterable, Iterator, Mapping

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr


class AccessList(BaseModel):
    """Who comes in: block lists win; an empty allow list lets everybody in. `*` and `?` stand for other characters."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    allow: tuple[str, ...] = Field((), description="Patterns that are let in; empty: all.")
    block: tuple[str, ...] = Field((), description="Patterns that are never let in.")

    def allows(self, name: str) -> bool:
        """Whether a user, server or room of this name comes in."""
        return not matches_any(name, self.block) and (not self.allow or matches_any(name, self.allow))


class RoomSettings(BaseModel):
    """What is different in one room."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    answer_in_thread: bool | None = Field(
        None, description="Answer each question in a thread of its own; none: as above."
    )
    recent_messages: int | None = Field(
        None, ge=0, le=100, description="Messages of the room read with a question; none: as above."
    )


class MatrixSettings(BaseModel):
    """Where and whom Hearth answers on Matrix. The account is set up once by `hearth matrix login`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = Field(False, description="Whether `hearth run` answers on Matrix.")
    direct_messages: bool = Field(True, description="Answer direct messages.")
    users: AccessList = Field(
        default_factory=AccessList, description="People who are answered, such as `@*:example.org`."
    )
    servers: AccessList = Field(default_factory=AccessList, description="Servers whose people are answered.")
    rooms: AccessList = Field(default_factory=AccessList, description="Rooms where Hearth answers, by their ids.")
    bots: tuple[str, ...] = Field((), description="Other bots, which are never answered, as patterns.")
    admin_users: frozenset[str] = Field(frozenset(), description="People who may use the admins' commands.")
    admin_rooms: frozenset[str] = Field(
        frozenset(), description="Rooms in which whoever has `admin_power` may use the admins' commands."
    )
    admin_power: int = Field(100, description="The power level that makes an admin in `admin_rooms`.")
    answer_in_thread: bool = Field(False, description="Answer each question in a thread of its own.")
    recent_messages: int = Field(
        0, ge=0, le=100, description="Messages of the room read with a question and forgotten after it."
    )
    room_overrides: Mapping[str, RoomSettings] = Field(
        default_factory=dict, description="What is different in single rooms, by their id."
    )
    reply_chain_limit: int = Field(4, ge=0, le=20, description="Messages read upwards when a question is a reply.")
    attachment_limit: int = Field(4, ge=0, le=10, description="Files read with a question.")
    attachment_bytes: int = Field(10_000_000, ge=1, description="Larger files are not read, in bytes.")
    catch_up_max_age_s: float = Field(
        21_600, ge=0, description="Missed messages are answered up to this age, in seconds."
    )
    catch_up_messages: int = Field(50, ge=0, le=1000, description="Missed messages looked at in each room.")
    read_timeout_s: float = Field(15, gt=0, description="Longest wait for what a question refers to, in seconds.")
    request_timeout_s: float = Field(30, gt=0, description="Longest wait for the homeserver, in seconds.")
    _replaced: Mapping[str, str] = PrivateAttr(default_factory=dict)

    def with_replaced_rooms(self, replaced: Mapping[str, str]) -> "MatrixSettings":
        """The same settings, where a room is as the one that it replaces is configured; `replaced` may still grow.

        Not so for `admin_rooms`: who may replace a room is not always who has all power in it, but has it in the new.
        """
        settings = self.model_copy()
        settings._replaced = replaced
        return settings

    def allows_room(self, room_id: str, is_direct: bool = False) -> bool:
        """Whether a room is one where Hearth answers. A direct chat need not be in the allow list, whoever writes in it
        is the one asked about; blocked it is like any other.
        """
        names = list(self._room_lineage(room_id))
        if any(matches_any(name, self.rooms.block) for name in names):
            return False
        return is_direct or any(self.rooms.allows(name) for name in names)

    def answers_user(self, user_id: str) -> bool:
        """Whether a person is answered: blocked by no list, in one of the allow lists where there are any, and none of
        the other bots. An id names its server, so both lists are about the person.
        """
        users, servers, server = self.users, self.servers, user_id.partition(":")[2]
        if matches_any(user_id, (*users.block, *self.bots)) or matches_any(server, servers.block):
            return False
        lists = users.allow or servers.allow
        return not lists or matches_any(user_id, users.allow) or matches_any(server, servers.allow)

    def answers_in_thread(self, room_id: str) -> bool:
        """Whether questions in a room are answered in threads of their own."""
        own = self._override_of(room_id)
        return self.answer_in_thread if own is None or own.answer_in_thread is None else own.answer_in_thread

    def recent_limit(self, room_id: str) -> int:
        """How many of a room's last messages are read with a question."""
        own = self._override_of(room_id)
        return self.recent_messages if own is None or own.recent_messages is None else own.recent_messages

    def _override_of(self, room_id: str) -> RoomSettings | None:
        return next(
            (self.room_overrides[name] for name in self._room_lineage(room_id) if name in self.room_overrides), None
        )

    def _room_lineage(self, room_id: str) -> Iterator[str]:
        """A room's id, and those of the rooms that it replaces, the latest first."""
        seen: set[str] = set()
        name: str | None = room_id
        while name is not None and name not in seen:
            yield name
            seen.add(name)
            name = self._replaced.get(name)


def matches_any(name: str, patterns: Iterable[str]) -> bool:
    """Whether one of the patterns, in which `*` and `?` stand for other characters, fits a whole name."""
    return any(re.fullmatch(_expression(pattern), name, re.DOTALL | re.IGNORECASE) for pattern in patterns)


def _expression(pattern: str) -> str:
    # Not fnmatch: there, brackets mean something, and names of servers may be IPv6 addresses in brackets.
    return re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
