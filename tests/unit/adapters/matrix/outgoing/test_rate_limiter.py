"""The account's rate limiter against Synapse's limit, in simulated time: delays of texts, and refusals."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.delivery.errors import RateLimited, TransientFailure
from adapters.matrix.homeserver import RequestRefused
from adapters.matrix.limits import MAX_EDITS
from adapters.matrix.outgoing import leaky_bucket
from adapters.matrix.outgoing.leaky_bucket import REFUSAL_MEMORY_S, LeakyBucket
from adapters.matrix.outgoing.rate_limiter import Kind, ReplyQuota, SendRateLimiter
from tests.fakes.synapse_limits import TICK_S, SynapseLimit, Writer, simulate


def careful(now: float = 0.0) -> SendRateLimiter:
    """A limiter that has learnt the default limits for the next hour, its bucket full again at `now`."""
    bucket = LeakyBucket()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(leaky_bucket, "REFUSAL_MEMORY_S", 3600.0)
        refuse(bucket, now - 100, 0.1)
    return SendRateLimiter(bucket)


def refuse(bucket: LeakyBucket, now: float, retry_after_s: float) -> None:
    with pytest.raises(RateLimited), bucket.track_event(now):
        raise RateLimited(retry_after_s)


def sent(limiter: SendRateLimiter, kind: Kind, now: float) -> None:
    """An event that is taken."""
    with limiter.track_event(kind, now):
        pass


def write(limiter: SendRateLimiter, limit: SynapseLimit, count: int, lasts_s: float, at: float = 0.0) -> list[Writer]:
    writers = [Writer(at, lasts_s) for _ in range(count)]
    simulate(limiter, limit, writers, start=at)
    assert all(writer.edits <= MAX_EDITS for writer in writers)
    return writers


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("lasts_s", [5.0, 13.0, 20.0, 60.0, 120.0])
def test_by_default_first_texts_come_at_once_and_final_ones_too(count: int, lasts_s: float) -> None:
    limit = SynapseLimit()
    for writer in write(SendRateLimiter(), limit, count, lasts_s):
        assert writer.first_delay_s <= TICK_S
        assert writer.final_delay_s <= TICK_S
    assert limit.refused <= 1


@pytest.mark.parametrize("lasts_s", [float(second) / 4 for second in range(40, 70)])
def test_finding_out_about_the_limits_holds_up_a_final_text_for_two_seconds_at_most(lasts_s: float) -> None:
    (writer,) = write(SendRateLimiter(), SynapseLimit(), 1, lasts_s)
    assert writer.final_delay_s <= 2.0


@pytest.mark.parametrize(("count", "fewest", "most"), [(1, 8, 16), (2, 6, 10), (5, 2, 4)])
def test_an_answer_of_a_minute_has_well_spaced_edits_by_default(count: int, fewest: int, most: int) -> None:
    limit = SynapseLimit()
    writers = write(careful(), limit, count, 60.0)
    assert limit.refused == 0
    for writer in writers:
        assert fewest <= writer.edits <= most
        assert writer.longest_gap_s <= 40


def test_lifted_limits_are_noticed_within_the_first_answer_and_make_the_next_ones_fluent() -> None:
    limiter, limit = SendRateLimiter(), SynapseLimit(burst=None)
    write(limiter, limit, 1, 20.0)
    assert limiter.bucket.lifted
    for writer in write(limiter, limit, 5, 20.0, at=21.0):
        assert writer.first_delay_s <= TICK_S
        assert writer.final_delay_s <= TICK_S
        assert writer.edits >= 10
        assert writer.longest_gap_s <= 5
    assert limit.refused == 0


def test_lifted_limits_are_noticed_over_short_answers_too() -> None:
    limiter, limit = SendRateLimiter(), SynapseLimit(burst=None)
    for number in range(4):
        write(limiter, limit, 1, 8.0, at=number * 15.0)
    assert limiter.bucket.lifted


def test_an_answer_that_lasts_goes_on_being_edited() -> None:
    (writer,) = write(careful(), SynapseLimit(burst=None), 1, 110.0)
    assert writer.longest_gap_s < 35
    assert writer.edits <= MAX_EDITS


def test_limits_that_are_set_in_the_middle_are_learnt_with_few_refusals() -> None:
    limiter, limit = SendRateLimiter(), SynapseLimit(burst=None)
    write(limiter, limit, 1, 60.0)
    limit.burst = 10
    write(limiter, limit, 5, 60.0, at=100.0)
    for number in range(3):
        for writer in write(limiter, limit, 5, 60.0, at=200.0 + 100 * number):
            assert writer.first_delay_s <= TICK_S
            assert writer.final_delay_s <= TICK_S
    assert limit.refused <= 3


def test_limits_that_are_lifted_in_the_middle_are_noticed_when_a_refusal_is_forgotten() -> None:
    limiter, limit = SendRateLimiter(), SynapseLimit()
    write(limiter, limit, 1, 60.0)
    limit.burst = None
    write(limiter, limit, 1, 60.0, at=100.0)
    assert not limiter.bucket.lifted
    write(limiter, limit, 1, 20.0, at=100.0 + REFUSAL_MEMORY_S)
    assert limiter.bucket.lifted


def test_limits_that_are_lifted_after_a_refusal_are_noticed_within_minutes() -> None:
    limiter, limit = SendRateLimiter(), SynapseLimit()
    write(limiter, limit, 1, 60.0)
    assert limit.refused == 1
    limit.burst = None
    for minute in range(2, 8):
        write(limiter, limit, 1, 20.0, at=60.0 * minute)
    assert limiter.bucket.lifted


@pytest.mark.parametrize("used", [6, 7, 8, 9])
def test_where_few_events_are_left_several_answers_begin_at_once_and_find_out_about_the_limits(used: int) -> None:
    limiter, limit = SendRateLimiter(), SynapseLimit(burst=None)
    for _ in range(used):
        sent(limiter, "first", 0.0)
    writers = [Writer(0.0, 4.0), Writer(0.1, 2.5), Writer(0.2, 2.6)]
    simulate(limiter, limit, writers)
    assert writers[0].edits >= 1
    assert limiter.bucket.lifted
    for writer in writers:
        assert writer.first_delay_s <= 2 * TICK_S
        assert writer.final_delay_s <= TICK_S


@pytest.mark.parametrize("used", [5, 10])
def test_after_a_restart_one_refusal_tells_what_is_left(used: int) -> None:
    limit = SynapseLimit(used=used)
    (writer,) = write(SendRateLimiter(), limit, 1, 60.0)
    assert limit.refused == 1
    assert writer.first_delay_s <= 10
    assert writer.final_delay_s <= TICK_S


@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.parametrize("burst", [10, None])
@pytest.mark.parametrize("begins_at", [5.0, 50.0])
def test_when_everything_is_refused_for_a_minute_final_texts_come_soon_after_it(
    count: int, burst: int | None, begins_at: float
) -> None:
    limiter, limit = SendRateLimiter(), SynapseLimit(burst)
    limit.refuses = (begins_at, begins_at + 60)
    writers = write(limiter, limit, count, 60.0)
    assert all(writer.ended_at is not None and writer.ended_at < begins_at + 72 for writer in writers)
    assert limit.refused <= 10
    (later,) = write(limiter, limit, 1, 60.0, at=300.0)
    assert later.final_delay_s <= TICK_S


@pytest.mark.parametrize(("burst", "per_s"), [(50, 1.0), (20, 2.0), (10, 10.0), (5, 0.1), (30, 0.2)])
def test_limits_that_an_admin_has_set_are_lived_with(burst: int, per_s: float) -> None:
    limiter, limit = SendRateLimiter(), SynapseLimit(burst, per_s)
    for number in range(4):
        (writer,) = write(limiter, limit, 1, 60.0, at=62.0 * number)
        assert writer.final_delay_s <= TICK_S
    assert limit.refused <= 3


CROWDS = st.lists(st.tuples(st.floats(0, 300), st.floats(1, 90)), min_size=1, max_size=8)


@settings(deadline=None, max_examples=30)
@given(CROWDS)
def test_who_knows_the_limit_is_never_refused_and_gives_final_texts_what_was_kept(
    crowd: list[tuple[float, float]],
) -> None:
    limit = SynapseLimit()
    writers = [Writer(at, lasts_s) for at, lasts_s in crowd]
    simulate(careful(), limit, writers)
    assert limit.refused == 0
    for writer in writers:
        assert writer.edits <= MAX_EDITS
        assert writer.final_delay_s <= 5 * len(crowd)


@settings(deadline=None, max_examples=30)
@given(CROWDS, st.integers(0, 10), st.sampled_from([(10, 0.2), (None, 1.0), (3, 0.1), (40, 3.0)]))
def test_every_answer_ends_whatever_the_limit_is(
    crowd: list[tuple[float, float]], used: int, rule: tuple[int | None, float]
) -> None:
    limit = SynapseLimit(*rule, used=used)
    writers = [Writer(at, lasts_s) for at, lasts_s in crowd]
    simulate(SendRateLimiter(), limit, writers)
    assert limit.refused <= 3 * len(crowd)


def test_final_texts_go_before_first_ones_and_first_ones_before_edits() -> None:
    limiter = careful()
    done, begun, new = ReplyQuota(limiter), ReplyQuota(limiter), ReplyQuota(limiter)
    for quota in (done, begun, new):
        quota.open()
    for _ in range(9):
        sent(limiter, "first", 0.0)
    new.enqueue(new)
    assert limiter.wait_s(done, "final", 0.0) == 0
    assert 0 < limiter.wait_s(new, "first", 0.0) < limiter.wait_s(begun, "edit", 0.0)


def test_an_edit_waits_while_a_first_text_does() -> None:
    limiter = careful()
    begun, new = ReplyQuota(limiter), ReplyQuota(limiter)
    begun.open()
    for _ in range(4):
        sent(limiter, "first", 0.0)
    assert limiter.wait_s(begun, "edit", 20.0) == 0
    for _ in range(7):
        sent(limiter, "final", 20.0)
    assert limiter.wait_s(begun, "edit", 20.0) == 0
    new.open()
    new.enqueue(new)
    assert limiter.wait_s(begun, "edit", 20.0) == pytest.approx(5.0)
    new.leave_queue(new)
    new.close()
    assert limiter.wait_s(begun, "edit", 20.0) == 0


@pytest.mark.parametrize(("limiter", "waits"), [(SendRateLimiter(), False), (careful(), True)])
def test_where_nothing_is_left_a_text_that_is_wanted_now_is_tried_while_that_may_help(
    limiter: SendRateLimiter, waits: bool
) -> None:
    quota = ReplyQuota(limiter)
    quota.open()
    for _ in range(10):
        sent(limiter, "final", 1.0)
    assert [limiter.wait_s(quota, kind, 1.0) > 0 for kind in ("final", "first")] == [waits, waits]


def test_first_texts_keep_their_order() -> None:
    limiter = careful()
    one, two = ReplyQuota(limiter), ReplyQuota(limiter)
    assert one.enqueue(one)
    assert not two.enqueue(two)
    assert one.enqueue(one)
    one.leave_queue(one)
    assert two.enqueue(two)


async def test_single_events_wait_for_their_turn_and_tell_what_became_of_them() -> None:
    bucket = LeakyBucket(burst=4, per_s=50.0)
    refuse(bucket, asyncio.get_running_loop().time() - 1, 0.001)
    bucket.per_s = 50.0
    limiter = SendRateLimiter(bucket)
    begun = asyncio.get_running_loop().time()

    for _ in range(9):
        with await limiter.acquire_slot("first"):
            pass
    assert asyncio.get_running_loop().time() - begun >= 4 / 50


@pytest.mark.parametrize("error", [RateLimited(2.0), TransientFailure(), RequestRefused(403, "M_FORBIDDEN", {})])
async def test_what_a_single_event_runs_into_is_raised(error: Exception) -> None:
    limiter = SendRateLimiter()

    left = limiter.bucket.left(asyncio.get_running_loop().time())
    with pytest.raises(type(error)), await limiter.acquire_slot("first"):
        raise error
    now = asyncio.get_running_loop().time()
    if isinstance(error, RateLimited):
        assert 1.5 < limiter.bucket.wait_s(now) < 2.5
    else:
        assert limiter.bucket.left(now) == left


async def test_who_stops_waiting_holds_nobody_up() -> None:
    limiter = careful(asyncio.get_running_loop().time())
    for _ in range(10):
        sent(limiter, "final", asyncio.get_running_loop().time())
    waiting = asyncio.create_task(limiter.acquire_slot("first"))
    await asyncio.sleep(0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    quota = ReplyQuota(limiter)
    assert quota.enqueue(quota)


def test_a_single_event_that_can_wait_goes_behind_the_edits_of_all_replies() -> None:
    limiter = careful()
    now = 0.0
    reply, single = ReplyQuota(limiter), ReplyQuota(limiter, sent_at=float("inf"))
    reply.open()
    for quota in (reply, single):
        quota.as_kind("edit").enqueue(quota)
    assert limiter.wait_s(reply, "edit", now) == 0
    assert limiter.wait_s(single, "edit", now) > 0
    reply.record_sent(now)
    with reply.track_request():
        pass
    assert limiter.wait_s(single, "edit", now + 0.9) < 60


def test_what_is_no_reply_does_not_spend_all_to_find_out_about_the_limits() -> None:
    limiter = SendRateLimiter()
    single = ReplyQuota(limiter, sent_at=float("inf"))
    for _ in range(6):
        sent(limiter, "edit", 0.0)
    assert limiter.is_probing(0.0)
    assert limiter.wait_s(single, "edit", 0.0) > 0
