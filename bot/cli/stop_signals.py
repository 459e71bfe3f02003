"""Signals that ask the program to end: the first is obeyed, and the others do not interrupt the cleaning up."""

import asyncio
import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from bot.cli.terminal.output import print_errors

T = TypeVar("T")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STILL_STOPPING = "Hearth is stopping already; answers in progress get a moment to end."

_current: ContextVar["StopSignals | None"] = ContextVar("stop_signals", default=None)


class StopSignals:
    """Cancels a coroutine at the first signal. `received` is that signal, or None."""

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._task: asyncio.Task[Any] | None = None
        self._is_repeat_told = False

    async def cancel(self, main: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine that the first signal cancels. A signal that the shell ignores stays ignored (nohup)."""
        self._task = asyncio.current_task()
        _current.set(self)
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self.install(number)
        return await main

    def install(self, number: signal.Signals) -> None:
        """Handle a signal from now on."""
        asyncio.get_running_loop().add_signal_handler(number, self._on_signal, number)

    def _on_signal(self, number: signal.Signals) -> None:
        assert self._task is not None
        if self.received is None:
            self.received = number
            self._task.cancel()
        elif not self._is_repeat_told:
            self._is_repeat_told = True
            print_errors(STILL_STOPPING)


@contextmanager
def interrupts_handled_by(handler: Callable[[], None]) -> Iterator[None]:
    """Let Ctrl-C call a function and not end the program, for as long as the context lasts."""
    loop, stop_signals = asyncio.get_running_loop(), _current.get()
    loop.add_signal_handler(signal.SIGINT, handler)
    try:
        yield
    finally:
        if stop_signals is None:
            loop.remove_signal_handler(signal.SIGINT)
        else:
            stop_signals.install(signal.SIGINT)
