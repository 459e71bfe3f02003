"""The emoji of verifications by their numbers."""

from collections.abc import Sequence

# The table of the specification ("SAS method: emoji"), which nio has; the rest of nio's verification is of no use.
from nio.crypto.sas import Sas  # type: ignore[import-untyped]

TABLE: Sequence[tuple[str, str]] = Sas.emoji


def glyphs(numbers: Sequence[int]) -> str:
    """The emoji themselves."""
    return " ".join(TABLE[number][0] for number in numbers)


def named(numbers: Sequence[int]) -> str:
    """The emoji with their English names, for a log whose font may lack them."""
    return ", ".join(" ".join(TABLE[number]) for number in numbers)
