"""A step that fails stops nothing but itself, is said once, and never swallows a cancellation."""

import asyncio
import logging

import pytest

from adapters.step_runner import StepRunner


class Away(Exception):
    """The server is away."""


class Lost(Exception):
    """All is lost."""


@pytest.fixture
def steps() -> StepRunner:
    return StepRunner(expected=(Away,), fatal=(Lost,))


class Flaky:
    """A step that raises what it is told."""

    def __init__(self, *errors: BaseException | None) -> None:
        self.errors = list(errors)
        self.runs = 0

    async def __call__(self) -> None:
        self.runs += 1
        error = self.errors.pop(0) if self.errors else None
        if error is not None:
            raise error


@pytest.mark.parametrize("error", [Away("503"), ValueError("unforeseen"), KeyError("unforeseen"), AssertionError()])
async def test_a_step_after_one_that_fails_runs(steps: StepRunner, error: Exception) -> None:
    second = Flaky()
    for _ in range(3):
        assert not await steps.run("do the first", Flaky(error))
        assert await steps.run("do the second", second)
    assert second.runs == 3


async def test_a_failure_is_said_once_until_the_step_succeeds_or_fails_in_another_way(
    steps: StepRunner, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    step = Flaky(Away("503"), Away("503"), ValueError("x"), ValueError("x"), None, Away("503"))
    for _ in range(6):
        await steps.run("ask", step)
    assert [(record.levelno, record.getMessage(), bool(record.exc_info)) for record in caplog.records] == [
        (logging.WARNING, "Could not ask: 503", False),
        (logging.ERROR, "Could not ask.", True),
        (logging.INFO, "Succeeded again: ask.", False),
        (logging.WARNING, "Could not ask: 503", False),
    ]


async def test_each_step_is_said_for_itself(steps: StepRunner, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("ask", "answer", "ask"):
        await steps.run(name, Flaky(Away("503")))
    assert [record.getMessage() for record in caplog.records] == ["Could not ask: 503", "Could not answer: 503"]


async def test_a_fatal_error_is_raised(steps: StepRunner) -> None:
    with pytest.raises(Lost):
        await steps.run("ask", Flaky(Lost()))


async def test_a_cancelled_caller_ends_its_step_and_stays_cancelled(steps: StepRunner) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def wait_for_ever() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    running = asyncio.create_task(steps.run("wait", wait_for_ever))
    await begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert ended.is_set()


async def test_a_step_that_was_cancelled_itself_is_no_success(steps: StepRunner) -> None:
    with pytest.raises(asyncio.CancelledError):
        await steps.run("ask", Flaky(asyncio.CancelledError()))
