"""Pacing: what headers and refusals teach, and how it fares against rate limits it does not know."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.delivery.rate_limit import GlobalRateLimit, RateLimit, RateLimits


def test_a_fresh_pace_lets_the_first_text_go_and_spaces_the_next() -> None:
    pace = RateLimit(assumed_s=1.0)
    assert pace.wait_s(100.0) == 0
    pace.record_sent(100.0)
    assert pace.wait_s(100.25) == pytest.approx(0.75)


@pytest.mark.parametrize(
    ("limit", "remaining", "reset_after_s", "wait_s", "final_wait_s"),
    [
        (5, 4, 5.0, 1.25, 0.0),  # three more now, one kept: four gaps
        (5, 2, 3.0, 1.5, 0.0),
        (5, 1, 2.0, 2.0, 0.0),  # the last one is the final text's
        (5, 0, 2.0, 2.0, 2.0),
        (1, 0, 4.0, 4.0, 4.0),
        (2, 1, 4.0, 2.0, 0.0),  # nothing is kept of two
        (50, 49, 1.0, 0.5, 0.0),  # nobody reads faster than the floor
    ],
)
def test_headers_spread_the_texts_over_the_window_and_keep_one_for_the_end(
    limit: int, remaining: int, reset_after_s: float, wait_s: float, final_wait_s: float
) -> None:
    pace = RateLimit(floor_s=0.5)
    pace.record_sent(10.0)
    pace.update_window(10.0, limit, remaining, reset_after_s)
    assert pace.wait_s(10.0) == pytest.approx(wait_s)
    assert pace.wait_s(10.0, final=True) == pytest.approx(final_wait_s)


def test_a_window_that_was_used_up_by_others_is_waited_for() -> None:
    pace = RateLimit()
    pace.record_sent(0.0)
    pace.update_window(0.0, 5, 1, 4.0)
    pace.record_sent(1.0)
    assert pace.wait_s(1.0) == pytest.approx(3.0)
    assert pace.wait_s(1.0, final=True) == pytest.approx(3.0)
    assert pace.wait_s(4.0, final=True) == 0


def test_an_answer_to_an_earlier_request_does_not_forget_a_later_one() -> None:
    pace = RateLimit()
    pace.record_sent(0.0)
    pace.record_sent(0.1)
    pace.update_window(0.2, 5, 1, 5.0)
    pace.update_window(0.3, 5, 2, 4.9)
    assert pace.wait_s(0.3) == pytest.approx(4.9)


def test_a_refusal_is_waited_out_by_final_texts_too() -> None:
    pace = RateLimit()
    pace.record_sent(0.0)
    pace.record_refusal(0.1, 3.0)
    assert 3.0 < pace.wait_s(0.1) < 3.2
    assert 3.0 < pace.wait_s(0.1, final=True) < 3.2


def test_a_refusal_slows_the_texts_after_it_although_headers_would_allow_more() -> None:
    pace = RateLimit(assumed_s=1.0)
    pace.record_sent(0.0)
    pace.record_sent(1.0)
    pace.record_refusal(1.0, 3.0)
    pace.record_sent(4.1)
    pace.update_window(4.1, 5, 4, 1.0)
    assert pace.wait_s(4.1) == pytest.approx(4.05)
    assert pace.wait_s(4.1, final=True) == pytest.approx(4.05)


def test_a_refusal_is_forgotten_after_a_while() -> None:
    pace = RateLimit(assumed_s=1.0)
    pace.record_sent(0.0)
    pace.record_refusal(0.0, 30.0)
    pace.record_sent(5000.0)
    assert pace.wait_s(5000.0) == pytest.approx(1.0)


def test_idle_paces_are_forgotten_and_used_ones_are_kept() -> None:
    paces = RateLimits(lambda: RateLimit(assumed_s=1.0), max_limits=10)
    used = paces.limit_for("used", 0.0)
    used.record_sent(95.0)
    for number in range(20):
        paces.limit_for(f"channel {number}", 0.0).record_sent(0.0)
    paces.limit_for("one more", 95.5)
    assert paces.limit_for("used", 95.5) is used
    assert len(paces) <= 12


def test_channels_together_get_evenly_spaced_slots_and_final_texts_go_a_little_ahead() -> None:
    overall = GlobalRateLimit(per_s=10, ahead_s=0.2)
    assert [overall.reserve_request(5.0) for _ in range(4)] == pytest.approx([0.0, 0.1, 0.2, 0.3])
    assert overall.reserve_request(5.0, final=True) == pytest.approx(0.2)


class Bucket:
    """A server's rate limit: `limit` requests in each window, which the first request after the last one opens."""

    def __init__(self, limit: int, window_s: float) -> None:
        self.limit, self.window_s = limit, window_s
        self.remaining, self.resets_at = limit, float("-inf")
        self.taken = self.refusals = 0

    def take(self, now: float) -> bool:
        if now >= self.resets_at:
            self.remaining, self.resets_at = self.limit, now + self.window_s
        if self.remaining == 0:
            self.refusals += 1
            return False
        self.remaining -= 1
        self.taken += 1
        return True


def stream(pace: RateLimit, bucket: Bucket, gaps: list[float], *, headers: bool, delay_s: float) -> float:
    """Write an answer whose text grows at these gaps; the seconds that its final text waited."""
    now = text_at = 0.0
    for gap in gaps:
        text_at += gap
        now = max(now, text_at)
        now = attempt(pace, bucket, now, headers=headers, delay_s=delay_s, final=False)
    done_at = now
    now = attempt(pace, bucket, now, headers=headers, delay_s=delay_s, final=True)
    return now - delay_s - done_at


def attempt(pace: RateLimit, bucket: Bucket, now: float, *, headers: bool, delay_s: float, final: bool) -> float:
    """Send one text, again until it is taken; when its response is there."""
    while True:
        now += pace.wait_s(now, final=final)
        pace.record_sent(now)
        taken = bucket.take(now + delay_s / 2)
        reset_after_s = bucket.resets_at - now - delay_s / 2
        now += delay_s
        if not taken:
            pace.record_refusal(now, reset_after_s)
            continue
        if headers:
            pace.update_window(now, bucket.limit, bucket.remaining, reset_after_s)
        return now


WINDOWS = st.floats(0.5, 20.0)
LIMITS = st.integers(1, 20)


@settings(deadline=None)
@given(limit=LIMITS, window_s=WINDOWS, gaps=st.lists(st.floats(0.0, 3.0), max_size=60), delay_s=st.floats(0.01, 0.4))
def test_a_server_that_sends_headers_never_refuses(
    limit: int, window_s: float, gaps: list[float], delay_s: float
) -> None:
    bucket = Bucket(limit, window_s)
    stream(RateLimit(), bucket, gaps, headers=True, delay_s=delay_s)
    assert bucket.refusals == 0


@settings(deadline=None)
@given(limit=st.integers(3, 20), window_s=WINDOWS, gaps=st.lists(st.floats(0.0, 3.0), max_size=60))
def test_the_final_text_goes_at_once_where_headers_are_sent(limit: int, window_s: float, gaps: list[float]) -> None:
    assert stream(RateLimit(), Bucket(limit, window_s), gaps, headers=True, delay_s=0.05) == pytest.approx(0.0)


@settings(deadline=None)
@given(limit=LIMITS, window_s=WINDOWS)
def test_a_server_that_says_nothing_refuses_an_answer_once_at_most(limit: int, window_s: float) -> None:
    bucket = Bucket(limit, window_s)
    stream(RateLimit(), bucket, [0.01] * 60, headers=False, delay_s=0.05)
    assert bucket.refusals <= 1


@settings(deadline=None)
@given(limit=st.integers(3, 20), window_s=st.floats(2.0, 20.0))
def test_a_long_answer_uses_most_of_what_is_allowed(limit: int, window_s: float) -> None:
    bucket, count = Bucket(limit, window_s), 100
    pace, now = RateLimit(floor_s=0.0), 0.0
    for _ in range(count):
        now = attempt(pace, bucket, now, headers=True, delay_s=0.02, final=False)
    allowed = limit * now / window_s
    assert count >= 0.6 * allowed
