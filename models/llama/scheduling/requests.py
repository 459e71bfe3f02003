"""What is asked of the `llama` thread, and the way there from any other thread."""

import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TypeVar

from models.engine import EngineFailed, Prompt
from models.llama.decoding.generation import GenerationRequest
from models.llama.native.cancel_flag import CancelFlag

T = TypeVar("T")

_settling = threading.Lock()


@dataclass(frozen=True, slots=True, eq=False)
class Generate:
    """An answer that somebody waits for."""

    prompt: Prompt
    request: GenerationRequest

    @property
    def cancel_flag(self) -> CancelFlag:
        """What stops it."""
        return self.request.cancel_flag

    def set_error(self, error: EngineFailed) -> None:
        """Tell who waits; nothing when the answer is complete."""
        self.request.stream.set_end(error)


@dataclass(frozen=True, slots=True, eq=False)
class WarmUp:
    """A prompt whose beginning is worth computing while nobody waits."""

    key: str
    prompt: Prompt
    cancel_flag: CancelFlag = field(default_factory=CancelFlag)
    done: "Future[None]" = field(default_factory=Future)

    def set_error(self, error: EngineFailed) -> None:
        """It was only an attempt: nobody needs to know."""
        del error
        _settle(self.done, None)

    def set_done(self) -> None:
        """It is prepared, or was given up."""
        _settle(self.done, None)


@dataclass(frozen=True, slots=True, eq=False)
class DropState:
    """A conversation whose state is to be dropped."""

    key: str
    cancel_flag: CancelFlag = field(default_factory=CancelFlag)
    done: "Future[int]" = field(default_factory=Future)

    def set_error(self, error: EngineFailed) -> None:
        """With the thread everything it kept in memory is gone."""
        del error
        _settle(self.done, 0)

    def set_result(self, dropped_bytes: int) -> None:
        """It is dropped."""
        _settle(self.done, dropped_bytes)


Request = Generate | WarmUp | DropState


def _settle(future: "Future[T]", result: T) -> None:
    """Give the result unless there is one, or who waited is gone."""
    with _settling:
        if not future.done() and future.set_running_or_notify_cancel():
            future.set_result(result)


class RequestQueue:
    """Filled from any thread, emptied by one. It knows all jobs that are not over, so that closing ends them."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._new: list[Request] = []
        self._open: set[Request] = set()
        self._running_warm_up: WarmUp | None = None
        self._woken = False
        self._closed_error: EngineFailed | None = None
        self.closing = CancelFlag()

    @property
    def closed(self) -> bool:
        """Whether nothing more is served."""
        return self._closed_error is not None

    def add(self, job: Request) -> None:
        """Hand over a job. A question makes a running preparation give up. Raises EngineFailed when closed."""
        with self._changed:
            if self._closed_error is not None:
                raise EngineFailed(self._closed_error.reason)
            self._new.append(job)
            self._open.add(job)
            if self._running_warm_up is not None and not self._may_continue(self._running_warm_up, job):
                self._running_warm_up.cancel_flag.set()
            self._changed.notify()

    @staticmethod
    def _may_continue(running: WarmUp, job: Request) -> bool:
        """Only another conversation's preparation can wait for it."""
        return isinstance(job, WarmUp) and job.key != running.key

    def set_running_warm_up(self, job: WarmUp | None) -> None:
        """Which preparation runs now, if any."""
        with self._changed:
            self._running_warm_up = job
            if job is not None and (self.closed or any(not self._may_continue(job, new) for new in self._new)):
                job.cancel_flag.set()

    def mark_done(self, job: Request) -> None:
        """The job has ended, in whatever way."""
        with self._changed:
            self._open.discard(job)

    def wake_thread(self) -> None:
        """Make `take_requests` return, because something that a job waited for has happened."""
        with self._changed:
            self._woken = True
            self._changed.notify()

    def take_requests(self, wait_s: float | None) -> list[Request]:
        """The new jobs. Waits for the first of them, or a `wake_thread`, for at most `wait_s`; None: as long as it
        takes.
        """
        with self._changed:
            self._changed.wait_for(lambda: self.closed or self._new or self._woken, wait_s)
            self._woken = False
            jobs, self._new = self._new, []
            return jobs

    def close(self, reason: str) -> None:
        """Refuse new jobs, stop the running ones, and tell everybody who waits; `reason` is a sentence."""
        with self._changed:
            if self._closed_error is None:
                self._closed_error = EngineFailed(reason)
            self.closing.set()
            if self._running_warm_up is not None:
                # One that was interrupted and taken up again has nobody who waits, and so is not among the open ones.
                self._running_warm_up.cancel_flag.set()
            jobs, self._open, self._new = self._open, set(), []
            self._changed.notify()
        for job in jobs:
            job.cancel_flag.set()
            job.set_error(EngineFailed(self._closed_error.reason))
