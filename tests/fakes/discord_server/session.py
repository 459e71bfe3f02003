"""A gateway session: what was granted to it, and the events it can be told again."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.discord_server.guild import Guild
from tests.fakes.discord_server.intents import Intent
from tests.fakes.discord_server.message import readable_data
from tests.fakes.discord_server.world import Event

DISPATCH = 0


@dataclass(eq=False)
class Session:
    """One session of the bot (one shard of it). `told` is every event of it, with its sequence number."""

    intents: Intent
    shard: tuple[int, int] = (0, 1)
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    told: list[dict[str, Any]] = field(default_factory=list)

    def wants(self, event: Event) -> bool:
        """Whether the event is of this shard and of the intents."""
        return (event.intent in self.intents) and self.covers(event.guild)

    def covers(self, guild: Guild | None) -> bool:
        """Whether a guild is of this shard; direct messages are of the first (gateway.mdx, "Sharding")."""
        number, count = self.shard
        return number == (0 if guild is None else (guild.id >> 22) % count)

    def dispatch(self, event: Event) -> dict[str, Any]:
        """The event in the form that this session may read, with the next sequence number."""
        data = event.data if event.message is None else readable_data(event.message, event.data, self.intents)
        return self.tell(event.name, data)

    def tell(self, name: str, data: Mapping[str, Any]) -> dict[str, Any]:
        """Number something and keep it for a later resume."""
        payload = {"op": DISPATCH, "t": name, "s": len(self.told) + 1, "d": dict(data)}
        self.told.append(payload)
        return payload

    def missed(self, seq: int) -> list[dict[str, Any]]:
        """What was told after that number."""
        return self.told[seq:]
