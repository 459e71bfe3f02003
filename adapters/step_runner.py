"""Runner for the independent steps of a loop: a step that fails stops neither the next one nor the loop."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine

log = logging.getLogger(__name__)

Step = Callable[[], Awaitable[object]]
ErrorTypes = tuple[type[Exception], ...]


class StepRunner:
    """Runs steps one at a time, each in a task of its own, so that no error of one reaches another.

    A failure is logged once, until the step succeeds or fails in another way. `expected` errors are logged as one
    line, unforeseen ones with their traceback. `fatal` errors are raised: the loop that runs the steps has to end.
    """

    def __init__(self, *, expected: ErrorTypes = (), fatal: ErrorTypes = ()) -> None:
        self._expected = expected
        self._fatal = fatal
        self._failing: dict[str, type[BaseException]] = {}

    async def run(self, name: str, step: Step) -> bool:
        """Run a step and return whether it succeeded. `name` completes "Could not …" in the log.

        Raises the fatal errors, and CancelledError when the caller, or the step itself, was cancelled.
        """
        task = asyncio.create_task(_as_coroutine(step), name=name)
        try:
            await asyncio.wait({task})
        finally:
            if not task.done():  # the caller was cancelled
                task.cancel()
                await asyncio.wait({task})
        error = None if task.cancelled() else task.exception()
        if task.cancelled() or isinstance(error, self._fatal):
            task.result()
        self._note_outcome(name, error)
        return error is None

    def _note_outcome(self, name: str, error: BaseException | None) -> None:
        if error is None:
            if self._failing.pop(name, None) is not None:
                log.info("Succeeded again: %s.", name)
            return
        is_new = self._failing.get(name) is not type(error)
        self._failing[name] = type(error)
        if isinstance(error, self._expected):
            log.log(logging.WARNING if is_new else logging.DEBUG, "Could not %s: %s", name, error)
        else:
            log.log(logging.ERROR if is_new else logging.DEBUG, "Could not %s.", name, exc_info=error)


def _as_coroutine(step: Step) -> Coroutine[None, None, object]:
    async def awaited() -> object:
        return await step()

    return awaited()
