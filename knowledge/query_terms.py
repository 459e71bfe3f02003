"""Analysis of questions: the words, dates and codes to look up in the full-text index, and the clause that asks."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from knowledge.codes import Code, find_codes, find_compounds, find_numbers
from knowledge.dates import WrittenDate, find_dates
from knowledge.lexical import WordStemmer, find_words, split_words, strip_accents, visible_text
from knowledge.stop_words import STOP_WORDS

MAX_QUERY_TERMS = 64
"""Most content words of a question that are looked up; a pasted page has thousands."""

_FUNCTION_PAIR = re.compile("[的了吗呢吧嘛么哪谁在是]|^[\u3041-\u309f]+$")
"""In a pair of a question: the grammar of Chinese, or of Japanese, which has its words in other scripts."""
_WORD_LETTERS = 4
"""A piece of a code from this length on says something by itself: `lease` in lease-2024-b, not `wp` in WP-150-30."""
_NUMBER_DIGITS = 3
"""A longer number is found without the noun before it."""
_PRONOUNS_AND_ARTICLES = frozenset("aiyàáéèoóôuü")
"""Single letters that are words of English, French, Spanish and Italian."""
_SUMMER_FOLLOWS = frozenset({"en", "l", "d", "cet", "chaque", "un", "bel", "plein", "mi", "prochain", "dernier"})
"""French words before the summer, which is otherwise a participle (a été)."""
_NAMES = frozenset({"may", "will"})
_ACRONYMS = frozenset({"ai", "it", "un", "us", "who"})
"""Names whose letters are stop words of English or French; other words in capitals are only stressed."""
_SENTENCE_START = re.compile(r"(?:^|[.!?:;\n])\W*$")
_NUMBER_SIGN = re.compile(r"[ \u00a0](?:n[°º]|no\.|nr\.|#)? ?", re.IGNORECASE)

_ASKING = re.compile(
    r"(?<![^\W_])(?:where|when|who|what|how|which|why|whose|où|quand|comment|combien|pourquoi|quel|quelle|quels|quelles"
    r"|wo|wann|wer|wie|warum|wieso|welche[mnrs]?)(?![^\W_])"
    r"|(?:^|(?<=[,;:.!?\n]\s))(?:is|are|was|were|do|does|did|can|could|will|would|should|has|have|est-ce|y a-t-il"
    r"|peut-on|as-tu|avez-vous|ist|sind|hat|haben|kann|können|gibt|darf|muss|soll|wird)(?![^\W_])",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"[.!?\n](?!\w)")
_CHATTY_WORDS = 12
"""Content words from which on a question may be a story with the question somewhere in it."""
_CLAUSE_WORDS = 3
_CLAUSE_SHARE = 0.6


@dataclass(frozen=True, slots=True)
class QueryTerm:
    """Something to look up: any of `forms`, stems or phrases of stems separated by spaces.

    `parts` are looked up too when no form is in the index, instead of the whole unless it is `essential`.
    `word` is the word as it was written, empty for codes and dates. `identifies`: it is the number of one part or
    device, so that nothing is relevant when it is nowhere.
    """

    forms: frozenset[str]
    parts: tuple[frozenset[str], ...] = ()
    essential: bool = True
    word: str = ""
    identifies: bool = False


def question_terms(text: str, languages: Iterable[str], stemmer: WordStemmer) -> list[QueryTerm]:
    """The distinct terms of a question in order, without the words that only ask."""
    reader = _QuestionReader(visible_text(text), sorted(set(languages)) or [""], stemmer)
    found = [term for _, term in sorted(reader.terms(), key=lambda placed: placed[0])]
    plain = [term for term in found if not _FUNCTION_PAIR.search(term.word)] or found
    return list({term.forms: term for term in plain if term.forms}.values())[:MAX_QUERY_TERMS]


def asking_clause(text: str) -> str:
    """The last clause of a long message that asks something; empty when the message is short or has none."""
    size = _count_content(text)
    if size < _CHATTY_WORDS:
        return ""
    for match in reversed(list(_ASKING.finditer(text))):
        clause = _clause_from(text, match.start())
        if _count_content(clause) >= _CLAUSE_WORDS:
            return clause if _count_content(clause) <= _CLAUSE_SHARE * size else ""
    return ""


def _clause_from(text: str, start: int) -> str:
    """The text from `start` to the end of its sentence, or to the first comma after enough words."""
    end = _SENTENCE_END.search(text, start)
    pieces = text[start : end.end() if end else len(text)].split(", ")
    for count in range(1, len(pieces)):
        clause = ", ".join(pieces[:count])
        if _count_content(clause) >= _CLAUSE_WORDS:
            return clause
    return ", ".join(pieces).strip()


def _count_content(text: str) -> int:
    return len({word for word in split_words(text) if strip_accents(word) not in STOP_WORDS})


class _QuestionReader:
    """Reads one question; `text` is visible text."""

    def __init__(self, text: str, languages: Sequence[str], stemmer: WordStemmer) -> None:
        self._text = text
        self._languages = languages
        self._stemmer = stemmer
        self._shouted = text == text.upper()
        self._taken: list[tuple[int, int]] = []

    def terms(self) -> Iterator[tuple[int, QueryTerm]]:
        """The terms with their places; what is part of a date or code is no word."""
        for date in find_dates(self._text):
            yield self._take(date), self._date_term(date)
        for code in (*find_numbers(self._text), *find_codes(self._text), *find_compounds(self._text)):
            if self._is_free(code.start, code.end) and not self._asks(code):
                yield self._take(code), self._code_term(code)
                yield from ((code.start, self._word_term(piece)) for piece in self._words_of(code))
        yield from self._word_terms()

    def _take(self, found: WrittenDate | Code) -> int:
        self._taken.append((found.start, found.end))
        return found.start

    def _is_free(self, start: int, end: int) -> bool:
        return all(end <= other_start or start >= other_end for other_start, other_end in self._taken)

    def _date_term(self, date: WrittenDate) -> QueryTerm:
        forms = {meaning.word for meaning in date.meanings}
        if not all(meaning.year and meaning.day for meaning in date.meanings):
            forms |= self._stems(self._text[date.start : date.end])  # 3/5 may be a fraction, 2011-12 a season
        parts = dict.fromkeys(part for meaning in date.meanings for part in meaning.parts)
        return QueryTerm(frozenset(forms), tuple(frozenset({part.word}) for part in parts))

    def _code_term(self, code: Code) -> QueryTerm:
        written = self._text[code.start : code.end]
        forms = self._stems(written).union(*(self._stems(spelling) for spelling in code.spellings))
        words = split_words(written)
        # A code of one word is looked up itself: as its own part, it would count twice.
        pieces = [word for word in words if len(word) >= _WORD_LETTERS and not word.isalpha() and len(words) > 1]
        identifies = code.identifies and not pieces and not self._words_of(code)
        return QueryTerm(forms, tuple(self._stems(piece) for piece in pieces), identifies=identifies)

    def _words_of(self, code: Code) -> list[str]:
        pieces = split_words(self._text[code.start : code.end])
        return [p for p in pieces if len(p) >= _WORD_LETTERS and p.isalpha() and strip_accents(p) not in STOP_WORDS]

    def _asks(self, code: Code) -> bool:
        """Whether a chain is made of the words of a question, such as a-t-il, and not of a thing."""
        pieces = split_words(self._text[code.start : code.end])
        return all(piece.isalpha() for piece in pieces) and any(strip_accents(p) in STOP_WORDS for p in pieces)

    def _word_terms(self) -> Iterator[tuple[int, QueryTerm]]:
        before: re.Match[str] | None = None
        content = False
        for match in find_words(self._text):
            if not self._is_free(match.start(), match.end()):
                before, content = None, False
                continue
            follows_noun = content and before is not None and before[0].isalpha() and len(before[0]) > 1
            if follows_noun and before is not None and self._is_designation(match, before):
                yield match.start(), self._designated_term(before[0], match[0])
                content = False
            else:
                content = self._is_content(match, before)
                if content:
                    yield from ((match.start(), self._word_term(part)) for part in self._parts(match[0]))
            before = match

    def _parts(self, word: str) -> list[str]:
        """The word, or the pairs of a script without spaces that do not only ask."""
        parts = split_words(word)
        return parts if len(parts) == 1 else [part for part in parts if strip_accents(part) not in STOP_WORDS]

    def _is_designation(self, match: re.Match[str], before: re.Match[str]) -> bool:
        """Whether a single letter or short number says which one is meant: circuit C, shelf 3."""
        if not _NUMBER_SIGN.fullmatch(self._text[before.end() : match.start()]):
            return False
        if match[0].isdecimal():
            return len(match[0]) <= _NUMBER_DIGITS
        return len(match[0]) == 1 and self._names_a_thing(match)

    def _is_content(self, match: re.Match[str], before: re.Match[str] | None) -> bool:
        word = match[0]
        if len(word) == 1 and word.isalpha() and word.isascii():
            return strip_accents(word.lower()) not in STOP_WORDS or (word.isupper() and self._names_a_thing(match))
        folded = strip_accents(word.lower())
        if folded not in STOP_WORDS:
            return True
        if word.lower() == "été":
            return before is not None and before[0].lower() in _SUMMER_FOLLOWS
        if word.isupper() and not self._shouted:
            return folded in _ACRONYMS
        return word.istitle() and folded in _NAMES and not _SENTENCE_START.search(self._text[: match.start()])

    def _names_a_thing(self, match: re.Match[str]) -> bool:
        """Whether a single letter is a name, not a word or what is left of one (l'eau, don't, a-t-il)."""
        start, end = match.span()
        letter, previous, following = match[0], self._text[max(0, start - 1) : start], self._text[end : end + 1]
        if (following in ("'", "’", "-") and following) or (previous in ("'", "’", "-") and previous):
            return False
        if following == "." and (self._text[end + 1 :].strip() or self._text[:start].rstrip().endswith(",")):
            return False  # an initial
        if letter.isupper() and not self._shouted:
            if letter == "I":
                return bool(self._text[:start].strip()) and not self._text[end:].strip(" .?!,;)")
            return letter != "A" or not _SENTENCE_START.search(self._text[:start])
        return letter.lower() not in _PRONOUNS_AND_ARTICLES and self._ends_phrase(end)

    def _ends_phrase(self, end: int) -> bool:
        """Whether nothing follows, or a word that only asks."""
        following = next(find_words(self._text[end:]), None)
        if following is None or self._text[end : end + following.start()].strip():
            return True
        return strip_accents(following[0].lower()) in STOP_WORDS

    def _designated_term(self, noun: str, designation: str) -> QueryTerm:
        return QueryTerm(self._stems(f"{noun} {designation}"), (self._stems(designation),), essential=False)

    def _word_term(self, word: str) -> QueryTerm:
        return QueryTerm(self._stems(word), word=word)

    def _stems(self, text: str) -> frozenset[str]:
        return self._stemmer.stem_forms(text, self._languages)
