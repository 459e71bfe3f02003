"""The `llama` thread: loads the model, is the only one to touch its context, and frees it."""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

from models.engine import EngineFailed, ModelUnusable
from models.llama.jobs import Forgetting, JobQueue, Preparation, Question
from models.llama.loading import LoadCancelled, Loaded, load
from models.llama.pace import Pace
from models.llama.serving import Server
from models.llama.settings import LlamaSettings

_log = logging.getLogger(__name__)
_CLOSED = "The engine was closed."
_CRASHED = "The model's thread ended by an error, which is in the log. Start the program again."


class Worker:
    """One model and its thread. Everything but `start` may be called from any thread."""

    def __init__(self, path: Path, settings: LlamaSettings, on_progress: Callable[[float], None]) -> None:
        self._path = path
        self._settings = settings
        self._on_progress = on_progress
        self._server: Server | None = None
        self.jobs = JobQueue()
        self.pace = Pace()
        self.loaded: Future[Loaded] = Future()
        self.ended: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, name="llama", daemon=True)

    def start(self) -> None:
        """Begin to load; `loaded` tells the outcome."""
        # From here on only this thread settles them: a waiter that is cancelled does not cancel them.
        self.loaded.set_running_or_notify_cancel()
        self.ended.set_running_or_notify_cancel()
        self._thread.start()

    def close(self) -> None:
        """Stop loading or answering and end the thread; `ended` tells when."""
        self.jobs.close(_CLOSED)

    def holds(self, key: str) -> bool:
        """Whether tokens of this conversation are in the context."""
        server = self._server
        return server is not None and server.holder == key

    def _run(self) -> None:
        try:
            if (loaded := self._load()) is not None:
                self._serve(loaded)
        finally:
            # Also after an error nobody foresaw: nobody may wait for a thread that is gone.
            self.jobs.close(_CRASHED)
            if not self.loaded.done():
                self.loaded.set_exception(EngineFailed(_CRASHED))
            self.ended.set_result(None)

    def _load(self) -> Loaded | None:
        try:
            loaded = load(self._path, self._settings, self._loading_goes_on)
        except LoadCancelled:
            self.loaded.set_exception(EngineFailed(_CLOSED))
        except ModelUnusable as error:
            self.loaded.set_exception(error)
        else:
            return loaded
        return None

    def _loading_goes_on(self, part: float) -> bool:
        self._on_progress(part)
        return not self.jobs.closed

    def _serve(self, loaded: Loaded) -> None:
        try:
            self._server = server = Server(loaded, self._settings, self.pace)
            self.loaded.set_result(loaded)
            while (job := self.jobs.take()) is not None:
                match job:
                    case Question():
                        server.answer(job)
                    case Preparation():
                        server.prepare(job)
                    case Forgetting():
                        server.forget(job)
        finally:
            self._server = None
            loaded.context.free()
            loaded.model.free()
