"""The `llama` thread: loads the model, is the only one to touch its context, and frees it."""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

from models.engine import EngineFailed, ModelUnusable
from models.llama.kv_cache.snapshot_folder import Shelf
from models.llama.kv_cache.snapshot_store import Parked
from models.llama.loading.loader import LoadCancelled, Loaded, load
from models.llama.plan.hardware import free_memory_bytes
from models.llama.scheduling.requests import JobQueue
from models.llama.scheduling.scheduler import Server
from models.llama.scheduling.throughput import Pace
from models.llama.settings import LlamaSettings

_log = logging.getLogger(__name__)
_CLOSED = "The engine was closed."
_CRASHED = "The model's thread ended by an error, which is in the log. Start the program again."
# A conversation that goes on at once need not be parked in between.
_QUIET_S = 0.5
# Closing takes a second at most; the rest of it is for the step that is being computed.
_PARKING_S = 0.6
_PARKED_SHARE = 0.1


class Worker:
    """One model and its thread. Everything but `start` may be called from any thread."""

    def __init__(
        self, path: Path, settings: LlamaSettings, parked_folder: Path | None, on_progress: Callable[[float], None]
    ) -> None:
        self._path = path
        self._settings = settings
        self._parked_folder = parked_folder
        self._on_progress = on_progress
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
        parked = self._open_parked(loaded)
        try:
            self.pace.serves(loaded.fit.replies)
            loaded.context.watch(self.jobs.closing)
            server = Server(loaded, self._settings, self.pace, parked, self.jobs)
            self.loaded.set_result(loaded)
            while not self.jobs.closed:
                self._turn(server)
            server.close()
        finally:
            loaded.context.free()
            loaded.model.free()
            parked.close(_PARKING_S)

    def _turn(self, server: Server) -> None:
        """Take what is new, and compute once; in a quiet moment park instead."""
        idle_s = _QUIET_S if server.unsaved else None
        jobs = self.jobs.take(0.0 if server.busy else idle_s)
        for job in jobs:
            server.accept(job)
        if server.busy:
            server.step()
        elif not jobs:
            server.park_one()

    def _open_parked(self, loaded: Loaded) -> Parked:
        settings = self._settings
        memory_bytes = settings.parked_memory_bytes
        if memory_bytes == "auto":
            memory_bytes = int(free_memory_bytes() * _PARKED_SHARE)
        if self._parked_folder is None or settings.parked_disk_bytes == 0:
            return Parked(memory_bytes, None)
        try:
            return Parked(memory_bytes, Shelf(self._parked_folder, loaded.fingerprint, settings.parked_disk_bytes))
        except OSError as error:
            _log.warning("Conversations cannot be parked in %s: %s.", self._parked_folder, error.strerror)
            return Parked(memory_bytes, None)
