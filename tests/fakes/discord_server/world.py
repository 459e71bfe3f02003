"""Everything that exists on the fake Discord, found by its id."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.discord_server.channel import DIRECT, Channel
from tests.fakes.discord_server.clock import Clock, Snowflakes
from tests.fakes.discord_server.commands import Commands
from tests.fakes.discord_server.files import StoredFile
from tests.fakes.discord_server.guild import Guild
from tests.fakes.discord_server.intents import PRIVILEGED, Intent
from tests.fakes.discord_server.interactions import Interaction
from tests.fakes.discord_server.message import Message
from tests.fakes.discord_server.people import Member, User


@dataclass
class Settings:
    """What an admin switches in the developer portal, and figures of the platform that tests may shrink.

    `nonce_memory_s`: how long a nonce is remembered ("the past few minutes", message.mdx). `old_edits`: how many edits
    of a message older than an hour pass before 30046. `sessions_left`: the day's session starts.
    """

    token: str = "loopback-token"
    privileged: Intent = PRIVILEGED
    heartbeat_interval_s: float = 41.25
    nonce_memory_s: float = 180.0
    old_edits: int = 3
    old_edit_retry_s: float = 0.05
    sessions_left: int = 1000
    shards: int = 1


@dataclass(frozen=True)
class Event:
    """Something that happened, before it is shaped for a session."""

    name: str
    data: Mapping[str, Any]
    guild: Guild | None
    intent: Intent
    message: Message | None


@dataclass
class World:
    """The state, and the two ways out of it: events to the gateway, and waiting until they are written."""

    settings: Settings = field(default_factory=Settings)
    clock: Clock = field(default_factory=Clock)
    guilds: dict[int, Guild] = field(default_factory=dict)
    channels: dict[int, Channel] = field(default_factory=dict)
    people: dict[int, User] = field(default_factory=dict)
    files: dict[int, StoredFile] = field(default_factory=dict)
    interactions: dict[str, Interaction] = field(default_factory=dict)
    publish: Callable[[Event], None] = lambda event: None
    settled: Callable[[], Awaitable[None]] = None  # type: ignore[assignment]
    base_url: str = ""

    def __post_init__(self) -> None:
        self.ids = Snowflakes(self.clock)
        self.commands = Commands(self)
        self.bot = self.person("Hearth", is_bot=True)
        self._nonces: dict[tuple[int, str], tuple[float, Message]] = {}

    @property
    def gateway_url(self) -> str:
        """Where the websocket is."""
        return self.base_url.replace("http://", "ws://") + "/gateway"

    def application_flags(self) -> int:
        """Which privileged intents are switched on, in the bits for bots in few guilds (resources/application.mdx)."""
        bits = {Intent.GUILD_PRESENCES: 1 << 13, Intent.GUILD_MEMBERS: 1 << 15, Intent.MESSAGE_CONTENT: 1 << 19}
        return sum(bit for intent, bit in bits.items() if intent in self.settings.privileged)

    def person(self, name: str, *, is_bot: bool = False) -> User:
        """The user of that name, made where there is none."""
        known = next((user for user in self.people.values() if user.name == name), None)
        if known is None:
            known = User(self.ids.take(), name, is_bot)
            self.people[known.id] = known
        return known

    def guild(self, name: str) -> Guild:
        """The guild of that name, made where there is none."""
        known = next((guild for guild in self.guilds.values() if guild.name == name), None)
        if known is None:
            known = Guild(self, name)
            self.guilds[known.id] = known
            self.emit("GUILD_CREATE", known.payload(with_members=False), guild=known)
        return known

    def direct(self, who: User | Member) -> Channel:
        """The bot's conversation with one person, made where there is none."""
        known = next((one for one in self.channels.values() if one.partner is who.user), None)
        if known is None:
            known = Channel(self, self.ids.take(), who.user.name, kind=DIRECT, partner=who.user)
            self.channels[known.id] = known
        return known

    def store(self, name: str, data: bytes, media_type: str | None = None) -> StoredFile:
        """Keep a file, to be fetched from this server."""
        id_ = self.ids.take()
        self.files[id_] = StoredFile(id_, name, data, f"{self.base_url}/attachments/{id_}/{name}", media_type)
        return self.files[id_]

    def remembered(self, channel: Channel, nonce: str) -> Message | None:
        """The message sent with that nonce within the last minutes."""
        at, message = self._nonces.get((channel.id, nonce), (0.0, None))
        return message if self.clock.now() - at <= self.settings.nonce_memory_s else None

    def remember(self, channel: Channel, nonce: str, message: Message) -> None:
        """Keep a nonce for a while."""
        self._nonces[channel.id, nonce] = self.clock.now(), message

    def emit(
        self,
        name: str,
        data: Mapping[str, Any],
        *,
        guild: Guild | None,
        intent: Intent = Intent.GUILDS,
        message: Message | None = None,
    ) -> None:
        """Tell the bot's sessions of something."""
        # An interaction comes without any intent.
        needed = Intent(0) if name == "INTERACTION_CREATE" else intent
        self.publish(Event(name, data, guild, needed, message))
