"""The loop that listens: it waits, goes on, and ends only when the account is lost."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest

from adapters.delivery.errors import RateLimited, TransientFailure
from adapters.matrix import retry
from adapters.matrix.events import SyncResponse
from adapters.matrix.homeserver import LoggedOut, MatrixUnusable, RequestRefused
from adapters.matrix.retry import backoff_s
from adapters.matrix.sync import sync_loop
from adapters.matrix.sync.sync_loop import SyncLoop
from tests.fakes.until import until
from tests.fakes.wire import FakeHomeserver

Heard = list[tuple[SyncResponse, bool]]


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(retry, "MAX_PAUSE_S", 0.002)
    monkeypatch.setattr(sync_loop, "IDLE_S", 0.001)


class Loop:
    """A listener at work over a server in memory. `now` is its clock."""

    def __init__(self, token: str = "") -> None:
        self.wire = FakeHomeserver()
        self.wire.add_room()
        self.heard: Heard = []
        self.now = 0.0
        self.listener = SyncLoop(self.wire, token, self._take, 30.0, 3600.0, lambda: self.now)

    async def _take(self, news: SyncResponse, behind: bool) -> None:
        self.heard.append((news, behind))

    async def run(self, steps: Callable[[], Awaitable[None]]) -> None:
        task = asyncio.create_task(self.listener.run())
        try:
            await steps()
        finally:
            task.cancel()
            await asyncio.wait({task})

    def bodies(self) -> list[str]:
        lines = [line for news, _ in self.heard for line in news.joined]
        return [event.content["body"] for line in lines for event in line.events]


async def test_what_happens_is_handed_on_and_only_the_first_news_were_missed() -> None:
    loop = Loop()
    loop.wire.say("before")

    async def steps() -> None:
        await until(lambda: loop.heard)
        for body in ("one", "two"):
            loop.wire.say(body)
            await until(lambda body=body: loop.bodies()[-1] == body)  # type: ignore[misc]

    await loop.run(steps)
    assert loop.bodies() == ["before", "one", "two"]
    assert [behind for news, behind in loop.heard if news.joined] == [True, False, False]


async def test_after_a_long_outage_what_comes_was_missed() -> None:
    loop = Loop()

    async def steps() -> None:
        await until(lambda: loop.heard)
        loop.now += 3601
        loop.wire.say("while we were away")
        await until(loop.bodies)

    await loop.run(steps)
    assert loop.heard[-1][1]


async def test_a_server_that_is_away_is_told_once_and_asked_until_it_is_back(caplog: pytest.LogCaptureFixture) -> None:
    loop = Loop()
    loop.wire.faults.fail("sync", TransientFailure("the homeserver answered with status 502"), times=5)
    loop.wire.faults.fail("sync", RateLimited(0.001))
    loop.wire.faults.fail("sync", RequestRefused(403, "M_UNKNOWN", {}))
    loop.wire.say("hello")
    with caplog.at_level(logging.INFO, logger=sync_loop.__name__):
        await loop.run(lambda: until(loop.bodies))
    told = [record.message for record in caplog.records]
    assert len(told) == 2
    assert "502" in told[0]
    assert told[1] == "Reached the homeserver again."


async def test_a_server_that_hangs_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync_loop, "FIRST_SYNC_S", 0.01)
    loop = Loop()
    loop.wire.say("hello")

    async def steps() -> None:
        with loop.wire.faults.holding("sync"):
            await until(lambda: loop.wire.faults.requests.count("sync") > 2)
        await until(loop.bodies)

    await loop.run(steps)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (LoggedOut(soft=False), "hearth matrix login"),
        (LoggedOut(soft=True), "soft logout"),
        (RequestRefused(403, "M_USER_DEACTIVATED", {}), "deactivated"),
    ],
)
async def test_an_account_that_is_lost_ends_it_with_a_sentence(error: Exception, words: str) -> None:
    loop = Loop()
    loop.wire.faults.fail("sync", error)
    with pytest.raises(MatrixUnusable, match=words):
        await loop.listener.run()


async def test_a_token_that_the_server_does_not_know_is_given_up() -> None:
    loop = Loop(token="s99")
    loop.wire.say("hello")
    loop.wire.faults.fail("sync", RequestRefused(400, "M_UNKNOWN", {}))
    await loop.run(lambda: until(loop.bodies))
    assert loop.heard[0][1]


async def test_a_server_that_never_waits_is_not_asked_all_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync_loop, "POLL_S", 0.0)
    monkeypatch.setattr(sync_loop, "IDLE_S", 60.0)
    loop = Loop()
    await loop.run(lambda: asyncio.sleep(0.02))
    assert loop.wire.faults.requests.count("sync") <= 2


def test_pauses_grow_to_half_a_minute_and_are_as_long_as_the_server_asks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.undo()
    for failures, longest in ((1, 1), (2, 2), (5, 16), (7, 30), (1000, 30)):
        pauses = [backoff_s(failures) for _ in range(50)]
        assert longest / 2 <= min(pauses)
        assert max(pauses) <= longest
        assert len(set(pauses)) > 1
    assert backoff_s(1, RateLimited(90.0)) == 90.0
    assert backoff_s(1, TransientFailure("502")) <= 1.0
