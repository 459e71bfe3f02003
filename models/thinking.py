"""Filter that removes a model's thinking from streamed text."""

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
    # Models with named channels think in one and answer in another; the header of the answer's channel is not text.
    "<|channel|>analysis": "<|channel|>final<|message|>",
    "<|channel|>commentary": "<|channel|>final<|message|>",
    "<|channel|>final": "<|message|>",
}

THINKING_TAGS = frozenset(_TAG_PAIRS) | frozenset(_TAG_PAIRS.values())
"""Tags that open or close thinking."""

_FIRST_CHARACTERS = frozenset(tag[0] for tag in THINKING_TAGS)

THINKING_TOKENS = THINKING_TAGS | {"<|channel|>", "<|message|>"}
"""Control tokens that must be decoded to text for `ThinkingFilter`, although they are never shown."""


class ThinkingFilter:
    """Drops thinking from streamed text; no part of a tag is ever shown."""

    def __init__(self, prompt_end: str = "") -> None:
        """`prompt_end` is the end of the rendered prompt: a template may open the thinking itself."""
        ending = prompt_end.rstrip()
        self._close = next((close for opening, close in _TAG_PAIRS.items() if ending.endswith(opening)), None)
        self._held = ""
        self._after_thinking = False

    def push_text(self, piece: str) -> str:
        """The text that may be shown now and was not returned before."""
        text = self._held + piece
        shown = ""
        while True:
            end, tag = _find_first_tag(text, _TAG_PAIRS if self._close is None else (self._close,))
            if self._close is None:
                shown += self._visible(text[:end])
            if not tag:
                self._held = text[end:]
                return shown
            self._close = _TAG_PAIRS[tag] if self._close is None else None
            self._after_thinking = True
            text = text[end + len(tag) :]

    def flush(self) -> str:
        """The text held back that did not become a tag, for the end of the stream."""
        held, self._held = self._held, ""
        return self._visible(held) if self._close is None else ""

    def _visible(self, text: str) -> str:
        """The text without the blank lines that follow thinking."""
        if self._after_thinking:
            text = text.lstrip()
            self._after_thinking = not text
        return text


def _find_first_tag(text: str, tags: Iterable[str]) -> tuple[int, str]:
    """Position and text of the first tag; without one, the start of the longest suffix that could become a tag, and "".

    A tag counts only when no text before it could still become one, so that the split into pieces changes nothing.
    """
    if _FIRST_CHARACTERS.isdisjoint(text):  # as in almost every piece
        return len(text), ""
    positions = [(position, -len(tag), tag) for tag in tags if (position := text.find(tag)) >= 0]
    position, _, tag = min(positions, default=(len(text), 0, ""))
    return (position, tag) if tag else (_possible_start(text, tags), "")


def _possible_start(text: str, tags: Iterable[str]) -> int:
    starts = (
        len(text) - length
        for tag in tags
        for length in range(min(len(tag) - 1, len(text)), 0, -1)
        if text.endswith(tag[:length])
    )
    return min(starts, default=len(text))
