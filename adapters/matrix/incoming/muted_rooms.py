"""Questions from rooms in which Hearth may not write, kept for the time when it may again."""

import time
from collections.abc import Callable

from adapters.storage.bounded_dict import put_bounded

ROOMS_KEPT = 200


class MutedRooms:
    """The ids of the newest questions of each room, in this process only."""

    def __init__(self, questions_kept: int, kept_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        """`questions_kept` of each room are kept, for `kept_s` seconds: the limits of catching up."""
        self._questions_kept = questions_kept
        self._kept_s = kept_s
        self._clock = clock
        self._held: dict[str, dict[str, float]] = {}

    def hold(self, room_id: str, event_id: str) -> None:
        """Keep a question."""
        questions = self._held.pop(room_id, {})
        put_bounded(questions, event_id, self._clock(), self._questions_kept)
        put_bounded(self._held, room_id, questions, ROOMS_KEPT)

    def release(self, room_id: str) -> list[str]:
        """The questions of a room that are not too old, oldest first; they are kept no longer."""
        now = self._clock()
        return [event_id for event_id, at in self._held.pop(room_id, {}).items() if now - at < self._kept_s]
