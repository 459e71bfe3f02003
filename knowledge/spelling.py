"""Near spellings of a word: what it may have been meant to be, one slip of the pen away."""

from knowledge.lexical import strip_accents

FEWEST_LETTERS = 5
"""Letters of a word from which on a neighbour is more likely a slip than another word."""

_ALPHABETS = (
    "abcdefghijklmnopqrstuvwxyz",
    "абвгдежзийклмнопрстуфхцчшщъыьэюяіїєґ",
    "αβγδεζηθικλμνοπρστυφχψωσς",
    "אבגדהוזחטיכךלמםנןסעפףצץקרשת",
    "ابتثجحخدذرزسشصضطظعغفقكلمنهويةىء",
)


def near_spellings(stem: str) -> set[str]:
    """The spellings with one letter left out, added or exchanged after the first, or two neighbours swapped.

    Empty for a short word, and for one that is not written in a single alphabet that is known here.
    """
    alphabet = next((letters for letters in _ALPHABETS if set(stem) <= set(letters)), "")
    if not alphabet or len(stem) < FEWEST_LETTERS - 1:
        return set()
    cuts = [(stem[:place], stem[place:]) for place in range(1, len(stem) + 1)]
    left_out = {start + rest[1:] for start, rest in cuts if rest}
    exchanged = {start + letter + rest[1:] for start, rest in cuts if rest for letter in alphabet}
    added = {start + letter + rest for start, rest in cuts for letter in alphabet}
    swapped = {stem[:place] + stem[place + 1] + stem[place] + stem[place + 2 :] for place in range(len(stem) - 1)}
    return (left_out | exchanged | added | swapped) - {stem}


def is_near(word: str, other: str) -> bool:
    """Whether two words as they are written are one slip apart, accents and a plural's `s` aside."""
    one, another = (strip_accents(each).removesuffix("s") for each in (word, other))
    return another in near_spellings(one)
