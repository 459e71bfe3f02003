"""Emoji of verifications by their numbers."""

from collections.abc import Sequence

# The table of the specification ("SAS method: emoji"), which nio has; the rest of nio's verification is unused.
from nio.crypto.sas import Sas  # type: ignore[import-untyped]

EMOJI_TABLE: Sequence[tuple[str, str]] = Sas.emoji


def emoji_glyphs(numbers: Sequence[int]) -> str:
    """The emoji characters, separated by spaces."""
    return " ".join(EMOJI_TABLE[number][0] for number in numbers)


def emoji_names(numbers: Sequence[int]) -> str:
    """The emoji with their English names, for a log whose font may lack them."""
    return ", ".join(" ".join(EMOJI_TABLE[number]) for number in numbers)
