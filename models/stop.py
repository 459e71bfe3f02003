"""Detection of stop strings in streamed text."""

from bisect import bisect_left
from collections.abc import Sequence


class StopStrings:
    """Passes text through up to the first stop string, holding back only a suffix that could become one."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._sorted = sorted({stop for stop in stops if stop})
        self._stops = frozenset(self._sorted)
        self._lengths = sorted({len(stop) for stop in self._sorted}, reverse=True)
        self._held = ""
        self.stopped = False

    def push_text(self, piece: str) -> str:
        """The text that may be shown now. After a stop string `stopped` is true and all further text is discarded."""
        if not self._sorted:
            return piece
        if self.stopped:
            return ""
        held_length = len(self._held)
        text = self._held + piece
        for end in range(held_length + 1, len(text) + 1):
            if (start := self._match_ending_at(text, end)) is not None:
                self.stopped = True
                self._held = ""
                return text[:start]
        safe_length = self._first_possible_start(text)
        self._held = text[safe_length:]
        return text[:safe_length]

    def flush(self) -> str:
        """The text held back, for the end of the stream."""
        held, self._held = self._held, ""
        return held

    def _match_ending_at(self, text: str, end: int) -> int | None:
        """Start of the longest stop string that ends at `end`."""
        for length in self._lengths:
            if length <= end and text[end - length : end] in self._stops:
                return end - length
        return None

    def _first_possible_start(self, text: str) -> int:
        """Start of the longest suffix that is a prefix of a stop string; the length of the text without one."""
        for start in range(max(0, len(text) - self._lengths[0] + 1), len(text)):
            if self._is_stop_prefix(text[start:]):
                return start
        return len(text)

    def _is_stop_prefix(self, text: str) -> bool:
        # In sorted order the strings that begin with `text` follow the index where it would be inserted.
        index = bisect_left(self._sorted, text)
        return index < len(self._sorted) and self._sorted[index].startswith(text)
