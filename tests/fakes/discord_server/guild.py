"""Guilds of the fake Discord."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import discord

from tests.fakes.discord_server.channel import Channel
from tests.fakes.discord_server.intents import Intent
from tests.fakes.discord_server.people import EVERYONE_MAY, Member, Role, User

if TYPE_CHECKING:
    from tests.fakes.discord_server.world import World


class Guild:
    """A server that the bot is in. Asking for a role, member or channel by name makes it where it is not there yet."""

    def __init__(self, world: World, name: str, locale: str = "en-US") -> None:
        self.world = world
        self.id = world.ids.take()
        self.name = name
        self.locale = locale
        self.everyone = Role(self.id, "@everyone", EVERYONE_MAY, position=0)
        self.roles: dict[str, Role] = {"@everyone": self.everyone}
        self.members: dict[int, Member] = {}
        self.channels: dict[str, Channel] = {}
        self.threads: list[Channel] = []
        self.owner = self._join(world.person(f"{name}'s owner"))
        self.me = self._join(world.bot)

    def role(self, name: str, **permissions: bool) -> Role:
        """The role of that name."""
        if name not in self.roles:
            role = Role(self.world.ids.take(), name, discord.Permissions(**permissions), len(self.roles))
            self.roles[name] = role
            self.world.emit("GUILD_ROLE_CREATE", {"guild_id": str(self.id), "role": role.payload()}, guild=self)
        return self.roles[name]

    def member(self, name: str, *roles: str, admin: bool = False, is_bot: bool = False, locale: str = "") -> Member:
        """The member of that name; `admin` gives them a role with all permissions, `locale` is their client's."""
        user = self.world.person(name, is_bot=is_bot)
        user.locale = locale or user.locale
        member = self.members.get(user.id) or self._join(user)
        wanted = [self.role(role) for role in roles]
        if admin:
            wanted.append(self.role("Admin", administrator=True))
        member.roles.extend(role for role in wanted if role not in member.roles)
        return member

    def channel(self, name: str, *, kind: int = 0) -> Channel:
        """The channel of that name (`kind`: 0 text, 2 voice, 5 announcements, 15 forum)."""
        if name not in self.channels:
            made = Channel(self.world, self.world.ids.take(), name, guild=self, kind=kind)
            self.channels[name] = made
            self.world.channels[made.id] = made
            self.world.emit("CHANNEL_CREATE", made.payload(), guild=self)
        return self.channels[name]

    def delete(self) -> None:
        """The guild is gone, or has thrown the bot out."""
        for channel in [*self.channels.values(), *self.threads]:
            self.world.channels.pop(channel.id, None)
        self.world.emit("GUILD_DELETE", {"id": str(self.id)}, guild=self)
        self.world.guilds.pop(self.id, None)

    def member_changed(self, member: Member) -> None:
        """Tell of new roles or a new name; of the bot's own without any privileged intent."""
        intent = Intent.GUILDS if member is self.me else Intent.GUILD_MEMBERS
        data = {**member.full_payload(), "guild_id": str(self.id)}
        self.world.emit("GUILD_MEMBER_UPDATE", data, guild=self, intent=intent)

    def _join(self, user: User) -> Member:
        member = Member(user, self, joined=self.world.clock.now())
        self.members[user.id] = member
        return member

    def summary(self) -> dict[str, Any]:
        """What a REST answer tells of the guild."""
        return {
            "id": str(self.id),
            "name": self.name,
            "icon": None,
            "description": None,
            "owner_id": str(self.owner.id),
            "roles": [role.payload() for role in self.roles.values()],
            "emojis": [],
            "stickers": [],
            "features": [],
            "preferred_locale": self.locale,
            "verification_level": 0,
            "default_message_notifications": 0,
            "explicit_content_filter": 0,
            "mfa_level": 0,
            "nsfw_level": 0,
            "premium_tier": 0,
            "afk_timeout": 300,
            "afk_channel_id": None,
            "system_channel_id": None,
            "system_channel_flags": 0,
            "rules_channel_id": None,
            "public_updates_channel_id": None,
        }

    def payload(self, *, with_members: bool) -> dict[str, Any]:
        """What GUILD_CREATE tells; of the members only the bot, unless the members' intent was granted."""
        shown = list(self.members.values()) if with_members else [self.me]
        return {
            **self.summary(),
            "joined_at": self.me.full_payload()["joined_at"],
            "large": False,
            "unavailable": False,
            "member_count": len(self.members),
            "members": [member.full_payload() for member in shown],
            "channels": [channel.payload() for channel in self.channels.values()],
            "threads": [thread.payload() for thread in self.threads if not thread.archived],
            "presences": [],
            "voice_states": [],
            "stage_instances": [],
            "guild_scheduled_events": [],
            "soundboard_sounds": [],
        }
