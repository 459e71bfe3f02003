"""Settings of the Matrix adapter."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated

from pydantic import AfterValidator, Field, PrivateAttr

from adapters.intake.access_list import AccessList, AccessVerdict, can_begin_with, is_allowed, matches_any
from adapters.intake.settings import ChannelSettings, ChatPlatformSettings
from adapters.matrix.ids import SERVER, USER_ID

Patterns = AccessList[str]
_USER = "a user's id, such as @ana:example.org"
_ROOM = "a room's id, such as !kitchen:example.org, which the room's advanced settings show"
_SERVER = "the name of a server, such as example.org"


def _check_user_id(text: str) -> str:
    if not re.fullmatch(USER_ID, text):
        raise ValueError(f"must be {_USER}{_suggest_user(text)}")
    return text


def _check_room_id(text: str) -> str:
    if not text.startswith("!"):
        raise ValueError(f"must be {_ROOM}")
    return text


def _check_user_pattern(text: str) -> str:
    if not can_begin_with(text, "@") or not (":" in text or "*" in text):
        raise ValueError(f"`{text}` matches nobody: write {_USER}, or a pattern for one{_suggest_user(text)}")
    return text


def _check_room_pattern(text: str) -> str:
    if not can_begin_with(text, "!"):
        raise ValueError(f"`{text}` matches no room: write {_ROOM}, or a pattern for one")
    return text


def _check_server_pattern(text: str) -> str:
    if not re.fullmatch(SERVER, text):
        raise ValueError(f"`{text}` matches no server: write {_SERVER}, or a pattern for one")
    return text


def _suggest_user(text: str) -> str:
    """The nearest right form of a mistyped user id, as the end of a sentence."""
    bare = re.sub(r"^(?:matrix:)?(?:user:)?(?=[@\w])", "", text)
    near = next((each for each in (bare, f"@{bare}") if re.fullmatch(USER_ID, each)), None)
    return f"; did you mean {near}?" if near and near != text else ""


def _check_entries(check: Callable[[str], str]) -> AfterValidator:
    """A validator of both lists of an access list."""

    def check_both(patterns: Patterns) -> Patterns:
        for pattern in (*patterns.allow, *patterns.block):
            check(pattern)
        return patterns

    return AfterValidator(check_both)


UserId = Annotated[str, AfterValidator(_check_user_id)]
RoomId = Annotated[str, AfterValidator(_check_room_id)]
UserPattern = Annotated[str, AfterValidator(_check_user_pattern)]
UserPatterns = Annotated[Patterns, _check_entries(_check_user_pattern)]
RoomPatterns = Annotated[Patterns, _check_entries(_check_room_pattern)]
ServerPatterns = Annotated[Patterns, _check_entries(_check_server_pattern)]


class MatrixSettings(ChatPlatformSettings[str]):
    """Where and whom Hearth answers on Matrix. The account is set up once by `hearth matrix login`."""

    users: UserPatterns = Field(default_factory=Patterns, description="People who are answered.")
    admin_users: frozenset[UserId] = Field(frozenset(), description="People who may use the admins' commands.")
    servers: ServerPatterns = Field(
        default_factory=Patterns, description="Servers whose people are answered, in addition to `users`."
    )
    rooms: RoomPatterns = Field(default_factory=Patterns, description="Rooms where Hearth answers, by their ids.")
    bots: tuple[UserPattern, ...] = Field((), description="Other bots, which are never answered, as patterns.")
    admin_rooms: frozenset[RoomId] = Field(
        frozenset(), description="Rooms in which people with `admin_power` may use the admins' commands."
    )
    admin_power: int = Field(100, description="The power level that makes an admin in `admin_rooms`.")
    room_overrides: Mapping[RoomId, ChannelSettings] = Field(
        default_factory=dict, description="Overrides for single rooms, by their id."
    )
    signed_devices_only: bool = Field(
        True,
        description="Whether the keys of encrypted rooms go only to devices that their owner has signed (MSC4153)."
        " People whose account has no keys to sign with get them on all devices.",
    )
    request_timeout_s: float = Field(30, gt=0, description="Longest wait for the homeserver, in seconds.")
    _replaced: Mapping[str, str] = PrivateAttr(default_factory=dict)

    def with_replaced_rooms(self, replaced: Mapping[str, str]) -> "MatrixSettings":
        """The same settings, where a room is configured like the room that it replaces; `replaced` may still grow.

        Not so for `admin_rooms`: a user who may replace a room need not be its admin, but is that of the new one.
        """
        settings = self.model_copy()
        settings._replaced = replaced
        return settings

    def allows_room(self, room_id: str, is_direct: bool = False) -> bool:
        """Whether Hearth answers in a room. A direct chat need not be in the allow list, because its only other member
        is checked; the block list applies to it as to any room.
        """
        verdict = self.rooms.verdict(*self._room_lineage(room_id))
        return verdict is not AccessVerdict.BLOCKED and (is_direct or is_allowed(verdict))

    def answers_user(self, user_id: str) -> bool:
        """Whether a person is answered, by the lists of users and of servers together; other bots never are."""
        if matches_any(user_id, self.bots):
            return False
        return is_allowed(self.users.verdict(user_id), self.servers.verdict(user_id.partition(":")[2]))

    def overrides_for(self, channel: str) -> ChannelSettings | None:
        """The overrides for a room, or for the latest of the rooms that it replaces; None if there are none."""
        lineage = self._room_lineage(channel)
        return next((self.room_overrides[name] for name in lineage if name in self.room_overrides), None)

    def _room_lineage(self, room_id: str) -> Iterator[str]:
        """A room's id, and those of the rooms that it replaces, the latest first."""
        seen: set[str] = set()
        name: str | None = room_id
        while name is not None and name not in seen:
            yield name
            seen.add(name)
            name = self._replaced.get(name)
