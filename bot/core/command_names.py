"""Names of commands as people write them: without accents, in any case, with typos. Pure."""

import difflib
import re
import unicodedata
from collections.abc import Collection

FRENCH_NAMES = frozenset(["aide", "arrete", "arreter", "oublie", "oublier", "reindexe", "reindexer"])
"""Folded names of commands that only somebody who speaks French writes."""
_WORD = re.compile(r"[^\W\d_][\w-]*")
_CLOSING_MARKS = " .!?…。！？"
_LEAST_LIKENESS = 0.7
"""`forgett` and `hlep` are as near as this to a command; `important` and `etc` are not."""


def fold_name(word: str) -> str:
    """A word without accents, case and invisible characters, composed or not: `Arrête` is `arrete`."""
    decomposed = unicodedata.normalize("NFKD", word)
    kept = (
        letter for letter in decomposed if not unicodedata.combining(letter) and unicodedata.category(letter) != "Cf"
    )
    return "".join(kept).casefold()


def is_french_command(text: str) -> bool:
    """Whether a message is a command with a French name, with or without a prefix."""
    word, _ = split_command(text.strip())
    return fold_name(strip_closing_marks(word).lstrip("!/?.")) in FRENCH_NAMES


def split_command(text: str) -> tuple[str, str]:
    """The first word and the rest; any white space parts them, also a line break or a no-break space."""
    parts = text.split(maxsplit=1)
    if not parts or text[0].isspace():
        return "", text.strip()
    return parts[0], parts[1].strip() if len(parts) > 1 else ""


def strip_closing_marks(text: str) -> str:
    """A text without the marks at its end: `stop!` and `help ?` are the words alone."""
    return text.strip().rstrip(_CLOSING_MARKS)


def is_name_like(word: str) -> bool:
    """Whether a word could be meant as the name of a command, as a path or a price could not."""
    return _WORD.fullmatch(word) is not None


def nearest_name(word: str, names: Collection[str]) -> str | None:
    """The name that a word is most likely a misspelling of, or None."""
    near = difflib.get_close_matches(fold_name(word), sorted(names), n=1, cutoff=_LEAST_LIKENESS)
    return near[0] if near else None
