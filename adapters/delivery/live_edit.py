"""Throttled edits of one answer: the newest text only, one request at a time, as the rate limit allows."""

import asyncio
import logging
from contextlib import suppress
from typing import Protocol

from adapters.delivery.rate_limit import GlobalRateLimit, SendPermit
from adapters.delivery.sentence_ends import has_sentence

log = logging.getLogger(__name__)

# A first text without a whole sentence is sent after this time.
FIRST_TEXT_AFTER_S = 1.0
# Polling interval of a reply that waits for others in the queue.
QUEUE_POLL_S = 0.05


class EditTarget(Protocol):
    """The messages of a reply on its platform, written one request at a time."""

    def next_permit(self, text: str) -> SendPermit | None:
        """The rate limit of the next request on the way to showing `text`; None when all of it is shown."""
        ...

    async def send_next(self, text: str, *, final: bool) -> None:
        """Make that request. Its errors end the updates, and the reply's next call raises them; after a transient
        failure it returns instead, and the request is repeated with the newest text.
        """
        ...


class LiveEdit:
    """Shows the texts of one answer: always the newest, and the last one in any case.

    Requests run in a task of their own: a slow platform delays no caller, a cancelled caller interrupts no request.
    """

    def __init__(
        self,
        target: EditTarget,
        *,
        global_limit: GlobalRateLimit | None = None,
        first_after_s: float = FIRST_TEXT_AFTER_S,
    ) -> None:
        self._target = target
        self._global_limit = global_limit
        self._first_after_s = first_after_s
        self._text = ""
        self._final_text: str | None = None
        self._has_started = self._stopped = False
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._queued_for: SendPermit | None = None

    def show_text(self, text: str, *, at_once: bool = False) -> None:
        """Show this text when the rate limit allows; returns at once. Raises the error of an earlier text.

        The first text waits for a whole sentence, for a second at most, unless `at_once` is set.
        """
        if self._task is not None and self._task.done():
            ended, self._task = self._task, None
            ended.result()
        self._text = text
        if not self._has_started and (at_once or has_sentence(text)):
            self._skip_waiting()
        if self._task is None:
            self._task = asyncio.create_task(self._send_updates())

    async def show_final_text(self, text: str) -> None:
        """Show this text as the last one; returns when the platform has it. Raises the error of this text, not of an
        earlier one. When the caller is cancelled, the text is still sent.
        """
        self._final_text = text
        self._skip_waiting()
        self._task = task = asyncio.create_task(self._send_final(self._task, text))
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            task.add_done_callback(_log_failure)
            raise
        if self._task is task:  # its error is raised here, and nowhere else
            self._task = None
        task.result()

    async def stop(self) -> None:
        """Stop updates; returns when no request is running. Raises no error of a request."""
        self._stopped = True
        self._skip_waiting()
        if (task := self._task) is not None:
            await asyncio.wait([task])
            _log_failure(task)

    def _skip_waiting(self) -> None:
        self._has_started = True
        self._wake.set()

    async def _send_updates(self) -> None:
        if not self._has_started:
            await self._pause(self._first_after_s)
            self._has_started = True
        try:
            while (
                self._final_text is None
                and not self._stopped
                and (permit := self._target.next_permit(self._text)) is not None
            ):
                if await self._acquire_permit(permit, final=False):
                    await self._target.send_next(self._text, final=False)
        finally:
            self._enqueue_for(None)

    async def _send_final(self, earlier: asyncio.Task[None] | None, text: str) -> None:
        if earlier is not None:
            await asyncio.wait([earlier])
            _log_failure(earlier)
        while not self._stopped and (permit := self._target.next_permit(text)) is not None:
            if await self._acquire_permit(permit, final=True):
                await self._target.send_next(text, final=True)

    async def _acquire_permit(self, permit: SendPermit, *, final: bool) -> bool:
        """Wait for the permit, then for a slot; whether the request may go now. If not, there may be a newer text."""
        wait_s = permit.wait_s(_now(), final=final)
        # Answers under one limit show their first texts in order of arrival; a final text waits for none of them.
        if not final and not self._enqueue_for(permit):
            wait_s = max(wait_s, QUEUE_POLL_S)
        if wait_s > 0:
            await self._pause(wait_s)
            return False
        if self._global_limit is not None and not await self._pause(
            self._global_limit.reserve_request(_now(), final=final)
        ):
            return False
        if permit.wait_s(_now(), final=final) > 0:  # another reply used it meanwhile
            return False
        permit.record_sent(_now())
        self._enqueue_for(None)
        return True

    def _enqueue_for(self, permit: SendPermit | None) -> bool:
        """Queue for this permit and for no other; whether it is this answer's turn."""
        if self._queued_for is not None and self._queued_for is not permit:
            self._queued_for.leave_queue(self)
        self._queued_for = permit
        return permit is not None and permit.enqueue(self)

    async def _pause(self, seconds: float) -> bool:
        """Sleep; False when it was woken early."""
        if seconds <= 0:
            return True
        self._wake.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        return not self._wake.is_set()


def _now() -> float:
    return asyncio.get_running_loop().time()


def _log_failure(task: asyncio.Task[None]) -> None:
    """Log an error that no later call will raise."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.warning("Could not show a text of an answer: %s", error)
