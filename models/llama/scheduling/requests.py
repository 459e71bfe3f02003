"""Requests to the inference thread, and the thread-safe queue that carries them."""

import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TypeVar

from models.engine import EngineFailed, Prompt, RawPrompt
from models.llama.decoding.generation import GenerationRequest
from models.llama.native.cancel_flag import CancelFlag

T = TypeVar("T")

_settling = threading.Lock()
_NOT_DELETED = "A snapshot could not be deleted; the reason is in the log."


@dataclass(frozen=True, slots=True, eq=False)
class Generate:
    """A request for a reply."""

    prompt: Prompt | RawPrompt
    request: GenerationRequest

    @property
    def cancel_flag(self) -> CancelFlag:
        """The flag that cancels the request."""
        return self.request.cancel_flag

    def set_error(self, error: EngineFailed) -> None:
        """End the stream with an error; no effect when the reply is complete."""
        self.request.stream.set_end(error)


@dataclass(frozen=True, slots=True, eq=False)
class WarmUp:
    """A request to prefill system and history of a prompt while idle."""

    key: str
    prompt: Prompt
    cancel_flag: CancelFlag = field(default_factory=CancelFlag)
    done: "Future[None]" = field(default_factory=Future)

    def set_error(self, error: EngineFailed) -> None:
        """Complete without the error: a warm-up is only an attempt."""
        del error
        _settle(self.done, None)

    def set_done(self) -> None:
        """Complete: the prompt is prefilled, or the warm-up was abandoned."""
        _settle(self.done, None)


@dataclass(frozen=True, slots=True, eq=False)
class DropState:
    """A request to drop the state of a conversation; `done` gets the number of bytes, or EngineFailed."""

    key: str
    cancel_flag: CancelFlag = field(default_factory=CancelFlag)
    done: "Future[int]" = field(default_factory=Future)

    def set_error(self, error: EngineFailed) -> None:
        """Complete with the error: files may remain."""
        _settle(self.done, error)

    def set_result(self, dropped_bytes: int | None) -> None:
        """Complete with the number of bytes dropped; None: some may remain."""
        _settle(self.done, EngineFailed(_NOT_DELETED) if dropped_bytes is None else dropped_bytes)


Request = Generate | WarmUp | DropState


def _settle(future: "Future[T]", result: T | EngineFailed) -> None:
    """Set the result of a future, or its error, unless it has one or was cancelled."""
    with _settling:
        if future.done() or not future.set_running_or_notify_cancel():
            return
        if isinstance(result, EngineFailed):
            future.set_exception(result)
        else:
            future.set_result(result)


class RequestQueue:
    """Filled from any thread, emptied by one. Tracks all unfinished requests, so that closing ends them."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._new: list[Request] = []
        self._open: dict[Request, None] = {}
        self._running_warm_up: WarmUp | None = None
        self._woken = False
        self._closed_error: EngineFailed | None = None
        self.closing = CancelFlag()

    @property
    def closed(self) -> bool:
        """Whether requests are refused."""
        return self._closed_error is not None

    def add(self, request: Request) -> None:
        """Add a request. All but a warm-up of another conversation cancel a running warm-up.

        Raises EngineFailed when closed.
        """
        with self._changed:
            if self._closed_error is not None:
                raise EngineFailed(self._closed_error.reason)
            self._new.append(request)
            self._open[request] = None
            if self._running_warm_up is not None and not self._may_continue(self._running_warm_up, request):
                self._running_warm_up.cancel_flag.set()
            self._changed.notify()

    @staticmethod
    def _may_continue(running: WarmUp, request: Request) -> bool:
        """Only a warm-up of another conversation may wait for the running one."""
        return isinstance(request, WarmUp) and request.key != running.key

    def set_running_warm_up(self, request: WarmUp | None) -> None:
        """Set the warm-up that runs now, if any; requests that cannot wait for it cancel it."""
        with self._changed:
            self._running_warm_up = request
            if request is not None and (self.closed or any(not self._may_continue(request, new) for new in self._new)):
                request.cancel_flag.set()

    def mark_done(self, request: Request) -> None:
        """Stop tracking a request that has ended."""
        with self._changed:
            self._open.pop(request, None)

    def wake_thread(self) -> None:
        """Make `take_requests` return, because data that a request waited for has arrived."""
        with self._changed:
            self._woken = True
            self._changed.notify()

    def take_requests(self, wait_s: float | None) -> list[Request]:
        """The new requests. Waits up to `wait_s` seconds for the first one or `wake_thread`; None: without limit."""
        with self._changed:
            self._changed.wait_for(lambda: self.closed or self._new or self._woken, wait_s)
            self._woken = False
            requests, self._new = self._new, []
            return requests

    def take_again(self) -> None:
        """Let `take_requests` return all unfinished requests once more, in the order in which they came; warm-ups end
        instead.
        """
        with self._changed:
            self._running_warm_up = None
            warm_ups = [request for request in self._open if isinstance(request, WarmUp)]
            for warm_up in warm_ups:
                del self._open[warm_up]
            self._new = list(self._open)
        for warm_up in warm_ups:
            warm_up.set_done()

    def close(self, reason: str) -> None:
        """Refuse new requests, cancel the unfinished ones and set their errors; `reason` is a sentence."""
        with self._changed:
            if self._closed_error is None:
                self._closed_error = EngineFailed(reason)
            self.closing.set()
            if self._running_warm_up is not None:
                # A resumed warm-up has no caller, so it is not among the open requests.
                self._running_warm_up.cancel_flag.set()
            requests, self._open, self._new = list(self._open), {}, []
            self._changed.notify()
        for request in requests:
            request.cancel_flag.set()
            request.set_error(EngineFailed(self._closed_error.reason))
