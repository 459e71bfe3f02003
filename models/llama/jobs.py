"""What is asked of the `llama` thread, and the queue in front of it: what people wait for goes first."""

import threading
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TypeVar

from models.engine import EngineFailed, Prompt
from models.llama.cancelling import CancelFlag
from models.llama.generation import Ask

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
        """With the thread everything it kept is gone."""
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
    """Filled from any thread, emptied by one."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._forgettings: deque[Forgetting] = deque()
        self._questions: deque[Question] = deque()
        self._preparations: deque[Preparation] = deque()
        self._current: Job | None = None
        self._refusal: EngineFailed | None = None

    @property
    def closed(self) -> bool:
        """Whether nothing more is served."""
        return self._refusal is not None

    def add(self, job: Job) -> None:
        """Queue a job. A question makes a running preparation give up. Raises EngineFailed when closed."""
        with self._changed:
            if self._refusal is not None:
                raise EngineFailed(self._refusal.reason)
            match job:
                case Question():
                    self._questions.append(job)
                    if isinstance(self._current, Preparation):
                        self._current.flag.set()
                case Preparation():
                    self._drop_preparations(job.key)
                    self._preparations.append(job)
                case Forgetting():
                    self._drop_preparations(job.key)
                    self._forgettings.append(job)
            self._changed.notify()

    def _drop_preparations(self, key: str) -> None:
        """The newest prompt of a conversation is the only one worth preparing."""
        dropped = [job for job in self._preparations if job.key == key]
        for job in dropped:
            self._preparations.remove(job)
            job.finish()
        if isinstance(self._current, Preparation) and self._current.key == key:
            self._current.flag.set()

    def take(self) -> Job | None:
        """The next job, waited for; None when closed."""
        with self._changed:
            self._current = None
            self._changed.wait_for(lambda: self.closed or self._forgettings or self._questions or self._preparations)
            if self.closed:
                return None
            waiting: deque[Forgetting] | deque[Question] | deque[Preparation]
            waiting = self._forgettings or self._questions or self._preparations
            self._current = waiting.popleft()
            return self._current

    def close(self, reason: str) -> None:
        """Refuse new jobs, stop the running one, and tell everybody who waits; `reason` is a sentence."""
        with self._changed:
            if self._refusal is None:
                self._refusal = EngineFailed(reason)
            jobs: list[Job] = [*self._forgettings, *self._questions, *self._preparations]
            if self._current is not None:
                self._current.flag.set()
                jobs.append(self._current)
            for waiting in (self._forgettings, self._questions, self._preparations):
                waiting.clear()
            self._changed.notify()
        for job in jobs:
            job.fail(EngineFailed(self._refusal.reason))
