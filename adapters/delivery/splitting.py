"""Splits a text into messages that a platform takes, each whole by itself, the earlier ones stable while it grows."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from adapters.delivery.split_points import best_cut
from adapters.delivery.split_window import Cut, Window

Measure = Callable[[str], int]

# A smaller limit has no room for marks around the text.
SMALLEST_LIMIT = 64
_NOTHING_TO_SEE = re.compile(r"[\s\u00ad\u180e\u200b-\u200f\u2060-\u2064\ufeff]*")


@dataclass(frozen=True, slots=True)
class Part:
    """One message's share: `body` is text; `opener` and `closer` are what was put around it to keep Markdown whole."""

    opener: str
    body: str
    closer: str

    @property
    def shown(self) -> str:
        """What the message says."""
        return self.opener + self.body + self.closer

    @property
    def blank(self) -> bool:
        """Whether there is nothing to see in it: platforms refuse such a message, so it needs none."""
        return _NOTHING_TO_SEE.fullmatch(self.body) is not None


def split(text: str, limit: int, measure: Measure = len) -> list[Part]:
    """The parts of a text, none of which measures more than `limit`; their bodies joined are the text.

    `measure` adds up over the characters, at least 1 each (`len`, or bytes). An empty text has no parts. All parts but
    the last stay as they are whatever is appended to the text. Raises ValueError for a limit under `SMALLEST_LIMIT`.
    """
    return Splitter(limit, measure).split(text)


class Splitter:
    """Splits a growing text, looking again only at what follows its finished parts."""

    def __init__(self, limit: int, measure: Measure = len) -> None:
        if limit < SMALLEST_LIMIT:
            raise ValueError(f"A limit of {limit} is too small to split a text; {SMALLEST_LIMIT} is the smallest.")
        self._limit = limit
        self._measure = measure
        self._finished: list[Part] = []
        self._text = ""
        self._next = Cut(0)

    def split(self, text: str) -> list[Part]:
        """The same as `split(text, limit, measure)`."""
        if not text.startswith(self._text):
            self._finished, self._text, self._next = [], "", Cut(0)
        while (window := self._window(text)) is not None and window.overflows:
            self._finish(window)
        if window is None:
            return list(self._finished)
        return [*self._finished, Part(self._next.opener, text[window.start :], window.closer_at(len(text)))]

    def _window(self, text: str) -> Window | None:
        if self._next.position >= len(text):
            return None
        return Window(text, self._next, self._limit, self._measure)

    def _finish(self, window: Window) -> None:
        cut = best_cut(window)
        self._finished.append(Part(self._next.opener, window.text[window.start : cut.position], cut.closer))
        self._text, self._next = window.text[: cut.position], cut
