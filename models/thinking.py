"""Keeping a model's thinking out of its reply while the text arrives in pieces."""

from collections.abc import Iterable

_TAG_PAIRS = {
    "<think>": "</think>",
    "<thinking>": "</thinking>",
    "<thought>": "</thought>",
    "<reasoning>": "</reasoning>",
    "<seed:think>": "</seed:think>",
    "[THINK]": "[/THINK]",
    "◁think▷": "◁/think▷",
    "<|START_THINKING|>": "<|END_THINKING|>",
    # Models that name channels think in one and answer in another; the answer's own header is no text either.
    "<|channel|>analysis": "<|channel|>final<|message|>",
    "<|channel|>commentary": "<|channel|>final<|message|>",
    "<|channel|>final": "<|message|>",
}

THINKING_TAGS = frozenset(_TAG_PAIRS) | frozenset(_TAG_PAIRS.values())
"""The texts that open or close thinking."""

_FIRST_CHARACTERS = frozenset(mark[0] for mark in THINKING_TAGS)

THINKING_TOKENS = THINKING_TAGS | {"<|channel|>", "<|message|>"}
"""Control tokens that a decoder must show to `ThinkingFilter` as text, although people never see them."""


class ThinkingFilter:
    """Drops thinking from a text that arrives in pieces; no part of a tag is ever shown."""

    def __init__(self, prompt_end: str = "") -> None:
        """`prompt_end` is how the rendered prompt ends: a template may open the thinking itself."""
        ending = prompt_end.rstrip()
        self._close = next((close for opening, close in _TAG_PAIRS.items() if ending.endswith(opening)), None)
        self._held = ""
        self._after_thinking = False

    def push_text(self, piece: str) -> str:
        """The part of the text up to now that may be shown and was not shown before."""
        text = self._held + piece
        shown = ""
        while True:
            end, mark = _first_tag(text, _TAG_PAIRS if self._close is None else (self._close,))
            if self._close is None:
                shown += self._visible(text[:end])
            if not mark:
                self._held = text[end:]
                return shown
            self._close = _TAG_PAIRS[mark] if self._close is None else None
            self._after_thinking = True
            text = text[end + len(mark) :]

    def flush(self) -> str:
        """What was held back and turned out to be no tag, when no more text comes."""
        held, self._held = self._held, ""
        return self._visible(held) if self._close is None else ""

    def _visible(self, text: str) -> str:
        """The text without the blank lines that models put after their thinking."""
        if self._after_thinking:
            text = text.lstrip()
            self._after_thinking = not text
        return text


def _first_tag(text: str, marks: Iterable[str]) -> tuple[int, str]:
    """Where the first mark begins and which; else where the longest ending begins that could become one, and "".

    A mark counts only when nothing before it could still become one, so that pieces do not change the outcome.
    """
    if _FIRST_CHARACTERS.isdisjoint(text):  # as in almost every piece
        return len(text), ""
    places = [(place, -len(mark), mark) for mark in marks if (place := text.find(mark)) >= 0]
    place, _, mark = min(places, default=(len(text), 0, ""))
    return (place, mark) if mark else (_possible_start(text, marks), "")


def _possible_start(text: str, marks: Iterable[str]) -> int:
    starts = (
        len(text) - length
        for mark in marks
        for length in range(min(len(mark) - 1, len(text)), 0, -1)
        if text.endswith(mark[:length])
    )
    return min(starts, default=len(text))
