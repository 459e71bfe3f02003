"""Window of a text from which one part of it is chosen."""

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from adapters.delivery.code_fences import Fence, MarkdownLine, fence_after_line, iter_lines

# Reserve for the closer of a part. A fence with a longer closer is left open.
CLOSER_RESERVE = 24


@dataclass(frozen=True, slots=True)
class SplitPoint:
    """The beginning of a part: the opener put before it, the fence, inline code (by its delimiter) or spoiler that it
    continues, and the closer of the part before.
    """

    position: int
    opener: str = ""
    fence: Fence | None = None
    code_delimiter: str = ""
    in_spoiler: bool = False
    closer: str = ""


class SplitWindow:
    """The text from `start` on: as much as certainly fits into a part.

    Text after it is not considered, so finished parts stay the same while the text grows.
    """

    def __init__(
        self, text: str, begin: SplitPoint, limit: int, measure: Callable[[str], int], *, spoilers: bool = False
    ) -> None:
        """`spoilers`: two bars hide the text between them, as on Discord."""
        self.text = text
        self.spoilers = spoilers
        self.in_spoiler = begin.in_spoiler
        self.start = begin.position
        self.fence = begin.fence
        self.code_delimiter = begin.code_delimiter
        self.capacity = limit - measure(begin.opener)
        self.measure = measure
        self.limit = limit
        self._prefix = begin.opener.rpartition("\n")[2]

    @property
    def overflows(self) -> bool:
        """Whether the text from `start` does not fit with its closer, or did not at an earlier length: appended
        text never undoes an overflow.
        """
        if self.measure(self.text[self.start : self.start + self.capacity + 1]) > self.capacity:
            return True
        rest = self.text[self.start :]
        if self.fence is None and "```" not in rest and "~~~" not in rest:
            return False
        return any(
            self.measure(self.text[self.start : end]) + self.measure(self.closer_at(end)) > self.capacity
            for end in range(self.end, len(self.text) + 1)
        )

    @cached_property
    def end(self) -> int:
        """The offset up to which text fits with any closer. At least one character fits."""
        most = min(len(self.text), self.start + self.capacity) - self.start
        available = self.capacity - CLOSER_RESERVE
        fits = bisect_right(
            range(most + 1), available, key=lambda count: self.measure(self.text[self.start : self.start + count])
        )
        return self.start + max(1, fits - 1)

    @cached_property
    def lines(self) -> list[MarkdownLine]:
        """The lines that fit, the last one perhaps not to its end."""
        return list(iter_lines(self.text, self.start, self.end, self.fence, self._prefix))

    def line_before(self, position: int) -> str:
        """The line up to a split at `position`, with the part of the opener before it."""
        return self._line_and_fence(position)[0]

    def fence_at(self, position: int) -> Fence | None:
        """The fence that is open when the part ends at `position`."""
        line, fence = self._line_and_fence(position)
        return fence_after_line(fence, line)

    def closer_at(self, position: int) -> str:
        """The closer of the open fence when the part ends at `position`; empty when there is none."""
        return self.fence_closer(self.fence_at(position), position)

    def fence_closer(self, fence: Fence | None, position: int) -> str:
        """The closer of `fence` after `position`, if it fits."""
        if fence is None:
            return ""
        closer = fence.closing_line(at_line_start=self.text[position - 1] in "\r\n")
        return closer if self.measure(closer) <= CLOSER_RESERVE else ""

    def _line_and_fence(self, position: int) -> tuple[str, Fence | None]:
        begin, fence = self.start, self.fence
        for line in iter_lines(self.text, self.start, position, self.fence, self._prefix):
            begin, fence = line.begin, line.fence_before
        return (self._prefix if begin == self.start else "") + self.text[begin:position], fence
