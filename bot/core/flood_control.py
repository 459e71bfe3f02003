"""Flood control: pauses a person, or a bot that answers another, with more messages a minute than people write."""

from collections import deque
from typing import Literal

from bot.core import triage
from bot.core.messages import Message

MINUTE_S = 60.0
PRIVATE_FACTOR = 3
"""A person alone with the assistant disturbs nobody else, so only a loop of programs should reach the limit there."""
NEVER_PAUSED = frozenset({"stop", "forget"})
"""Commands that a pause must not take away."""

FloodVerdict = Literal["go", "pause", "paused"]
FloodKey = tuple[str, str, bool]
"""Conversation, person, and whether commands are counted; those do not count against questions."""


class FloodGuard:
    """Counts the last minute's messages per person and conversation; times are seconds of one monotonic clock."""

    def __init__(self, answers_per_minute: int, pause_s: float) -> None:
        self._limit = answers_per_minute
        self._pause_s = pause_s
        self._recent: dict[FloodKey, deque[float]] = {}
        self._until: dict[FloodKey, float] = {}

    def count_message(self, message: Message, decision: triage.Decision, now: float) -> FloodVerdict:
        """Count a message: `go`; `pause`, once, when it exceeds the limit; `paused` while the pause lasts."""
        self._drop_expired(now)
        name = decision.name if isinstance(decision, triage.RunCommand) else ""
        if name in NEVER_PAUSED:
            return "go"
        # Small talk is no command here: two bots could greet each other for ever.
        key = (message.conversation, message.author.id, name not in ("", triage.SMALL_TALK))
        if key in self._until:
            return "paused"
        recent = self._recent.setdefault(key, deque())
        recent.append(now)
        if len(recent) <= self._limit * (PRIVATE_FACTOR if message.audience.private else 1):
            return "go"
        del self._recent[key]
        self._until[key] = now + self._pause_s
        return "pause"

    def _drop_expired(self, now: float) -> None:
        for key in [key for key, until in self._until.items() if until <= now]:
            del self._until[key]
        for key, recent in list(self._recent.items()):
            while recent and recent[0] <= now - MINUTE_S:
                recent.popleft()
            if not recent:
                del self._recent[key]
