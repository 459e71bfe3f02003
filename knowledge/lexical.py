"""Text analysis for full-text search: accent folding, stemming by language, and content words of questions."""

import re
import unicodedata
from collections.abc import Iterable

import Stemmer  # type: ignore[import-not-found]  # ships no types

MAX_QUERY_TERMS = 64
"""Most content words of a question that are looked up; a pasted page has thousands."""

_WORD = re.compile(r"[^\W_]+")

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


def split_words(text: str) -> list[str]:
    """The words of a text in order, in lower case, accents kept."""
    return _WORD.findall(unicodedata.normalize("NFC", text).lower())


def strip_accents(word: str) -> str:
    """A word without accents, the form in the full-text index."""
    return "".join(c for c in unicodedata.normalize("NFKD", word) if not unicodedata.combining(c))


STOP_WORDS = frozenset(strip_accents(word) for word in (_STOP_ENGLISH + _STOP_FRENCH).split())
"""English and French stop words, folded.

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
        content = [word for word in dict.fromkeys(split_words(text)) if strip_accents(word) not in STOP_WORDS][
            :MAX_QUERY_TERMS
        ]
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
    """An FTS5 query for passages with any of the terms. Safe for user text: terms consist of letters and digits."""
    return " OR ".join(f'"{form}"' for form in sorted(frozenset[str]().union(*terms)))


def _stem(stemmer: "Stemmer.Stemmer | None", word: str) -> str:
    return strip_accents(stemmer.stemWord(word) if stemmer else word)
