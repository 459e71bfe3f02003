"""What is asked of the `llama` thread, and the way there from any other thread."""

import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TypeVar

from models.engine import EngineFailed, Prompt
from models.llama.decoding.generation import Ask
from models.llama.native.cancel_flag import CancelFlag

T = TypeVar("T")

_settling = threading.Lock()


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """An answer that somebody waits for."""

    prompt: Prompt
    ask: Ask

    @property
    def flag(self) -> CancelFlag:
        """What stops it."""
        return self.ask.flag

    def fail(self, error: EngineFailed) -> None:
        """Tell who waits; nothing when the answer is complete."""
        self.ask.outbox.finish(error)


@dataclass(frozen=True, slots=True, eq=False)
class Preparation:
    """A prompt whose beginning is worth computing while nobody waits."""

    key: str
    prompt: Prompt
    flag: CancelFlag = field(default_factory=CancelFlag)
    done: "Future[None]" = field(default_factory=Future)

    def fail(self, error: EngineFailed) -> None:
        """It was only an attempt: nobody needs to know."""
        del error
        _settle(self.done, None)

    def finish(self) -> None:
        """It is prepared, or was given up."""
        _settle(self.done, None)


@dataclass(frozen=True, slots=True, eq=False)
class Forgetting:
    """A conversation whose state is to be dropped."""

    key: str
    flag: CancelFlag = field(default_factory=CancelFlag)
    done: "Future[int]" = field(default_factory=Future)

    def fail(self, error: EngineFailed) -> None:
        """With the thread everything it kept in memory is gone."""
        del error
        _settle(self.done, 0)

    def finish(self, dropped_bytes: int) -> None:
        """It is dropped."""
        _settle(self.done, dropped_bytes)


Job = Question | Preparation | Forgetting


def _settle(future: "Future[T]", result: T) -> None:
    """Give the result unless there is one, or who waited is gone."""
    with _settling:
        if not future.done() and future.set_running_or_notify_cancel():
            future.set_result(result)


class JobQueue:
    """Filled from any thread, emptied by one. It knows all jobs that are not over, so that closing ends them."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._new: list[Job] = []
        self._open: set[Job] = set()
        self._preparing: Preparation | None = None
        self._woken = False
        self._refusal: EngineFailed | None = None
        self.closing = CancelFlag()

    @property
    def closed(self) -> bool:
        """Whether nothing more is served."""
        return self._refusal is not None

    def add(self, job: Job) -> None:
        """Hand over a job. A question makes a running preparation give up. Raises EngineFailed when closed."""
        with self._changed:
            if self._refusal is not None:
                raise EngineFailed(self._refusal.reason)
            self._new.append(job)
            self._open.add(job)
            if self._preparing is not None and not self._may_go_on(self._preparing, job):
                self._preparing.flag.set()
            self._changed.notify()

    @staticmethod
    def _may_go_on(running: Preparation, job: Job) -> bool:
        """Only another conversation's preparation can wait for it."""
        return isinstance(job, Preparation) and job.key != running.key

    def preparing(self, job: Preparation | None) -> None:
        """Which preparation runs now, if any."""
        with self._changed:
            self._preparing = job
            if job is not None and (self.closed or any(not self._may_go_on(job, new) for new in self._new)):
                job.flag.set()

    def over(self, job: Job) -> None:
        """The job has ended, in whatever way."""
        with self._changed:
            self._open.discard(job)

    def wake(self) -> None:
        """Make `take` return, because something that a job waited for has happened."""
        with self._changed:
            self._woken = True
            self._changed.notify()

    def take(self, wait_s: float | None) -> list[Job]:
        """The new jobs. Waits for the first of them, or a `wake`, for at most `wait_s`; None: as long as it takes."""
        with self._changed:
            self._changed.wait_for(lambda: self.closed or self._new or self._woken, wait_s)
            self._woken = False
            jobs, self._new = self._new, []
            return jobs

    def close(self, reason: str) -> None:
        """Refuse new jobs, stop the running ones, and tell everybody who waits; `reason` is a sentence."""
        with self._changed:
            if self._refusal is None:
                self._refusal = EngineFailed(reason)
            self.closing.set()
            if self._preparing is not None:
                # One that was interrupted and taken up again has nobody who waits, and so is not among the open ones.
                self._preparing.flag.set()
            jobs, self._open, self._new = self._open, set(), []
            self._changed.notify()
        for job in jobs:
            job.flag.set()
            job.fail(EngineFailed(self._refusal.reason))
