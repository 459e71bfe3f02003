"""What is learnt of the homeserver's limit from single answers of it."""

import pytest

from adapters.delivery.errors import RateLimited, TransientFailure
from adapters.matrix.outgoing.leaky_bucket import MARGIN_S, REFUSAL_MEMORY_S, LeakyBucket


def spent(bucket: LeakyBucket, count: int, now: float = 0.0) -> None:
    for _ in range(count):
        with bucket.track_event(now):
            pass


def refuse(bucket: LeakyBucket, now: float, retry_after_s: float) -> None:
    with pytest.raises(RateLimited), bucket.track_event(now):
        raise RateLimited(retry_after_s)


def test_events_go_at_once_until_the_burst_is_spent_and_come_back_at_the_rate() -> None:
    bucket = LeakyBucket(burst=10, per_s=0.2)
    spent(bucket, 10)
    assert bucket.left(0.0) == 0
    assert bucket.wait_s(0.0) == pytest.approx(5.0)
    assert bucket.wait_s(3.0, needed=2.0) == pytest.approx(7.0)
    assert bucket.left(1000.0) == 10


def test_a_refusal_says_exactly_what_is_left() -> None:
    bucket = LeakyBucket()
    spent(bucket, 3)
    refuse(bucket, 1.0, 4.0)
    assert bucket.left(1.0) == pytest.approx(0.2)
    assert bucket.wait_s(1.0) == pytest.approx(4.0 + MARGIN_S)


def test_an_event_beyond_the_assumption_shows_that_the_limits_are_lifted() -> None:
    bucket = LeakyBucket()
    spent(bucket, 10)
    assert not bucket.lifted
    assert bucket.may_probe(1.0)
    spent(bucket, 1, 1.0)
    assert bucket.lifted
    assert bucket.wait_s(1.0, needed=9.0) == 0


def test_only_one_event_at_a_time_is_tried() -> None:
    bucket = LeakyBucket()
    spent(bucket, 10)
    with pytest.raises(RateLimited), bucket.track_event(1.0):
        assert not bucket.may_probe(1.0)
        raise RateLimited(4.0)
    assert not bucket.may_probe(6.0)


def test_an_event_that_teaches_nothing_does_not_keep_the_next_one_from_being_tried() -> None:
    bucket = LeakyBucket()
    spent(bucket, 10)
    with bucket.track_event(1.0, learns=False):
        assert bucket.may_probe(1.0)
    assert not bucket.lifted
    assert bucket.may_probe(1.0)


def test_nothing_is_tried_for_long_after_a_refusal() -> None:
    bucket = LeakyBucket()
    spent(bucket, 10)
    refuse(bucket, 1.0, 4.0)
    assert not bucket.may_probe(1.0 + MARGIN_S)
    assert not bucket.is_unknown(REFUSAL_MEMORY_S)
    assert bucket.is_unknown(REFUSAL_MEMORY_S + 1.0)


def test_an_event_that_nobody_knows_of_counts_as_none_and_shows_nothing() -> None:
    bucket = LeakyBucket()
    for _ in range(50):
        with pytest.raises(TransientFailure), bucket.track_event(0.0):
            raise TransientFailure
    assert bucket.left(0.0) == 10
    assert not bucket.lifted


def test_two_refusals_with_few_events_between_them_measure_the_rate() -> None:
    bucket = LeakyBucket()
    refuse(bucket, 0.0, 0.5)
    spent(bucket, 1, 0.6)
    refuse(bucket, 0.7, 0.8)
    assert bucket.per_s == pytest.approx(1.0)
    assert bucket.left(0.7) == pytest.approx(0.2)


def test_a_wait_that_the_assumed_rate_cannot_ask_for_means_a_slower_one() -> None:
    bucket = LeakyBucket()
    refuse(bucket, 0.0, 10.0)
    assert bucket.per_s == pytest.approx(0.1)
    refuse(LeakyBucket(), 0.0, 100000.0)


def test_a_measured_rate_is_forgotten_with_its_refusal() -> None:
    bucket = LeakyBucket()
    refuse(bucket, 0.0, 10.0)
    spent(bucket, 1, REFUSAL_MEMORY_S + 1)
    assert bucket.per_s == 0.2


def test_a_refusal_after_the_wait_it_asked_for_is_of_no_bucket_and_forgotten_when_it_is_over() -> None:
    bucket = LeakyBucket()
    spent(bucket, 11)
    assert bucket.lifted
    now, waits = 1.0, []
    for _ in range(6):
        refuse(bucket, now, 0.1)
        waits.append(bucket.wait_s(now))
        now += bucket.wait_s(now)
    assert waits == sorted(waits)
    assert 4 <= waits[-1] <= 8
    assert bucket.lifted
    spent(bucket, 1, now)
    refuse(bucket, now + 1, 4.0)
    assert not bucket.lifted


def test_events_that_were_under_way_when_one_was_refused_are_one_refusal() -> None:
    bucket = LeakyBucket()
    earlier, later = bucket.track_event(0.0), bucket.track_event(0.1)
    for event, retry_after_s in ((earlier, 3.0), (later, 3.4)):
        with pytest.raises(RateLimited), event:
            raise RateLimited(retry_after_s)
    assert bucket.wait_s(0.1) == pytest.approx(3.4 + MARGIN_S)
    assert bucket.left(0.0) == pytest.approx(0.4)
