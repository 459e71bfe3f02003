"""Slash commands, menus and buttons: what people do with them, and what the bot answers."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import discord

from tests.fakes.discord_server.commands import CHAT_INPUT, MESSAGE_MENU
from tests.fakes.discord_server.message import CHAT_INPUT_COMMAND, CONTEXT_MENU_COMMAND, EPHEMERAL, Message
from tests.fakes.discord_server.people import Member, User

if TYPE_CHECKING:
    from tests.fakes.discord_server.channel import Channel
    from tests.fakes.discord_server.world import World

# interactions/receiving-and-responding.mdx: the first response within 3 s; the token lives 15 minutes.
FIRST_RESPONSE_S, TOKEN_LIFE_S = 3.0, 15 * 60.0
COMMAND, COMPONENT, AUTOCOMPLETE = 2, 3, 4
_OPTION_TYPES: dict[type, int] = {str: 3, bool: 5, int: 4, float: 10}


class Interaction:
    """One use of a command, menu or button. `seen` is what the person sees of the bot's answer, oldest first."""

    def __init__(self, channel: Channel, person: User | Member, kind: int, data: Mapping[str, Any]) -> None:
        self.world: World = channel.world
        self.channel, self.person, self.kind, self.data = channel, person, kind, data
        self.id, self.token = self.world.ids.take(), secrets.token_hex(12)
        self.started = self.world.clock.now()
        self.message: Message | None = None
        self.response: Mapping[str, Any] | None = None
        self.response_type: int | None = None
        self.answered_after_s: float | None = None
        self.original: Message | None = None
        self.loading = False
        self.seen: list[Message] = []

    @property
    def texts(self) -> list[str]:
        """What the person reads now."""
        return [message.content for message in self.seen if not message.deleted]

    @property
    def deferred(self) -> bool:
        """The bot has asked for more time ("is thinking...")."""
        return self.response_type in (5, 6)

    @property
    def private(self) -> bool:
        """All that was answered is seen by this person alone."""
        return all(message.ephemeral for message in self.seen)

    @property
    def too_late(self) -> bool:
        return self.world.clock.now() - self.started > FIRST_RESPONSE_S

    @property
    def expired(self) -> bool:
        return self.world.clock.now() - self.started > TOKEN_LIFE_S

    @property
    def message_kind(self) -> int:
        if self.kind == COMPONENT:
            return 0
        return CONTEXT_MENU_COMMAND if self.data.get("type") == MESSAGE_MENU else CHAT_INPUT_COMMAND

    def metadata(self) -> dict[str, Any]:
        """What a message tells of the interaction it answers."""
        return {
            "id": str(self.id),
            "type": self.kind,
            "user": self.person.user.payload(),
            "authorizing_integration_owners": {},
        }

    def payload(self) -> dict[str, Any]:
        """INTERACTION_CREATE's data."""
        guild, member = self.channel.guild, self.channel.member_for(self.person)
        who: dict[str, Any] = {"user": self.person.user.payload()}
        if guild is not None and member is not None:
            granted = str(member.permissions().value)
            who = {"member": {**member.full_payload(), "permissions": granted}}
            who |= {"guild_id": str(guild.id), "guild_locale": guild.locale}
            who |= {"guild": {"id": str(guild.id), "locale": guild.locale, "features": []}}
        return {
            "id": str(self.id),
            "application_id": str(self.world.bot.id),
            "type": self.kind,
            "data": dict(self.data),
            "token": self.token,
            "version": 1,
            "channel_id": str(self.channel.id),
            "channel": {**self.channel.payload(), "permissions": str(discord.Permissions.all().value)},
            "locale": self.person.user.locale,
            "app_permissions": str(self.channel.bot_may().value),
            "entitlements": [],
            "authorizing_integration_owners": {"0": str(guild.id if guild else 0)},
            "context": 0 if guild else 1,
            "attachment_size_limit": 10 * 1024 * 1024,
            **({"message": self.message.payload()} if self.message else {}),
            **who,
        }

    def say(self, message: Message) -> None:
        """Show an answer of the bot: to this person alone, or as a message of the channel."""
        self.seen.append(message)
        if message.ephemeral:
            self.channel.everything.append(message)
        else:
            self.channel.post(message)

    def find(self, id_: int) -> Message | None:
        return next((message for message in self.seen if message.id == id_ and not message.deleted), None)

    def response_payload(self) -> dict[str, Any]:
        """The answer to the callback with `with_response`."""
        told: dict[str, Any] = {"id": str(self.id), "type": self.kind}
        resource: dict[str, Any] = {"type": self.response_type}
        if self.original is not None:
            told["response_message_id"] = str(self.original.id)
            told["response_message_loading"] = self.loading
            told["response_message_ephemeral"] = bool(self.original.flags & EPHEMERAL)
            resource["message"] = self.original.payload()
        return {"interaction": told, "resource": resource}


class Asking:
    """What people do in a channel with the bot's commands and buttons. Each returns the interaction it began."""

    async def command(self, who: User | Member, name: str, *, unchecked: bool = False, **options: Any) -> Interaction:
        """Use a slash command. Fails the test where their client does not offer it, unless `unchecked`."""
        data = self._command(who, name, CHAT_INPUT, unchecked)
        given = [{"name": key, "type": _OPTION_TYPES[type(value)], "value": value} for key, value in options.items()]
        return await self._begin(Interaction(self._place, who, COMMAND, {**data, "options": given}))

    async def menu(self, who: User | Member, name: str, message: Message, *, unchecked: bool = False) -> Interaction:
        """Use a command of a message's menu."""
        data = self._command(who, name, MESSAGE_MENU, unchecked)
        resolved = {"messages": {str(message.id): message.payload()}}
        return await self._begin(
            Interaction(self._place, who, COMMAND, {**data, "target_id": str(message.id), "resolved": resolved})
        )

    async def press(self, who: User | Member, message: Message, button: str) -> Interaction:
        """Press a button, by its label or custom id."""
        known = message.buttons
        custom_id = known.get(button, button)
        assert custom_id in known.values(), f"{message} has no button {button!r}, only {known}"
        begun = Interaction(self._place, who, COMPONENT, {"custom_id": custom_id, "component_type": 2})
        begun.message = message
        return await self._begin(begun)

    def member_for(self, who: User | Member) -> Member | None:
        """Who they are in this channel's guild."""
        guild = self._place.guild
        return guild.members.get(who.id) if guild else None

    @property
    def _place(self) -> Channel:
        return cast("Channel", self)

    def _command(self, who: User | Member, name: str, kind: int, unchecked: bool) -> dict[str, Any]:
        place = self._place
        guild_id = place.guild.id if place.guild else 0
        known = place.world.commands.offered(name, kind, guild_id, None if unchecked else self.member_for(who))
        return {"id": known["id"], "name": name, "type": kind}

    async def _begin(self, begun: Interaction) -> Interaction:
        world = self._place.world
        world.interactions[begun.token] = begun
        world.emit("INTERACTION_CREATE", begun.payload(), guild=self._place.guild)
        await world.settled()
        return begun
