"""Channels, threads and direct conversations of the fake Discord: what people do in them, and what is in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import discord

from tests.fakes.discord_server.clock import iso
from tests.fakes.discord_server.intents import Intent
from tests.fakes.discord_server.interactions import Asking
from tests.fakes.discord_server.message import REPLY, Message, pings
from tests.fakes.discord_server.people import Member, User

if TYPE_CHECKING:
    from tests.fakes.discord_server.guild import Guild
    from tests.fakes.discord_server.world import World

TEXT, DIRECT, PUBLIC_THREAD, PRIVATE_THREAD, FORUM = 0, 1, 11, 12, 15

Somebody = User | Member


class Channel(Asking):
    """A place where people write. A thread has a `parent`, a direct conversation a `partner` and no guild."""

    def __init__(
        self,
        world: World,
        id_: int,
        name: str,
        *,
        guild: Guild | None = None,
        kind: int = TEXT,
        parent: Channel | None = None,
        partner: User | None = None,
        owner: User | None = None,
    ) -> None:
        self.world, self.id, self.name, self.guild, self.kind = world, id_, name, guild, kind
        self.parent, self.partner, self.owner = parent, partner, owner
        self.archived = self.locked = False
        self.everything: list[Message] = []
        self.typed: list[float] = []
        self.allowed, self.denied = discord.Permissions.none(), discord.Permissions.none()
        self._made = world.clock.now()

    @property
    def mention(self) -> str:
        return f"<#{self.id}>"

    @property
    def messages(self) -> list[Message]:
        """The messages that are there, oldest first."""
        return sorted((one for one in self.everything if not one.deleted), key=lambda one: one.id)

    @property
    def said_by_bot(self) -> list[Message]:
        """The bot's messages that are there, oldest first; what only one person sees is not among them."""
        return [one for one in self.messages if one.author is self.world.bot and not one.ephemeral]

    # What people do.

    async def say(
        self,
        who: Somebody,
        text: str,
        *,
        answers: Message | None = None,
        ping: bool = True,
        files: Mapping[str, bytes] | None = None,
        age_s: float = 0.0,
        **more: Any,
    ) -> Message:
        """Write. `<@bot>` stands for the bot's mention; `answers` makes it a reply; `age_s`: it was sent long ago;
        `more` goes into the message (`webhook_of`, `forwards`, `embeds`, `poll`).
        """
        content = text.replace("<@bot>", self.world.bot.mention)
        sent = self.world.clock.now() - age_s
        named = pings(content, None if ping else {"parse": ["users"]}, answers.author if answers else None)
        message = Message(
            self.world.ids.take(sent), self, who.user, content, sent, answers=answers, pings=named, **more
        )
        message.files = [self.world.store(name, data) for name, data in (files or {}).items()]
        message.kind = REPLY if answers else 0
        self.post(message)
        await self.world.settled()
        return message

    async def edit(self, message: Message, text: str) -> None:
        """The author changes what they wrote."""
        message.change(text.replace("<@bot>", self.world.bot.mention), self.world.clock.now())
        self.changed(message)
        await self.world.settled()

    async def remove(self, *messages: Message) -> None:
        """Delete messages; several at once as moderators do."""
        for message in messages:
            message.deleted = True
        self.forgotten(*messages)
        await self.world.settled()

    def thread(self, name: str, *, of: Message | None = None, owner: Somebody | None = None) -> Channel:
        """Open a public thread; a thread `of` a message has that message's id."""
        assert self.guild is not None, "there are no threads in direct messages"
        id_ = of.id if of else self.world.ids.take()
        starter = owner.user if owner else self.guild.owner.user
        made = Channel(self.world, id_, name, guild=self.guild, kind=PUBLIC_THREAD, parent=self, owner=starter)
        if of is not None:
            of.thread = made
        self.guild.threads.append(made)
        self.world.channels[made.id] = made
        self.world.emit("THREAD_CREATE", {**made.payload(), "newly_created": True}, guild=self.guild)
        return made

    def archive(self, *, locked: bool = False) -> None:
        """Close a thread."""
        self.archived, self.locked = True, locked
        self.world.emit("THREAD_UPDATE", self.payload(), guild=self.guild)

    def lock(self) -> None:
        """Let only moderators write in a thread, which stays open."""
        self.locked = True
        self.world.emit("THREAD_UPDATE", self.payload(), guild=self.guild)

    def delete(self) -> None:
        """The channel is gone."""
        self.world.channels.pop(self.id, None)
        if self.guild is not None:
            self.guild.channels.pop(self.name, None)
            self.guild.threads = [one for one in self.guild.threads if one not in (self,) and one.parent is not self]
        self.world.emit("THREAD_DELETE" if self.parent else "CHANNEL_DELETE", self.payload(), guild=self.guild)

    # What the bot may do here.

    def deny(self, *names: str) -> None:
        """Take permissions from the bot in this channel, by discord.py's names: `send_messages`, `attach_files`..."""
        self.denied = discord.Permissions(self.denied.value | _permissions(names).value)
        self.allowed = discord.Permissions(self.allowed.value & ~self.denied.value)
        self._overwritten()

    def allow(self, *names: str) -> None:
        """Give permissions to the bot in this channel."""
        self.allowed = discord.Permissions(self.allowed.value | _permissions(names).value)
        self.denied = discord.Permissions(self.denied.value & ~self.allowed.value)
        self._overwritten()

    def bot_may(self) -> discord.Permissions:
        """What the bot may do here; in a thread what it may in the channel above."""
        if self.parent is not None:
            return self.parent.bot_may()
        if self.guild is None:
            return discord.Permissions.all()
        granted = self.guild.me.permissions()
        if granted.administrator:
            return granted
        return discord.Permissions(granted.value & ~self.denied.value | self.allowed.value)

    # What the server does.

    def post(self, message: Message) -> None:
        """Add a message and tell of it."""
        self.everything.append(message)
        self._tell("MESSAGE_CREATE", {**message.payload(), **self._author_of(message)}, message)

    def changed(self, message: Message) -> None:
        """Tell of a message's new version."""
        data = {**message.payload(), **self._author_of(message)}
        data.pop("nonce", None)
        self._tell("MESSAGE_UPDATE", data, message)

    def forgotten(self, *messages: Message) -> None:
        """Tell of messages that are gone."""
        ids = [str(message.id) for message in messages]
        where = {"channel_id": str(self.id), **self.guild_key()}
        if len(ids) == 1:
            self._tell("MESSAGE_DELETE", {"id": ids[0], **where})
        else:
            self._tell("MESSAGE_DELETE_BULK", {"ids": ids, **where})

    def guild_key(self) -> dict[str, str]:
        return {"guild_id": str(self.guild.id)} if self.guild else {}

    def find(self, id_: int) -> Message | None:
        return next((one for one in self.everything if one.id == id_ and not one.deleted and not one.ephemeral), None)

    def payload(self) -> dict[str, Any]:
        shared = {"id": str(self.id), "type": self.kind, "flags": 0, "last_message_id": self._last()}
        if self.partner is not None:
            return {**shared, "recipients": [self.partner.payload()]}
        shared |= {"name": self.name, "rate_limit_per_user": 0, **self.guild_key()}
        if self.parent is not None:
            return {**shared, **self._thread_payload(self.parent)}
        placed = {"position": 0, "parent_id": None, "topic": None, "nsfw": False, "bitrate": 64000, "user_limit": 0}
        return {**shared, **placed, "permission_overwrites": self._overwrites(), "available_tags": []}

    def _thread_payload(self, parent: Channel) -> dict[str, Any]:
        metadata = {
            "archived": self.archived,
            "locked": self.locked,
            "auto_archive_duration": 1440,
            "archive_timestamp": iso(self._made),
            "create_timestamp": iso(self._made),
        }
        return {
            "parent_id": str(parent.id),
            "owner_id": str((self.owner or self.world.bot).id),
            "message_count": len(self.messages),
            "total_message_sent": len(self.everything),
            "member_count": 1,
            "thread_metadata": metadata,
        }

    def _overwrites(self) -> Sequence[dict[str, Any]]:
        if not (self.allowed.value or self.denied.value):
            return []
        bits = {"allow": str(self.allowed.value), "deny": str(self.denied.value)}
        return [{"id": str(self.world.bot.id), "type": 1, **bits}]

    def _overwritten(self) -> None:
        self.world.emit("CHANNEL_UPDATE", self.payload(), guild=self.guild)

    def _last(self) -> str | None:
        return str(self.messages[-1].id) if self.messages else None

    def _author_of(self, message: Message) -> dict[str, Any]:
        if self.guild is None:
            return {"channel_type": DIRECT}
        member = self.guild.members.get(message.author.id)
        told = {"member": member.payload()} if member else {}
        return {**told, **self.guild_key(), "channel_type": self.kind}

    def _tell(self, event: str, data: dict[str, Any], message: Message | None = None) -> None:
        if self.guild is None or self.bot_may().view_channel:
            intent = Intent.GUILD_MESSAGES if self.guild else Intent.DIRECT_MESSAGES
            self.world.emit(event, data, guild=self.guild, intent=intent, message=message)


def _permissions(names: Sequence[str]) -> discord.Permissions:
    return discord.Permissions(**dict.fromkeys(names, True))
