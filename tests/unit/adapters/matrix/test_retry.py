"""Targets that gave nothing are left alone for growing pauses, which a change of their situation cuts short."""

import itertools

import pytest

from adapters.matrix.retry import RetryDelays


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def delays(clock: Clock) -> RetryDelays:
    return RetryDelays(20, 600, clock=clock)


def pause_s(delays: RetryDelays, clock: Clock, target: str = "ana") -> int:
    """Seconds until a target is due."""
    start_s = clock.now_s
    while not delays.is_due(target):
        clock.now_s += 1
    return int(clock.now_s - start_s)


def test_what_never_failed_is_due(delays: RetryDelays) -> None:
    assert delays.is_due("ana")
    delays.clear("ana")
    delays.hasten("ana")
    assert delays.is_due("ana")


def test_pauses_grow_from_the_first_to_the_longest(delays: RetryDelays, clock: Clock) -> None:
    pauses = []
    for _ in range(12):
        delays.note_failure("ana")
        pauses.append(pause_s(delays, clock))
    assert 15 <= pauses[0] <= 26
    assert all(1.1 * earlier < later for earlier, later in itertools.pairwise(pauses[:5]))
    assert all(450 <= pause <= 751 for pause in pauses[6:])


def test_each_target_is_for_itself(delays: RetryDelays) -> None:
    delays.note_failure("ana")
    assert not delays.is_due("ana")
    assert delays.is_due("ben")


def test_a_success_forgets_the_failures(delays: RetryDelays, clock: Clock) -> None:
    for _ in range(5):
        delays.note_failure("ana")
    delays.clear("ana")
    assert delays.is_due("ana")
    delays.note_failure("ana")
    assert pause_s(delays, clock) <= 26


def test_a_change_cuts_a_long_pause_to_the_first_one_and_a_flood_of_changes_gains_nothing(
    delays: RetryDelays, clock: Clock
) -> None:
    for _ in range(8):
        delays.note_failure("ana")
    for _ in range(100):
        delays.hasten("ana")
    assert not delays.is_due("ana")
    assert 15 <= pause_s(delays, clock) <= 26


def test_no_more_targets_are_remembered_than_the_limit(clock: Clock) -> None:
    delays = RetryDelays(20, 600, limit=3, clock=clock)
    for target in "abcd":
        delays.note_failure(target)
    assert [delays.is_due(target) for target in "abcd"] == [True, False, False, False]
