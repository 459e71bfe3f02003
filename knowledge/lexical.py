"""Text analysis for full-text search: words, accent folding, and stemming by language."""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import pairwise

import Stemmer  # type: ignore[import-not-found]  # ships no types

from knowledge.codes import find_compounds, find_numbers
from knowledge.dates import find_dates

STEMMING_VERSION = 3
"""To be raised when the same text gets other stems: every passage is then written to the full-text index again."""

_INVISIBLE = dict.fromkeys(map(ord, "\u00ad\u034f\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"))
"""Soft hyphens, zero-width characters and marks of direction: they say only how to write a word."""
_UNSPACED = {
    "han": "\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff",
    "hiragana": "\u3041-\u309f",
    "katakana": "\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9f",
    "hangul": "\uac00-\ud7a3",
    "thai": "\u0e01-\u0e4e",
    "lao": "\u0e80-\u0ece",
    "myanmar": "\u1000-\u103f\u1050-\u108f",
    "khmer": "\u1780-\u17d3",
}
"""Scripts without spaces between words, and Korean, whose particles are attached: their runs become pairs."""
_UNSPACED_CHARACTER = re.compile(f"[{''.join(_UNSPACED.values())}]")
_RUN = re.compile(
    "|".join(f"[{characters}]+" for characters in _UNSPACED.values()) + f"|[^{''.join(_UNSPACED.values())}]+"
)
_KEPT_MARKS = frozenset({0, 8, 9, 84, 91, 103, 107, 118, 122, 129, 130, 132})
"""Combining classes of marks without which a word is another one: kana voicing, viramas, vowels and tones of South-East
Asia. The others are accents, and the points of Hebrew and Arabic, which people leave out."""

SNOWBALL_NAMES: dict[str, str] = {
    "ar": "arabic", "ca": "catalan", "da": "danish", "de": "german", "el": "greek", "en": "english", "es": "spanish",
    "fi": "finnish", "fr": "french", "hi": "hindi", "hu": "hungarian", "id": "indonesian", "it": "italian",
    "lt": "lithuanian", "nl": "dutch", "no": "norwegian", "pt": "portuguese", "ro": "romanian", "ru": "russian",
    "sv": "swedish", "tr": "turkish",
}  # fmt: skip
"""Snowball stemmers by ISO 639-1 code."""


def visible_text(text: str) -> str:
    """A text in NFC without the invisible characters inside its words."""
    return unicodedata.normalize("NFC", text).translate(_INVISIBLE)


def find_words(text: str) -> Iterator[re.Match[str]]:
    """The words of a visible text with their places; a run of a script without spaces is one."""
    return _word_pattern().finditer(text.replace("_", " "))  # Python counts the underscore as a letter


def split_words(text: str) -> list[str]:
    """The words of a text in order, in lower case, accents kept.

    A run of a script without spaces becomes its overlapping pairs of characters; a single character stays one.
    """
    found = _word_pattern().findall(visible_text(text).replace("_", " ").lower())
    if text.isascii() or not _UNSPACED_CHARACTER.search(text):
        return found
    return [part for word in found for run in _RUN.findall(word) for part in _pairs(run)]


def strip_accents(word: str) -> str:
    """A word without accents, the form in the full-text index."""
    if word.isascii():
        return word
    return "".join(c for c in unicodedata.normalize("NFKD", word) if unicodedata.combining(c) in _KEPT_MARKS)


class WordStemmer:
    """Stems words. Stemmers keep state, so each thread needs its own."""

    def __init__(self) -> None:
        self._stemmers: dict[str, Stemmer.Stemmer] = {}

    def stem_text(self, text: str, language: str) -> str:
        """The form of a text in the full-text index: its folded stems in order, separated by spaces."""
        stemmer = self._stemmer(language)
        found = split_words(text)
        return " ".join(strip_accents(stem) for stem in (stemmer.stemWords(found) if stemmer else found))

    def stem_codes(self, text: str, language: str) -> str:
        """The words that stand for the dates, long numbers and short compounds of a text, separated by spaces."""
        plain = visible_text(text)
        dates = (meaning for date in find_dates(plain, language) for meaning in date.meanings)
        found = [each.word for date in dates for each in (date, *date.parts)]
        found += (spelling for number in find_numbers(plain) for spelling in number.spellings)
        found += (
            self.stem_text(joined, language) for compound in find_compounds(plain) for joined in compound.spellings
        )
        return " ".join(dict.fromkeys(found))

    def stem_forms(self, text: str, languages: Iterable[str]) -> frozenset[str]:
        """What a text may be in the index: its stems in each of the languages."""
        return frozenset(self.stem_text(text, language) for language in languages) - {""}

    def _stemmer(self, language: str) -> "Stemmer.Stemmer | None":
        name = SNOWBALL_NAMES.get(language)
        if name is None:
            return None
        if name not in self._stemmers:
            self._stemmers[name] = Stemmer.Stemmer(name)
        return self._stemmers[name]


def fts5_query(terms: Iterable[frozenset[str]]) -> str:
    """An FTS5 query for passages with any of the terms. Safe for user text: terms have no quotation marks."""
    return " OR ".join(f'"{form}"' for form in sorted(frozenset[str]().union(*terms)))


@cache
def _word_pattern() -> re.Pattern[str]:
    """Letters, digits, and the marks that follow them: vowels in Hindi and Thai, points in Hebrew and Arabic."""
    marks = (chr(code) for code in range(0x300, 0x20000) if unicodedata.category(chr(code)).startswith("M"))
    return re.compile(rf"\w[\w{''.join(marks)}]*")


def _pairs(run: str) -> Iterator[str]:
    if not _UNSPACED_CHARACTER.match(run):
        yield run
        return
    characters = _characters(run)
    if len(characters) == 1:
        yield run
    for first, second in pairwise(characters):
        yield first + second


def _characters(run: str) -> list[str]:
    """The characters of a run as people see them, each with its marks."""
    found: list[str] = []
    for character in run:
        if found and unicodedata.category(character).startswith("M"):
            found[-1] += character
        else:
            found.append(character)
    return found
