"""Split of a text into messages of limited size, each valid Markdown, the earlier ones stable while it grows."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from adapters.delivery.split_points import best_split_point
from adapters.delivery.split_window import SplitPoint, SplitWindow

TextMeasure = Callable[[str], int]

# A smaller limit leaves no space for delimiters around the text.
MIN_LIMIT = 64
_INVISIBLE = re.compile(r"[\s\u00ad\u180e\u200b-\u200f\u2060-\u2064\ufeff]*")


@dataclass(frozen=True, slots=True)
class SplitPart:
    """One message: `body` is its text; `opener` and `closer` are put around it to keep the Markdown valid."""

    opener: str
    body: str
    closer: str

    @property
    def full_text(self) -> str:
        """The text of the message."""
        return self.opener + self.body + self.closer

    @property
    def is_blank(self) -> bool:
        """Whether nothing in it is visible: platforms refuse such a message, so it needs none."""
        return _INVISIBLE.fullmatch(self.body) is not None


def split_text(text: str, limit: int, measure: TextMeasure = len, *, spoilers: bool = False) -> list[SplitPart]:
    """The parts of a text, none of which measures more than `limit`; their bodies joined are the text.

    `measure` adds up over the characters, at least 1 each (`len`, or bytes). An empty text has no parts. All parts but
    the last stay the same when text is appended. `spoilers`: two bars hide the text between them, as on Discord; a
    spoiler that is cut is hidden on both sides. Raises ValueError for a limit under `MIN_LIMIT`.
    """
    return TextSplitter(limit, measure, spoilers=spoilers).split_text(text)


class TextSplitter:
    """Splits a growing text, looking again only at what follows its finished parts."""

    def __init__(self, limit: int, measure: TextMeasure = len, *, spoilers: bool = False) -> None:
        if limit < MIN_LIMIT:
            raise ValueError(f"A limit of {limit} is too small to split a text; {MIN_LIMIT} is the smallest.")
        self._limit = limit
        self._measure = measure
        self._spoilers = spoilers
        self._finished: list[SplitPart] = []
        self._text = ""
        self._next = SplitPoint(0)

    def split_text(self, text: str) -> list[SplitPart]:
        """The same as `split_text(text, limit, measure)`."""
        if not text.startswith(self._text):
            self._finished, self._text, self._next = [], "", SplitPoint(0)
        while (window := self._window(text)) is not None and window.overflows:
            self._finish_part(window)
        if window is None:
            return list(self._finished)
        return [*self._finished, SplitPart(self._next.opener, text[window.start :], window.closer_at(len(text)))]

    def _window(self, text: str) -> SplitWindow | None:
        if self._next.position >= len(text):
            return None
        return SplitWindow(text, self._next, self._limit, self._measure, spoilers=self._spoilers)

    def _finish_part(self, window: SplitWindow) -> None:
        cut = best_split_point(window)
        self._finished.append(SplitPart(self._next.opener, window.text[window.start : cut.position], cut.closer))
        self._text, self._next = window.text[: cut.position], cut
