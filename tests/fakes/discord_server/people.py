"""People of the fake Discord: users, roles, and members of a guild."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import discord

from tests.fakes.discord_server.clock import iso

if TYPE_CHECKING:
    from tests.fakes.discord_server.guild import Guild

# What a fresh server lets everybody do, as far as a chat bot can tell.
EVERYONE_MAY = discord.Permissions(
    view_channel=True,
    send_messages=True,
    send_messages_in_threads=True,
    create_public_threads=True,
    read_message_history=True,
    embed_links=True,
    attach_files=True,
    add_reactions=True,
    use_application_commands=True,
)


@dataclass(eq=False)
class User:
    """Somebody with an account. `closed_dms`: refuses direct messages (50007)."""

    id: int
    name: str
    is_bot: bool = False
    closed_dms: bool = False
    locale: str = "en-US"

    @property
    def user(self) -> User:
        return self

    @property
    def mention(self) -> str:
        return f"<@{self.id}>"

    def payload(self) -> dict[str, Any]:
        return {
            "id": str(self.id),
            "username": self.name.lower(),
            "discriminator": "0",
            "global_name": self.name,
            "avatar": None,
            "bot": self.is_bot,
            "public_flags": 0,
        }


@dataclass(eq=False)
class Role:
    """A role of a guild; the one whose id is the guild's is @everyone."""

    id: int
    name: str
    permissions: discord.Permissions
    position: int = 1

    @property
    def mention(self) -> str:
        return f"<@&{self.id}>"

    def payload(self) -> dict[str, Any]:
        return {
            "id": str(self.id),
            "name": self.name,
            "permissions": str(self.permissions.value),
            "position": self.position,
            "color": 0,
            "colors": {"primary_color": 0, "secondary_color": None, "tertiary_color": None},
            "hoist": False,
            "icon": None,
            "unicode_emoji": None,
            "managed": False,
            "mentionable": False,
            "flags": 0,
        }


@dataclass(eq=False)
class Member:
    """A user in a guild."""

    user: User
    guild: Guild
    roles: list[Role] = field(default_factory=list)
    nick: str | None = None
    joined: float = 0.0

    @property
    def id(self) -> int:
        return self.user.id

    @property
    def name(self) -> str:
        return self.nick or self.user.name

    @property
    def mention(self) -> str:
        return self.user.mention

    def permissions(self) -> discord.Permissions:
        """What they may do in the guild, before any channel's overwrites."""
        value = self.guild.everyone.permissions.value
        for role in self.roles:
            value |= role.permissions.value
        granted = discord.Permissions(value)
        return discord.Permissions.all() if granted.administrator else granted

    def give(self, role: Role) -> None:
        """Give a role; told to the bot where it asked for such events."""
        self.roles.append(role)
        self.guild.member_changed(self)

    def take(self, role: Role) -> None:
        """Take a role away."""
        self.roles.remove(role)
        self.guild.member_changed(self)

    def payload(self) -> dict[str, Any]:
        """As part of a message: without the user, who is the author."""
        return {
            "roles": [str(role.id) for role in self.roles],
            "nick": self.nick,
            "avatar": None,
            "banner": None,
            "joined_at": iso(self.joined),
            "premium_since": None,
            "communication_disabled_until": None,
            "deaf": False,
            "mute": False,
            "pending": False,
            "flags": 0,
        }

    def full_payload(self) -> dict[str, Any]:
        return {**self.payload(), "user": self.user.payload()}
