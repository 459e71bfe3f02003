"""The judge of the kill test finds every fault that is planted in front of it, and none where there is none."""

from typing import Any

import pytest

from tests.exactly_once.judge import GIVEN_UP, given_up, judge
from tests.exactly_once.platform import Platform, Question

TEXT = "Where does the heron sleep?"


def asked(*event_ids: str) -> Platform:
    platform = Platform()
    for event_id in event_ids:
        platform.ask(Question(event_id, "kitchen", "ana", TEXT, private=True))
    return platform


def event(kind: str, event_id: str = "q1", conversation: str = "kitchen", **fields: Any) -> dict[str, Any]:
    return {"event": kind, "conversation": conversation, "event_id": event_id, **fields}


def first(text: str, event_id: str = "q1", part: int = 0, conversation: str = "kitchen") -> dict[str, Any]:
    return event("text", event_id, conversation, send_id=f"{event_id}/{part}", text=text)


def edit(text: str, event_id: str = "q1", attempt: int = 1, revision: int = 1) -> dict[str, Any]:
    send_id = f"{event_id}/0@{attempt}.{revision}"
    return event("text", event_id, send_id=send_id, edits=f"{event_id}/0", text=text)


def end(text: str = TEXT, event_id: str = "q1", kind: str = "finished", attempt: int = 1) -> dict[str, Any]:
    return event(kind, event_id, text=text, attempt=attempt)


def kinds(platform: Platform, *events: dict[str, Any]) -> set[str]:
    for taken in events:
        platform.take(taken)
    return {fault.kind for fault in judge(platform)}


WHOLE = (event("received"), event("typing"), first("Where"), edit(TEXT), end())


def test_a_clean_answer_has_no_fault() -> None:
    assert kinds(asked("q1"), *WHOLE) == set()


def test_an_answer_made_again_into_the_same_message_has_no_fault() -> None:
    again = (first("Wh"), edit("Where does", attempt=2), edit(TEXT, attempt=2, revision=2), end(attempt=2))
    platform = asked("q1")
    assert kinds(platform, first("Where"), edit("Where does the"), *again) == set()
    assert platform.dropped == 1


def test_an_end_told_again_after_a_crash_has_no_fault() -> None:
    assert kinds(asked("q1"), *WHOLE, edit(TEXT, attempt=2), end(attempt=2)) == set()


def test_a_room_hears_who_asked() -> None:
    platform = Platform()
    platform.ask(Question("q1", "kitchen", "ana", TEXT, private=False))
    assert kinds(platform, first(f"ana: {TEXT}"), end(f"ana: {TEXT}")) == set()


def test_a_question_given_up_with_its_sentence_has_no_fault_and_is_counted() -> None:
    platform = asked("q1")
    assert kinds(platform, first("Where"), edit(GIVEN_UP, attempt=3), end(GIVEN_UP, kind="failed", attempt=3)) == set()
    assert given_up(platform) == ["q1"]


@pytest.mark.parametrize("events", [(), (event("received"),), (event("ignored"),)])
def test_a_lost_question_is_found(events: tuple[dict[str, Any], ...]) -> None:
    assert kinds(asked("q1"), *events) == {"lost"}


def test_an_answer_that_stopped_halfway_is_lost() -> None:
    assert kinds(asked("q1"), first("Where"), edit("Where does")) == {"lost"}


def test_an_end_without_a_message_is_lost() -> None:
    assert kinds(asked("q1"), end()) == {"lost"}


def test_a_second_message_is_an_answer_given_twice() -> None:
    assert "answered twice" in kinds(asked("q1"), *WHOLE, first(TEXT, part=1))


def test_finished_and_then_failed_is_an_answer_given_twice() -> None:
    assert "answered twice" in kinds(asked("q1"), *WHOLE, end(GIVEN_UP, kind="failed", attempt=3))


def test_two_different_endings_are_an_answer_given_twice() -> None:
    assert "answered twice" in kinds(asked("q1"), *WHOLE, end("Where does the heron sleep? No.", attempt=2))


def test_an_edit_with_a_used_id_is_swallowed_and_leaves_the_old_text_over() -> None:
    assert kinds(asked("q1"), first("Where"), edit("Where does"), edit(TEXT), end()) >= {"left over"}


def test_an_edit_with_a_used_id_is_found_even_when_a_later_one_puts_the_text_right() -> None:
    events = (first("Where"), edit("Where does"), edit("Wh", revision=1), edit(TEXT, revision=2), end())
    assert kinds(asked("q1"), *events) == {"impossible send"}


def test_text_of_a_longer_first_attempt_is_left_over() -> None:
    assert "left over" in kinds(asked("q1"), first(f"{TEXT} And more"), end())


def test_a_text_that_changes_after_the_end_is_left_over_even_when_it_is_put_right() -> None:
    assert kinds(asked("q1"), *WHOLE, edit("W", attempt=2), edit(TEXT, attempt=2, revision=2)) == {"left over"}


def test_a_message_that_answers_nothing_is_left_over() -> None:
    assert kinds(asked("q1"), *WHOLE, first("Hello", "q9")) == {"left over"}


def test_a_wrong_answer_is_found() -> None:
    assert kinds(asked("q1"), first("No."), end("No.")) == {"wrong text"}


def test_a_failure_with_another_sentence_is_found() -> None:
    assert kinds(asked("q1"), first("Oops."), end("Oops.", kind="failed")) == {"wrong text"}


def test_an_answer_in_another_conversation_is_found() -> None:
    assert kinds(asked("q1"), first(TEXT, conversation="attic"), end()) == {"wrong text"}


def test_an_edit_of_nothing_is_found() -> None:
    assert "impossible send" in kinds(asked("q1"), edit(TEXT))


def test_an_event_about_a_question_nobody_asked_and_an_error_are_found() -> None:
    assert kinds(asked("q1"), *WHOLE, event("typing", "q9")) == {"impossible send"}
    assert kinds(asked("q1"), *WHOLE, {"event": "error", "line": 3, "sentence": "Line 3: no."}) == {"impossible send"}


def test_a_later_question_answered_first_is_out_of_order() -> None:
    events = (first(TEXT, "q2"), end(event_id="q2"), first(TEXT, "q1"), end(event_id="q1"))
    assert kinds(asked("q1", "q2"), *events) == {"out of order"}


def test_other_conversations_and_questions_given_up_may_overtake() -> None:
    platform = asked("q1", "q2", "q3")
    platform.ask(Question("q4", "attic", "ben", TEXT, private=True))
    events = [first(TEXT, "q4", conversation="attic"), {**end(event_id="q4"), "conversation": "attic"}]
    events += [first(TEXT, "q1"), end(event_id="q1"), first(TEXT, "q3"), end(event_id="q3")]
    events += [first(GIVEN_UP, "q2"), end(GIVEN_UP, "q2", kind="failed", attempt=3)]
    assert kinds(platform, *events) == set()
