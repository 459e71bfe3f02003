"""Messages of the fake Discord, with all their versions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.fakes.discord_server.clock import iso
from tests.fakes.discord_server.intents import Intent

if TYPE_CHECKING:
    from tests.fakes.discord_server.channel import Channel
    from tests.fakes.discord_server.files import StoredFile
    from tests.fakes.discord_server.people import User

SUPPRESS_EMBEDS, EPHEMERAL, LOADING = 1 << 2, 1 << 6, 1 << 7
REPLY, CHAT_INPUT_COMMAND, CONTEXT_MENU_COMMAND = 19, 20, 23


@dataclass(frozen=True)
class Version:
    """What a message said from a moment on (seconds since the epoch)."""

    at: float
    content: str


@dataclass(eq=False)
class Message:
    """A message. `pings` is whom its sending notified: `@everyone`, `<@user>`, `<@&role>`. `webhook_of`: the
    application whose webhook posted it, in its author's name; `forwards`: the messages that it forwards.
    """

    id: int
    channel: Channel
    author: User
    content: str
    sent: float
    embeds: list[dict[str, Any]] = field(default_factory=list)
    components: list[dict[str, Any]] = field(default_factory=list)
    files: list[StoredFile] = field(default_factory=list)
    flags: int = 0
    answers: Message | None = None
    nonce: str | int | None = None
    kind: int = 0
    pings: frozenset[str] = frozenset()
    interaction: Mapping[str, Any] | None = None
    deleted: bool = False
    thread: Channel | None = None
    webhook_of: int | None = None
    forwards: list[Message] = field(default_factory=list)
    poll: Mapping[str, Any] | None = None
    versions: list[Version] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.versions = [Version(self.sent, self.content)]

    def __repr__(self) -> str:
        return f"<{self.author.name}: {self.content[:60]!r}>"

    @property
    def edits(self) -> list[Version]:
        """The versions after the first."""
        return self.versions[1:]

    @property
    def ephemeral(self) -> bool:
        return bool(self.flags & EPHEMERAL)

    @property
    def buttons(self) -> dict[str, str]:
        """The labels of its buttons, each with its custom id."""
        rows = [part for row in self.components for part in row.get("components", ())]
        return {part.get("label", ""): part["custom_id"] for part in rows if "custom_id" in part}

    def change(self, content: str, at: float) -> None:
        """Put a new text in place of the old."""
        self.content = content
        self.versions.append(Version(at, content))

    def mentioned(self) -> list[User]:
        """The users it names, and the author of the message it answers."""
        people = self.channel.world.people
        ids = [int(found) for found in re.findall(r"<@!?(\d+)>", self.content)]
        named = [people[one] for one in dict.fromkeys(ids) if one in people]
        if self.answers and f"<@{self.answers.author.id}>" in self.pings and self.answers.author not in named:
            named.append(self.answers.author)
        return named

    def payload(self, *, nested: bool = False) -> dict[str, Any]:
        edited = iso(self.versions[-1].at) if self.edits else None
        return {
            "id": str(self.id),
            "channel_id": str(self.channel.id),
            "type": self.kind,
            "author": self.author.payload(),
            "content": self.content,
            "timestamp": iso(self.sent),
            "edited_timestamp": edited,
            "tts": False,
            "mention_everyone": "@everyone" in self.pings,
            "mentions": [user.payload() for user in self.mentioned()],
            "mention_roles": re.findall(r"<@&(\d+)>", self.content),
            "attachments": [file.payload() for file in self.files],
            "embeds": [] if self.flags & SUPPRESS_EMBEDS else self.embeds,
            "components": self.components,
            "pinned": False,
            "flags": self.flags,
            **({"nonce": self.nonce} if self.nonce is not None else {}),
            **self._relations(nested),
        }

    def snapshot(self) -> dict[str, Any]:
        """What a forward tells of it (message.mdx, "Message Snapshot Structure")."""
        told = ("type", "content", "embeds", "attachments", "timestamp", "edited_timestamp", "flags", "mentions",
                "mention_roles", "components")  # fmt: skip
        return {key: value for key, value in self.payload(nested=True).items() if key in told}

    def _relations(self, nested: bool) -> dict[str, Any]:
        told: dict[str, Any] = {}
        if self.interaction:
            told["interaction_metadata"] = dict(self.interaction)
            told["application_id"] = told["webhook_id"] = str(self.channel.world.bot.id)
        if self.webhook_of is not None:
            told["webhook_id"], told["application_id"] = str(self.author.id), str(self.webhook_of)
        if self.poll is not None:
            told["poll"] = dict(self.poll)
        if self.forwards:
            told["message_reference"] = {
                "type": 1,
                "message_id": str(self.forwards[0].id),
                "channel_id": str(self.forwards[0].channel.id),
                **self.forwards[0].channel.guild_key(),
            }
            told["message_snapshots"] = [{"message": one.snapshot()} for one in self.forwards]
        if self.thread:
            told["thread"] = self.thread.payload()
        if self.answers is not None:
            told["message_reference"] = {
                "type": 0,
                "message_id": str(self.answers.id),
                "channel_id": str(self.answers.channel.id),
                **self.answers.channel.guild_key(),
            }
            if not nested:
                told["referenced_message"] = None if self.answers.deleted else self.answers.payload(nested=True)
        return told


def poll(question: str, *answers: str) -> dict[str, Any]:
    """A poll as a message has it (resources/poll.mdx)."""
    return {
        "question": {"text": question},
        "answers": [{"answer_id": number, "poll_media": {"text": answer}} for number, answer in enumerate(answers, 1)],
        "expiry": "2036-01-01T00:00:00.000000+00:00",
        "allow_multiselect": False,
        "layout_type": 1,
    }


def readable_data(message: Message, data: Mapping[str, Any], granted: Intent) -> Mapping[str, Any]:
    """What the bot is given of a message: without the intent for contents only its own, direct ones and mentions."""
    bot = message.channel.world.bot
    own = message.author is bot or message.channel.guild is None or bot in message.mentioned()
    if own or Intent.MESSAGE_CONTENT in granted:
        return data
    withheld = {"content": "", "embeds": [], "attachments": [], "components": []}
    return {key: value for key, value in {**data, **withheld}.items() if key not in ("poll", "message_snapshots")}


def pings(content: str, allowed: Mapping[str, Any] | None, answered: User | None) -> frozenset[str]:
    """Whom a message notifies: without `allowed_mentions` everybody it names (message.mdx, "Allowed Mentions")."""
    users, roles = set(re.findall(r"<@!?(\d+)>", content)), set(re.findall(r"<@&(\d+)>", content))
    everyone = bool(re.search(r"@(everyone|here)", content))
    replied = answered is not None
    if allowed is not None:
        parse = allowed.get("parse") or []
        users &= users if "users" in parse else {str(one) for one in allowed.get("users") or ()}
        roles &= roles if "roles" in parse else {str(one) for one in allowed.get("roles") or ()}
        everyone = everyone and "everyone" in parse
        replied = replied and bool(allowed.get("replied_user"))
    found = {f"<@{one}>" for one in users} | {f"<@&{one}>" for one in roles}
    if everyone:
        found.add("@everyone")
    if replied and answered is not None:
        found.add(answered.mention)
    return frozenset(found)
