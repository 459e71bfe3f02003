"""Lays the text of an answer out on messages: pieces of at most Discord's length, and what goes below them."""

from collections.abc import Sequence

from adapters.discord.limits import CONTENT_CHARACTERS


def pages(text: str, below: str = "") -> list[str]:
    """The texts of the messages, in order. `below` follows the last piece, in a message of its own where it must."""
    shown = [text[i : i + CONTENT_CHARACTERS] for i in range(0, len(text), CONTENT_CHARACTERS)] if text.strip() else []
    return _with_below(shown, below) if below else shown


def _with_below(shown: Sequence[str], below: str) -> list[str]:
    if shown and len(shown[-1]) + len(below) + 2 <= CONTENT_CHARACTERS:
        return [*shown[:-1], f"{shown[-1]}\n\n{below}"]
    return [*shown, *_lines(below)]


def _lines(text: str) -> list[str]:
    """Lines gathered into messages; no line of ours is as long as a message."""
    gathered: list[str] = []
    for line in text.split("\n"):
        if gathered and len(gathered[-1]) + 1 + len(line) <= CONTENT_CHARACTERS:
            gathered[-1] += f"\n{line}"
        else:
            gathered.append(line[:CONTENT_CHARACTERS])
    return gathered
