"""The first signal ends the program in good order, and no further one interrupts that."""

import asyncio
import os
import signal
from collections.abc import Iterator

import pytest

from bot.cli.stop_signals import SIGNALS, STILL_STOPPING, StopSignals, interrupts_handled_by
from tests.fakes.until import until


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number in SIGNALS:  # whatever started the tests may ignore some, as nohup does
        signal.signal(number, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
async def test_a_signal_cancels_once_and_the_cleaning_up_ends(
    number: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    started, cleaning, cleaned = asyncio.Event(), asyncio.Event(), asyncio.Event()
    finish = asyncio.Event()

    async def main() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            cleaning.set()
            await finish.wait()
            cleaned.set()

    stop_signals = StopSignals()
    task = asyncio.create_task(stop_signals.cancel(main()))
    async with asyncio.timeout(60):
        await started.wait()
        os.kill(os.getpid(), number)
        await cleaning.wait()
    for repeated in SIGNALS:
        os.kill(os.getpid(), repeated)
    await asyncio.sleep(0.01)
    finish.set()
    await asyncio.wait({task})
    assert task.cancelled()
    assert cleaned.is_set()
    assert stop_signals.received == number
    assert capsys.readouterr().err.count(STILL_STOPPING) == 1


async def test_what_the_shell_ignores_stays_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)

    async def main() -> None:
        os.kill(os.getpid(), signal.SIGHUP)
        await asyncio.sleep(0.01)

    await StopSignals().cancel(main())


async def test_ctrl_c_belongs_to_a_conversation_while_it_lasts_and_then_ends_the_program_again() -> None:
    interrupts = 0

    def on_interrupt() -> None:
        nonlocal interrupts
        interrupts += 1

    async def main() -> None:
        with interrupts_handled_by(on_interrupt):
            os.kill(os.getpid(), signal.SIGINT)
            await until(lambda: interrupts)
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.Event().wait()

    task = asyncio.create_task(StopSignals().cancel(main()))
    async with asyncio.timeout(60):
        await asyncio.wait({task})
    assert task.cancelled()
    assert interrupts == 1
