"""A conversation that asks too often is paused."""

from bot.core.flood_control import FloodGuard
from bot.core.messages import ConversationId

ROOM, OTHER = ConversationId("console:a"), ConversationId("console:b")


def test_the_answer_too_many_pauses_and_is_told_once() -> None:
    pace = FloodGuard(answers_per_minute=3, pause_s=100)
    assert [pace.count_answer(ROOM, at) for at in (0, 1, 2, 3, 4)] == ["go", "go", "go", "pause", "paused"]


def test_a_pause_ends_and_counting_starts_anew() -> None:
    pace = FloodGuard(answers_per_minute=1, pause_s=100)
    assert [pace.count_answer(ROOM, at) for at in (0, 1, 100.9, 101, 102)] == ["go", "pause", "paused", "go", "pause"]


def test_answers_older_than_a_minute_do_not_count() -> None:
    pace = FloodGuard(answers_per_minute=2, pause_s=100)
    assert [pace.count_answer(ROOM, at) for at in (0, 30, 60, 90, 120)] == ["go"] * 5


def test_other_conversations_go_on() -> None:
    pace = FloodGuard(answers_per_minute=1, pause_s=100)
    pace.count_answer(ROOM, 0)
    pace.count_answer(ROOM, 1)
    assert pace.count_answer(OTHER, 2) == "go"
