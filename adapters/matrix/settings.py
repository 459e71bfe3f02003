"""Settings of the Matrix adapter."""

from collections.abc import Iterator, Mapping

from pydantic import Field, PrivateAttr

from adapters.intake.access_list import AccessList, AccessVerdict, is_allowed, matches_any
from adapters.intake.settings import ChannelSettings, ChatPlatformSettings

Patterns = AccessList[str]


class MatrixSettings(ChatPlatformSettings[str]):
    """Where and whom Hearth answers on Matrix. The account is set up once by `hearth matrix login`."""

    servers: Patterns = Field(
        default_factory=Patterns, description="Servers whose people are answered, in addition to `users`."
    )
    rooms: Patterns = Field(default_factory=Patterns, description="Rooms where Hearth answers, by their ids.")
    bots: tuple[str, ...] = Field((), description="Other bots, which are never answered, as patterns.")
    admin_rooms: frozenset[str] = Field(
        frozenset(), description="Rooms in which people with `admin_power` may use the admins' commands."
    )
    admin_power: int = Field(100, description="The power level that makes an admin in `admin_rooms`.")
    room_overrides: Mapping[str, ChannelSettings] = Field(
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
