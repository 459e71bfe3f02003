"""The newest text of an answer on its way to the platform, against a screen in memory."""

import asyncio
import logging

import pytest

from adapters.delivery.live_edit import LiveEdit
from adapters.delivery.rate_limit import GlobalRateLimit, RateLimit


class MemoryTarget:
    """One message that keeps each text it was given."""

    def __init__(self, interval_s: float = 0.0) -> None:
        self.pace = RateLimit(assumed_s=interval_s, floor_s=0.0)
        self.texts: list[str] = []
        self.finals: list[bool] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.refuses_with: Exception | None = None

    def next_permit(self, text: str) -> RateLimit | None:
        return None if self.texts[-1:] == [text] else self.pace

    async def send_next(self, text: str, *, final: bool) -> None:
        await self.gate.wait()
        if self.refuses_with is not None:
            raise self.refuses_with
        self.texts.append(text)
        self.finals.append(final)

    async def until(self, count: int) -> None:
        async with asyncio.timeout(60):
            while len(self.texts) < count:
                await asyncio.sleep(0.001)


async def test_the_first_text_goes_as_soon_as_it_holds_a_sentence() -> None:
    screen = MemoryTarget()
    showing = LiveEdit(screen, first_after_s=60)
    for text in ["The", "The drive", "The drive is here. It"]:
        showing.show_text(text)
        await asyncio.sleep(0)
    await screen.until(1)
    assert screen.texts == ["The drive is here. It"]


async def test_the_first_text_goes_without_a_sentence_when_its_time_has_passed() -> None:
    screen = MemoryTarget()
    showing = LiveEdit(screen, first_after_s=0.01)
    showing.show_text("The drive")
    await screen.until(1)
    assert screen.texts == ["The drive"]


async def test_a_text_that_is_to_go_at_once_waits_for_no_sentence() -> None:
    screen = MemoryTarget()
    showing = LiveEdit(screen, first_after_s=60)
    showing.show_text("10 of 50", at_once=True)
    await screen.until(1)
    assert screen.texts == ["10 of 50"]


async def test_texts_that_come_faster_than_the_pace_leave_only_the_newest() -> None:
    screen = MemoryTarget(interval_s=60)
    showing = LiveEdit(screen)
    showing.show_text("a", at_once=True)
    await screen.until(1)
    for text in ["ab", "abc", "abcd"]:
        showing.show_text(text)
        await asyncio.sleep(0)
    await showing.show_final_text("abcde")
    assert screen.texts == ["a", "abcde"]
    assert screen.finals == [False, True]


async def test_a_slow_platform_never_holds_up_the_caller_and_gets_the_newest_text_next() -> None:
    screen = MemoryTarget()
    screen.gate.clear()
    showing = LiveEdit(screen)
    showing.show_text("a", at_once=True)
    await asyncio.sleep(0.001)
    for text in ["ab", "abc"]:
        showing.show_text(text)
    screen.gate.set()
    await screen.until(2)
    assert screen.texts == ["a", "abc"]


async def test_a_final_text_that_is_shown_already_is_not_sent_again() -> None:
    screen = MemoryTarget()
    showing = LiveEdit(screen)
    showing.show_text("a", at_once=True)
    await screen.until(1)
    await showing.show_final_text("a")
    assert screen.texts == ["a"]


async def test_the_final_text_waits_for_no_sentence() -> None:
    screen = MemoryTarget()
    showing = LiveEdit(screen, first_after_s=60)
    showing.show_text("a")
    await showing.show_final_text("ab")
    assert screen.texts == ["ab"]


async def test_an_error_reaches_the_next_call_once() -> None:
    screen = MemoryTarget()
    screen.refuses_with = RuntimeError("the room is gone")
    showing = LiveEdit(screen)
    showing.show_text("a", at_once=True)
    await asyncio.sleep(0.01)
    with pytest.raises(RuntimeError, match="gone"):
        showing.show_text("ab")
    screen.refuses_with = None
    showing.show_text("abc")
    await screen.until(1)
    assert screen.texts == ["abc"]


async def test_the_final_text_is_tried_although_an_earlier_one_failed(caplog: pytest.LogCaptureFixture) -> None:
    screen = MemoryTarget()
    screen.refuses_with = RuntimeError("a bad minute")
    showing = LiveEdit(screen)
    showing.show_text("a", at_once=True)
    await asyncio.sleep(0.01)
    screen.refuses_with = None
    with caplog.at_level(logging.WARNING):
        await showing.show_final_text("ab")
    assert screen.texts == ["ab"]
    assert "a bad minute" in caplog.text


async def test_what_the_final_text_runs_into_is_raised_and_a_further_final_text_is_tried() -> None:
    screen = MemoryTarget()
    screen.refuses_with = RuntimeError("the room is gone")
    showing = LiveEdit(screen)
    with pytest.raises(RuntimeError, match="gone"):
        await showing.show_final_text("a")
    screen.refuses_with = None
    await showing.show_final_text("The answer failed.")
    assert screen.texts == ["The answer failed."]


async def test_a_cancelled_finish_still_brings_its_text_to_the_platform() -> None:
    screen = MemoryTarget()
    screen.gate.clear()
    showing = LiveEdit(screen)
    showing.show_text("a", at_once=True)
    await asyncio.sleep(0.001)
    finishing = asyncio.create_task(showing.show_final_text("ab"))
    await asyncio.sleep(0.001)
    finishing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await finishing
    screen.gate.set()
    await screen.until(2)
    assert screen.texts == ["a", "ab"]


async def test_a_text_that_a_cancelled_finish_left_behind_never_overtakes_the_next_one() -> None:
    screen = MemoryTarget()
    screen.gate.clear()
    showing = LiveEdit(screen)
    finishing = asyncio.create_task(showing.show_final_text("a"))
    await asyncio.sleep(0.001)
    finishing.cancel()
    failing = asyncio.create_task(showing.show_final_text("a\n\nStopped."))
    await asyncio.sleep(0.001)
    screen.gate.set()
    await failing
    assert screen.texts == ["a", "a\n\nStopped."]


async def test_the_failure_of_an_abandoned_final_text_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    screen = MemoryTarget()
    screen.gate.clear()
    showing = LiveEdit(screen)
    finishing = asyncio.create_task(showing.show_final_text("a"))
    await asyncio.sleep(0.001)
    finishing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await finishing
    screen.refuses_with = RuntimeError("the room is gone")
    with caplog.at_level(logging.WARNING):
        screen.gate.set()
        await asyncio.sleep(0.01)
    assert "the room is gone" in caplog.text


async def test_stopping_waits_for_the_request_under_way_and_shows_no_more() -> None:
    screen = MemoryTarget()
    screen.gate.clear()
    showing = LiveEdit(screen)
    showing.show_text("a", at_once=True)
    await asyncio.sleep(0.001)
    stopping = asyncio.create_task(showing.stop())
    showing.show_text("ab")
    await asyncio.sleep(0.001)
    assert not stopping.done()
    screen.gate.set()
    await stopping
    await asyncio.sleep(0.01)
    assert screen.texts == ["a"]


async def test_a_refused_request_comes_again_with_the_newest_text() -> None:
    class Refusing(MemoryTarget):
        async def send_next(self, text: str, *, final: bool) -> None:
            if not self.finals:
                self.finals.append(final)
                self.pace.record_refusal(asyncio.get_running_loop().time(), 0.01)
                return
            await super().send_next(text, final=final)

    screen = Refusing()
    showing = LiveEdit(screen)
    showing.show_text("a", at_once=True)
    await asyncio.sleep(0.001)
    showing.show_text("ab")
    await screen.until(1)
    assert screen.texts == ["ab"]


async def test_all_channels_together_stay_within_the_overall_limit_and_each_final_text_comes() -> None:
    overall = GlobalRateLimit(per_s=100, ahead_s=0.05)
    screens = [MemoryTarget() for _ in range(20)]
    begun = asyncio.get_running_loop().time()
    await asyncio.gather(*(LiveEdit(screen, global_limit=overall).show_final_text("a") for screen in screens))
    assert [screen.texts for screen in screens] == [["a"]] * 20
    assert asyncio.get_running_loop().time() - begun >= 19 / 100 - 0.05


async def test_answers_that_share_a_pace_show_their_first_texts_in_the_order_they_came() -> None:
    pace = RateLimit(assumed_s=0.005, floor_s=0.0)
    order: list[int] = []

    class Shared(MemoryTarget):
        def __init__(self, number: int) -> None:
            super().__init__()
            self.pace, self.number = pace, number

        async def send_next(self, text: str, *, final: bool) -> None:
            if not self.texts:
                order.append(self.number)
            await super().send_next(text, final=final)

    screens = [Shared(number) for number in range(12)]
    showings = [LiveEdit(screen) for screen in screens]
    for showing in showings:
        showing.show_text("You are number 3.", at_once=True)
        await asyncio.sleep(0)
    # Places change meanwhile: those who waited longest look again last.
    for showing in reversed(showings):
        showing.show_text("You are number 2.", at_once=True)
    await asyncio.gather(*(screen.until(1) for screen in screens))
    assert order == sorted(order)
    await asyncio.gather(*(showing.stop() for showing in showings))


async def test_an_answer_that_ends_while_it_is_behind_others_does_not_hold_them_up() -> None:
    first, second = MemoryTarget(interval_s=0.05), MemoryTarget()
    second.pace = first.pace
    first.pace.record_sent(asyncio.get_running_loop().time())
    gone, next_one = LiveEdit(first), LiveEdit(second)
    gone.show_text("You are number 1.", at_once=True)
    await asyncio.sleep(0)
    next_one.show_text("You are number 2.", at_once=True)
    await gone.stop()
    await second.until(1)
    assert first.texts == []
    assert second.texts == ["You are number 2."]
