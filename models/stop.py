"""Stop strings over a text that arrives in pieces."""

from bisect import bisect_left
from collections.abc import Sequence


class StopStrings:
    """Releases text up to the first stop string, holding back only an ending that could become one."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._sorted = sorted({stop for stop in stops if stop})
        self._stops = frozenset(self._sorted)
        self._lengths = sorted({len(stop) for stop in self._sorted}, reverse=True)
        self._held = ""
        self.stopped = False

    def push_text(self, piece: str) -> str:
        """The text that may be shown now. Once a stop string has come, `stopped` is true and nothing more is shown."""
        if not self._sorted:
            return piece
        if self.stopped:
            return ""
        seen = len(self._held)
        text = self._held + piece
        for end in range(seen + 1, len(text) + 1):
            if (start := self._match_ending_at(text, end)) is not None:
                self.stopped = True
                self._held = ""
                return text[:start]
        kept = self._first_possible_start(text)
        self._held = text[kept:]
        return text[:kept]

    def flush(self) -> str:
        """The text held back, when no more text comes."""
        held, self._held = self._held, ""
        return held

    def _match_ending_at(self, text: str, end: int) -> int | None:
        """Where the longest stop string that ends there begins."""
        for length in self._lengths:
            if length <= end and text[end - length : end] in self._stops:
                return end - length
        return None

    def _first_possible_start(self, text: str) -> int:
        """Where the longest ending begins that is the beginning of a stop string."""
        for start in range(max(0, len(text) - self._lengths[0] + 1), len(text)):
            if self._begins_a_stop(text[start:]):
                return start
        return len(text)

    def _begins_a_stop(self, text: str) -> bool:
        # In sorted order the strings that begin with `text` follow the place where it would be inserted.
        place = bisect_left(self._sorted, text)
        return place < len(self._sorted) and self._sorted[place].startswith(text)
