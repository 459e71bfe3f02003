"""Gaps between gateway sessions: per shard, new messages wait until the missed ones are found, for a limited time."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

import discord

from adapters.discord.connection.session import AnyBot
from adapters.discord.incoming.catch_up import Gap

log = logging.getLogger(__name__)

MAX_WAIT_S = 90.0
"""New messages wait no longer than this: a shard may connect and never become ready."""


@dataclass(eq=False, slots=True)
class OpenGap:
    """A gap of one shard until its missed messages are handled; `is_taken`: the search for them has begun."""

    shard: int
    gap: Gap
    timer: asyncio.TimerHandle
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    is_taken: bool = False


class SessionGaps:
    """The open gaps by shard. A bot with one connection has one shard, number 0, which also has the direct messages."""

    def __init__(self, bot: AnyBot, note_gap: Callable[[], Gap]) -> None:
        """`note_gap` returns the read markers as they are now."""
        self._bot = bot
        self._note_gap = note_gap
        self._first_gap = note_gap()
        self._seen_shards: set[int] = set()
        self._open: dict[int, OpenGap] = {}
        self._is_closed = False

    @property
    def is_sharded(self) -> bool:
        """Whether Discord's library reports the sessions of the shards one by one."""
        return isinstance(self._bot, discord.AutoShardedClient)

    def shard_of(self, guild: discord.Guild | None) -> int:
        """The shard that delivers the messages of a server, or direct messages (None)."""
        return guild.shard_id or 0 if guild is not None and self.is_sharded else 0

    def open(self, shard: int) -> None:
        """Begin a gap of a shard, which has a new session: events since the last one are missing."""
        known = self._gap_of(shard)
        if known is None or known.is_taken:  # else the messages of the earlier gap are still missing
            self._open_gap(shard, self._note_gap())

    def take(self, shard: int) -> OpenGap | None:
        """The gap of a shard, to search for its messages and then `end` it; None when there is none to search."""
        found = self._gap_of(shard)
        if found is None or found.is_taken:
            return None
        found.is_taken = True
        return found

    def known_shards(self) -> list[int]:
        """The shards of the bot, as far as they are known."""
        connected = self._bot.shards if isinstance(self._bot, discord.AutoShardedClient) else (0,)
        return sorted({*connected, *self._open})

    def end(self, gap: OpenGap) -> None:
        """End a gap: the messages that wait for it are handled."""
        gap.timer.cancel()
        gap.ended.set()
        if self._open.get(gap.shard) is gap:
            del self._open[gap.shard]

    def end_all(self) -> None:
        """End all gaps for good."""
        self._is_closed = True
        for gap in list(self._open.values()):
            self.end(gap)

    async def wait(self, guild: discord.Guild | None) -> None:
        """Wait until messages of a server, or direct messages (None), that came before a new one are handled."""
        if (gap := self._gap_of(self.shard_of(guild))) is not None:
            await gap.ended.wait()

    def _gap_of(self, shard: int) -> OpenGap | None:
        if shard not in self._seen_shards and not self._is_closed:  # the time before Hearth was in the bot
            self._open_gap(shard, self._first_gap)
        return self._open.get(shard)

    def _open_gap(self, shard: int, gap: Gap) -> None:
        self._seen_shards.add(shard)
        timer = asyncio.get_running_loop().call_later(MAX_WAIT_S, self._give_up, shard)
        self._open[shard] = OpenGap(shard, gap, timer)

    def _give_up(self, shard: int) -> None:
        gap = self._open.get(shard)
        if gap is not None and not gap.ended.is_set():
            log.warning(
                "Answering new messages before the missed ones, which were not found within %.0f s.", MAX_WAIT_S
            )
            gap.ended.set()
