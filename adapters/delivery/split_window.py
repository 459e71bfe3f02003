"""What is seen of a text while one part of it is chosen."""

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from adapters.delivery.code_fences import Fence, Line, behind, lines

# Room kept for what closes a part. A fence whose end measures more is left open.
CLOSER_ROOM = 24


@dataclass(frozen=True, slots=True)
class Cut:
    """Where a part begins: what is put before it, the fence or the marks of the inline code that it goes on with, and
    what closed the part before.
    """

    position: int
    opener: str = ""
    fence: Fence | None = None
    code: str = ""
    closer: str = ""


class Window:
    """What is seen of a text when a part begins at `start`: as much as surely fits, and no character more.

    That nothing behind it is looked at is what makes finished parts stable while the text grows.
    """

    def __init__(self, text: str, begin: Cut, limit: int, measure: Callable[[str], int]) -> None:
        self.text = text
        self.start = begin.position
        self.fence = begin.fence
        self.code = begin.code
        self.room = limit - measure(begin.opener)
        self.measure = measure
        self.limit = limit
        self._prefix = begin.opener.rpartition("\n")[2]

    @property
    def overflows(self) -> bool:
        """Whether the text from `start` does not fit with what closes it, or did not at an earlier length: text that is
        appended never makes an overflow undone.
        """
        if self.measure(self.text[self.start : self.start + self.room + 1]) > self.room:
            return True
        rest = self.text[self.start :]
        if self.fence is None and "```" not in rest and "~~~" not in rest:
            return False
        return any(
            self.measure(self.text[self.start : end]) + self.measure(self.closer_at(end)) > self.room
            for end in range(self.end, len(self.text) + 1)
        )

    @cached_property
    def end(self) -> int:
        """The offset up to which text fits, whatever has to close it. At least one character fits."""
        most = min(len(self.text), self.start + self.room) - self.start
        room = self.room - CLOSER_ROOM
        fits = bisect_right(
            range(most + 1), room, key=lambda count: self.measure(self.text[self.start : self.start + count])
        )
        return self.start + max(1, fits - 1)

    @cached_property
    def lines(self) -> list[Line]:
        """The lines that fit, the last one perhaps not to its end."""
        return list(lines(self.text, self.start, self.end, self.fence, self._prefix))

    def line_before(self, position: int) -> str:
        """The line up to a cut at `position`, with what its part's opener put before it."""
        return self._line_to(position)[0]

    def fence_at(self, position: int) -> Fence | None:
        """The fence that is open when the part ends at `position`."""
        line, fence = self._line_to(position)
        return behind(fence, line)

    def closer_at(self, position: int) -> str:
        """What closes the open fence when the part ends at `position`; nothing when there is none."""
        return self.closer(self.fence_at(position), position)

    def closer(self, fence: Fence | None, position: int) -> str:
        """What closes `fence` behind `position`, if there is room for it."""
        if fence is None:
            return ""
        closer = fence.closer(at_line_start=self.text[position - 1] in "\r\n")
        return closer if self.measure(closer) <= CLOSER_ROOM else ""

    def _line_to(self, position: int) -> tuple[str, Fence | None]:
        begin, fence = self.start, self.fence
        for line in lines(self.text, self.start, position, self.fence, self._prefix):
            begin, fence = line.begin, line.before
        return (self._prefix if begin == self.start else "") + self.text[begin:position], fence
