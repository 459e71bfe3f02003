"""Text analysis for full-text search: accent folding, stemming by language, and content words of questions."""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import pairwise

import Stemmer  # type: ignore[import-not-found]  # ships no types

STEMMING_VERSION = 2
"""To be raised when the same text gets other stems: every passage is then written to the full-text index again."""

MAX_QUERY_TERMS = 64
"""Most content words of a question that are looked up; a pasted page has thousands."""

_JOINERS = dict.fromkeys(map(ord, "\u00ad\u200c\u200d\u2060")) | {ord("_"): " "}
"""Characters inside words that say only how to write them, and the underscore, which Python counts as a letter."""
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
    "da": "danish", "de": "german", "en": "english", "es": "spanish", "fi": "finnish", "fr": "french",
    "hu": "hungarian", "it": "italian", "nl": "dutch", "no": "norwegian", "pt": "portuguese", "ro": "romanian",
    "ru": "russian", "sv": "swedish", "tr": "turkish",
}  # fmt: skip
"""Snowball stemmers by ISO 639-1 code."""

_STOP_ENGLISH = """
a about after all also am an and any are as at be been but by can could did do does for from had has have he her him
his how i if in into is it its me may might more most my no nor not of off on our out shall she should so some such
than that the their them then there these they this those to too under up us was we were what when where which while
who whom whose why will with would you your please tell know
"""
_STOP_FRENCH = """
a à ai aie ait as au aux avec avez avons c ce cela ces cet cette ceux chez ci combien comme comment d dans de des donc
dont du elle elles en es est et étaient était été être eu eux fait faut font il ils j je l la le les leur leurs lors
lui m ma mais me mes moi mon n ne ni nos notre nous on ont ou où par pas peu peut peux plus pour pourquoi qu quand que
quel quelle quelles quels qui quoi s sa sans se ses si sont suis sur t ta te tes toi ton tous tout toute toutes tu
un une va vais vas vont vos votre vous y
"""


_STOP_CHINESE = "什么 怎么 多少 多久 如何 何时 几点 请问 为什"
_FUNCTION_CHARACTER = re.compile("[的了吗呢吧嘛么哪谁在是]|^[\u3041-\u309f]+$")
"""In a pair of a question: the grammar of Chinese, or of Japanese, which has its words in other scripts."""


def split_words(text: str) -> list[str]:
    """The words of a text in order, in lower case, accents kept.

    A run of a script without spaces becomes its overlapping pairs of characters; a single character stays one.
    """
    found = _word_pattern().findall(unicodedata.normalize("NFC", text).translate(_JOINERS).lower())
    if text.isascii() or not _UNSPACED_CHARACTER.search(text):
        return found
    return [part for word in found for run in _RUN.findall(word) for part in _pairs(run)]


def strip_accents(word: str) -> str:
    """A word without accents, the form in the full-text index."""
    if word.isascii():
        return word
    return "".join(c for c in unicodedata.normalize("NFKD", word) if unicodedata.combining(c) in _KEPT_MARKS)


STOP_WORDS = frozenset(strip_accents(word) for word in (_STOP_ENGLISH + _STOP_FRENCH + _STOP_CHINESE).split())
"""English, French and Chinese stop words, folded.

Frequent words weigh little anyway; these are the words of questions (who, combien), which are rare in documents. Stop
words of one language that mean something in the other (`or` is gold, `son` a sound) are left out.
"""


class WordStemmer:
    """Stems words. Stemmers keep state, so each thread needs its own."""

    def __init__(self) -> None:
        self._stemmers: dict[str, Stemmer.Stemmer] = {}

    def stem_text(self, text: str, language: str) -> str:
        """The form of a text in the full-text index: its folded stems in order, separated by spaces."""
        stemmer = self._stemmer(language)
        found = split_words(text)
        return " ".join(strip_accents(stem) for stem in (stemmer.stemWords(found) if stemmer else found))

    def query_terms(self, text: str, languages: Iterable[str]) -> list[frozenset[str]]:
        """The distinct content words of a question, each as the set of its stems in the given languages."""
        content = _content_words(text)[:MAX_QUERY_TERMS]
        stemmers = [self._stemmer(language) for language in sorted(set(languages))] or [None]
        forms = (frozenset(_stem(stemmer, word) for stemmer in stemmers) - {""} for word in content)
        return list(dict.fromkeys(form for form in forms if form))

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


def _stem(stemmer: "Stemmer.Stemmer | None", word: str) -> str:
    return strip_accents(stemmer.stemWord(word) if stemmer else word)


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


def _content_words(text: str) -> list[str]:
    """The distinct words of a question without those that only ask, in order."""
    words = [word for word in dict.fromkeys(split_words(text)) if strip_accents(word) not in STOP_WORDS]
    return [word for word in words if not _FUNCTION_CHARACTER.search(word)] or words
