"""The picture of the last day: what is counted where, and that it is one."""

import io
import time
from datetime import datetime

import pytest
from PIL import Image, ImageFont

from bot.core.chart import COUNTS, DELAYS, HOURS, SIZE, draw_chart, group_by_hour
from bot.core.history import AnswerStats
from bot.core.messages import Timings
from bot.core.observe import Outcome
from bot.core.texts import LANGUAGES, Language, localize

NOON = datetime(2026, 5, 4, 12, 30).astimezone().timestamp()
TITLES = ("answers", "seconds")


def answer(minutes_ago: float, first_token_s: float = 1.0, outcome: Outcome = "answered") -> AnswerStats:
    return AnswerStats(NOON - 60 * minutes_ago, outcome, Timings(first_token_s=first_token_s))


def colours(picture: bytes) -> set[str]:
    found = Image.open(io.BytesIO(picture)).convert("RGB").getcolors(maxcolors=100_000)
    assert found is not None
    return {f"#{red:02x}{green:02x}{blue:02x}" for _, (red, green, blue) in found}  # type: ignore[misc]


def test_answers_are_counted_in_the_hour_of_the_clock_they_ended_in() -> None:
    hours = group_by_hour([answer(95), answer(20), answer(10), answer(5)], NOON)
    assert [(hour.label, hour.answers) for hour in hours[-3:]] == [(10, 1), (11, 0), (12, 3)]
    assert len(hours) == HOURS


def test_the_delay_of_an_hour_is_the_median_of_its_answers() -> None:
    hours = group_by_hour([answer(5, 1.0), answer(6, 2.0), answer(7, 90.0)], NOON)
    assert hours[-1].first_token_s == 2.0
    assert hours[-2].first_token_s is None


def test_what_is_older_than_the_first_hour_shown_or_was_no_answer_is_left_out() -> None:
    hours = group_by_hour([answer(24 * 60), answer(5, outcome="failed"), answer(6, outcome="cancelled")], NOON)
    assert sum(hour.answers for hour in hours) == 0


def test_an_answer_that_ended_after_the_clock_was_read_counts_in_the_last_hour() -> None:
    assert group_by_hour([answer(-45)], NOON)[-1].answers == 1


def test_the_picture_shows_both_figures() -> None:
    assert {COUNTS, DELAYS} <= colours(draw_chart(group_by_hour([answer(5)], NOON), TITLES))


def test_a_day_without_answers_is_an_empty_picture() -> None:
    picture = draw_chart(group_by_hour([], time.time()), TITLES)
    assert Image.open(io.BytesIO(picture)).size == SIZE
    assert not {COUNTS, DELAYS} & colours(picture)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("key", ["chart_answers", "chart_first_token"])
def test_the_font_has_every_letter_of_the_titles(language: Language, key: str) -> None:
    font = ImageFont.load_default(12)
    missing = bytes(font.getmask("é"))
    assert not [letter for letter in localize(key, language) if bytes(font.getmask(letter)) == missing]
