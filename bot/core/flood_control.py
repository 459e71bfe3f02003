"""Flood control: pauses a conversation with more answers a minute than people ask for."""

from collections import deque
from typing import Literal

from bot.core.messages import ConversationId

MINUTE_S = 60.0
FloodVerdict = Literal["go", "pause", "paused"]


class FloodGuard:
    """Counts the last minute's answers per conversation; times are seconds of one monotonic clock."""

    def __init__(self, answers_per_minute: int, pause_s: float) -> None:
        self._limit = answers_per_minute
        self._pause_s = pause_s
        self._recent: dict[ConversationId, deque[float]] = {}
        self._until: dict[ConversationId, float] = {}

    def count_answer(self, conversation: ConversationId, now: float) -> FloodVerdict:
        """Count an answer: `go`; `pause`, once, when it exceeds the limit; `paused` while the pause lasts."""
        self._drop_expired(now)
        if conversation in self._until:
            return "paused"
        recent = self._recent.setdefault(conversation, deque())
        recent.append(now)
        if len(recent) <= self._limit:
            return "go"
        del self._recent[conversation]
        self._until[conversation] = now + self._pause_s
        return "pause"

    def _drop_expired(self, now: float) -> None:
        for conversation in [name for name, until in self._until.items() if until <= now]:
            del self._until[conversation]
        for conversation, recent in list(self._recent.items()):
            while recent and recent[0] <= now - MINUTE_S:
                recent.popleft()
            if not recent:
                del self._recent[conversation]
