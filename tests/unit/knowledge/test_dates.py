from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.dates import CalendarDate, find_dates


def meanings(text: str, language: str = "") -> list[str]:
    """The words of the dates of a text, those with two meanings joined by a bar."""
    return ["|".join(meaning.word for meaning in date.meanings) for date in find_dates(text, language)]


@pytest.mark.parametrize(
    "written",
    [
        "2025-03-05",
        "2025/03/05",
        "2025_03_05",
        "20250305",
        "IMG_20250305_1432.jpg",
        "2025-03-05T14:30",
        "05.03.2025",
        "5.3.2025",
        "5. 3. 2025",
        "05.03.25",
        "5 March 2025",
        "5th of March, 2025",
        "March 5, 2025",
        "Mar 5th 2025",
        "5-Mar-2025",
        "5 mars 2025",
        "5. März 2025",
        "am 5. Maerz 2025",
    ],
)
def test_a_day_is_the_same_in_all_its_forms(written: str) -> None:
    assert meanings(written) == ["2025·03·05"]


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("le 1er août 2024", ["2024·08·01"]),
        ("in December 2024", ["2024·12"]),
        ("2025-03_Stadtwerke.pdf", ["2025·03"]),
        ("février 2025", ["2025·02"]),
        ("on 12 May", ["·05·12"]),
        ("am 24.12. um acht", ["·12·24"]),
        ("le 14 juillet 1789", ["1789·07·14"]),
        ("10.12.2020-15.12.2020", ["2020·12·10", "2020·12·15"]),
    ],
)
def test_months_and_anniversaries_are_dates_too(written: str, words: list[str]) -> None:
    assert meanings(written) == words


def test_day_and_month_are_read_both_ways_where_people_write_both() -> None:
    assert meanings("3/5/2024") == meanings("3/5/2024", "en") == ["2024·05·03|2024·03·05"]
    assert meanings("3/5/2024", "fr") == ["2024·05·03"]
    assert meanings("12/25/2024", "fr") == meanings("25/12/2024") == ["2024·12·25"]
    assert meanings("3.5.2024") == ["2024·05·03"]
    assert meanings("3/5") == ["·05·03|·03·05"]


@pytest.mark.parametrize(
    "text",
    [
        "192.168.1.42",
        "version 1.2.3",
        "2019-2020",
        "17:30",
        "3.5 bar",
        "the 31 marches in mayhem",
        "WP-150-30",
        "99/99/2024",
        "1,000,000",
    ],
)
def test_other_numbers_are_no_dates(text: str) -> None:
    assert meanings(text) == []


def test_a_day_belongs_to_its_month_and_its_anniversary() -> None:
    assert [part.word for part in CalendarDate(2025, 3, 5).parts] == ["2025·03", "·03·05"]
    assert CalendarDate(2025, 3, 0).parts == CalendarDate(0, 3, 5).parts == ()


@given(st.text(alphabet="0123456789.-/ :_March,TMai"))
def test_dates_are_in_order_and_possible(text: str) -> None:
    found = find_dates(text)
    assert all(one.end <= other.start for one, other in pairwise(found))
    assert all(1 <= meaning.month <= 12 and 0 <= meaning.day <= 31 for date in found for meaning in date.meanings)
    assert all(date.meanings and date.start < date.end for date in found)
