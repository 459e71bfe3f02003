"""A person who writes too often is paused, and nobody else."""

import pytest

from bot.core.flood_control import FloodGuard, FloodVerdict
from bot.core.messages import Message
from bot.core.triage import AnswerQuestion, Decision, RunCommand
from tests.fakes.messages import message

QUESTION = AnswerQuestion("Where is it?")
HELP, STOP, FORGET = RunCommand("help"), RunCommand("stop"), RunCommand("forget")


def from_person(author: str = "ana", conversation: str = "console:room", private: bool = False) -> Message:
    return message("Where is it?", author=author, conversation=conversation, private=private)


def verdicts(guard: FloodGuard, times: list[float], decision: Decision = QUESTION) -> list[FloodVerdict]:
    return [guard.count_message(from_person(), decision, at) for at in times]


def test_the_message_too_many_pauses_and_is_told_once() -> None:
    guard = FloodGuard(answers_per_minute=3, pause_s=100)
    assert verdicts(guard, [0, 1, 2, 3, 4]) == ["go", "go", "go", "pause", "paused"]


def test_a_pause_ends_and_counting_starts_again() -> None:
    guard = FloodGuard(answers_per_minute=1, pause_s=100)
    assert verdicts(guard, [0, 1, 100.9, 101, 102]) == ["go", "pause", "paused", "go", "pause"]


def test_messages_older_than_a_minute_do_not_count() -> None:
    guard = FloodGuard(answers_per_minute=2, pause_s=100)
    assert verdicts(guard, [0, 30, 60, 90, 120]) == ["go"] * 5


@pytest.mark.parametrize("other", [from_person("bob"), from_person(conversation="console:other")])
def test_others_and_other_conversations_go_on(other: Message) -> None:
    guard = FloodGuard(answers_per_minute=1, pause_s=100)
    assert verdicts(guard, [0, 1, 2]) == ["go", "pause", "paused"]
    assert guard.count_message(other, QUESTION, 3) == "go"


@pytest.mark.parametrize("command", [STOP, FORGET])
def test_stop_and_forget_are_never_paused(command: RunCommand) -> None:
    guard = FloodGuard(answers_per_minute=1, pause_s=100)
    assert verdicts(guard, [0, 1], QUESTION) == ["go", "pause"]
    assert verdicts(guard, [2, 3, 4], command) == ["go"] * 3


def test_commands_are_counted_apart_from_questions() -> None:
    guard = FloodGuard(answers_per_minute=1, pause_s=100)
    assert verdicts(guard, [0, 1, 2], HELP) == ["go", "pause", "paused"]
    assert verdicts(guard, [3], QUESTION) == ["go"]


def test_two_bots_that_greet_each_other_are_paused() -> None:
    guard = FloodGuard(answers_per_minute=1, pause_s=100)
    assert verdicts(guard, [0, 1], RunCommand("small_talk", "greeting")) == ["go", "pause"]


def test_a_person_alone_with_the_assistant_may_write_three_times_as_much() -> None:
    guard = FloodGuard(answers_per_minute=20, pause_s=100)
    alone = from_person(private=True)
    assert {guard.count_message(alone, QUESTION, at / 2) for at in range(60)} == {"go"}
    assert guard.count_message(alone, QUESTION, 31) == "pause"
