"""Dates in texts, found in the forms that people write in English, French and German."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

_MONTH_NAMES = (
    "january jan janvier janv januar jänner jaenner",
    "february feb février fevrier févr fevr fév fev februar feber",
    "march mar mars märz maerz mrz marz",
    "april apr avril avr",
    "may mai",
    "june jun juin juni",
    "july jul juillet juil juli",
    "august aug août aout",
    "september sept sep septembre",
    "october oct octobre oktober okt",
    "november nov novembre",
    "december dec décembre decembre déc dezember dez",
)
_MONTHS = {name: number for number, names in enumerate(_MONTH_NAMES, start=1) for name in names.split()}
_MONTH = f"(?P<month>{'|'.join(sorted(_MONTHS, key=len, reverse=True))})(?![^\\W_])\\.?"
_YEAR = r"(?P<year>1[0-9]\d\d|2[01]\d\d)(?!\d)"
_DAY = r"(?P<day>0?[1-9]|[12]\d|3[01])"
_NO_NUMBER_BEFORE = r"(?<!\d)(?<!\d[.,/-])"

_DAY_AFTER = rf"{_DAY}(?:st|nd|rd|th)?(?![\d:]|[.,]\d)"
_NAMED = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"{_NO_NUMBER_BEFORE}{_DAY}(?:st|nd|rd|th|er|\.)?[ -]?(?:of |de )?{_MONTH}(?:(?:,? (?:de )?|[-/]){_YEAR})?",
        rf"(?<![^\W_]){_MONTH}[ -]{_DAY_AFTER}(?:,? {_YEAR})?",
        rf"(?<![^\W_]){_MONTH},? (?:de )?{_YEAR}(?P<day>)",
    )
)
_YEAR_FIRST = tuple(
    re.compile(pattern)
    for pattern in (
        rf"(?<!\d)(?<!\d[.,/-])(?P<year>1[0-9]\d\d|2[01]\d\d)(?P<gap>[-/._])(?P<month>0?[1-9]|1[0-2])(?:(?P=gap){_DAY}(?!\d)|(?!\d|[./-]\d))",
        r"(?<!\d)(?P<year>19\d\d|20\d\d)(?P<month>0[1-9]|1[0-2])(?P<day>0[1-9]|[12]\d|3[01])(?!\d)",
    )
)
_YEAR_LAST = re.compile(
    r"(?<!\d)(?<!\d[.,/])(?P<first>\d\d?)(?P<gap>[-/.]) ?(?P<second>\d\d?)(?P=gap) ?"
    r"(?P<year>1[0-9]\d\d|2[01]\d\d|\d\d)(?!\d|[./]\d)"
)
_DIGIT = re.compile(r"\d")
_NO_YEAR = re.compile(
    rf"{_NO_NUMBER_BEFORE}(?P<first>\d\d?)(?:/(?P<second>\d\d?)|\. ?(?P<month>\d\d?)\.)(?!\d|[./-]\d)"
)

_JOINT = "·"
"""Joins the numbers of a date into one word of the full-text index, whose tokenizer keeps it."""


@dataclass(frozen=True, slots=True, order=True)
class CalendarDate:
    """A day, a month of a year (`day` 0), or a day of every year (`year` 0)."""

    year: int
    month: int
    day: int

    @property
    def word(self) -> str:
        """The word that stands for it in the full-text index."""
        year, day = (f"{self.year:04}" if self.year else ""), (f"{_JOINT}{self.day:02}" if self.day else "")
        return f"{year}{_JOINT}{self.month:02}{day}"

    @property
    def parts(self) -> "tuple[CalendarDate, ...]":
        """The month and the anniversary of a day with a year; nothing of the others."""
        if not (self.year and self.day):
            return ()
        return CalendarDate(self.year, self.month, 0), CalendarDate(0, self.month, self.day)


@dataclass(frozen=True, slots=True)
class WrittenDate:
    """A date in a text, from `start` to `end`, with its meanings: two where day and month can be read either way."""

    start: int
    end: int
    meanings: tuple[CalendarDate, ...]


def find_dates(text: str, language: str = "") -> list[WrittenDate]:
    """The dates of a text in order, without overlaps.

    `3/5` is read both ways unless the language writes the day first (any but English and an unclear one).
    """
    if not _DIGIT.search(text):
        return []
    both_ways = language in ("", "en")
    found = sorted(chain(_named(text), _year_first(text), _year_last(text, both_ways), _no_year(text, both_ways)))
    dates: list[WrittenDate] = []
    for start, negative_end, meanings in found:
        if meanings and (not dates or start >= dates[-1].end):
            dates.append(WrittenDate(start, -negative_end, meanings))
    return dates


_Found = tuple[int, int, tuple[CalendarDate, ...]]
"""Start, the end negated so that of two dates with one start the longer comes first, and the meanings."""


def _named(text: str) -> Iterator[_Found]:
    for match in chain.from_iterable(pattern.finditer(text) for pattern in _NAMED):
        year, month, day = match["year"], match["month"], match["day"]
        yield match.start(), -match.end(), (CalendarDate(int(year or 0), _MONTHS[month.lower()], int(day or 0)),)


def _year_first(text: str) -> Iterator[_Found]:
    for match in chain.from_iterable(pattern.finditer(text) for pattern in _YEAR_FIRST):
        year, month, day = match["year"], match["month"], match["day"]
        if day or len(month) > 1:  # 2025.3 is a version
            yield match.start(), -match.end(), (CalendarDate(int(year), int(month), int(day or 0)),)


def _year_last(text: str, both_ways: bool) -> Iterator[_Found]:
    for match in _YEAR_LAST.finditer(text):
        first, second, year, gap = match["first"], match["second"], match["year"], match["gap"]
        if len(year) == 2 and (gap == "-" or len(first) < 2 or len(second) < 2):  # 1.2.10 is a version
            continue
        full_year = int(year) if len(year) == 4 else 2000 + int(year) - (100 if int(year) > 69 else 0)
        yield match.start(), -match.end(), _day_and_month(first, second, full_year, both_ways and gap != ".")


def _no_year(text: str, both_ways: bool) -> Iterator[_Found]:
    for match in _NO_YEAR.finditer(text):
        second = match["second"] or match["month"]
        yield match.start(), -match.end(), _day_and_month(match["first"], second, 0, both_ways and not match["month"])


def _day_and_month(first: str, second: str, year: int, both_ways: bool) -> tuple[CalendarDate, ...]:
    orders = [(int(first), int(second))]
    if both_ways or int(second) > 12:
        orders.append((int(second), int(first)))
    meanings = (CalendarDate(year, month, day) for day, month in orders if 1 <= month <= 12 and 1 <= day <= 31)
    return tuple(dict.fromkeys(meanings))
