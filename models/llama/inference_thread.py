"""The `llama` thread: loads the model, is the only one to touch its context, and frees it."""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

from models.engine import EngineFailed, ModelUnusable
from models.llama.kv_cache.snapshot_folder import SnapshotFolder
from models.llama.kv_cache.snapshot_store import SnapshotStore
from models.llama.loading.loader import LoadCancelled, LoadedModel, load_model
from models.llama.plan.hardware import free_memory_bytes
from models.llama.scheduling.requests import RequestQueue
from models.llama.scheduling.scheduler import Scheduler
from models.llama.scheduling.throughput import Throughput
from models.llama.settings import LlamaSettings

_log = logging.getLogger(__name__)
_CLOSED = "The engine was closed."
_CRASHED = "The model's thread ended by an error, which is in the log. Start the program again."
# A conversation that goes on at once need not be parked in between.
_QUIET_S = 0.5
# Closing takes a second at most; the rest of it is for the step that is being computed.
_SNAPSHOT_CLOSE_S = 0.6
_SNAPSHOT_MEMORY_SHARE = 0.1


class InferenceThread:
    """One model and its thread. Everything but `start` may be called from any thread."""

    def __init__(
        self, path: Path, settings: LlamaSettings, snapshot_folder: Path | None, on_progress: Callable[[float], None]
    ) -> None:
        self._path = path
        self._settings = settings
        self._snapshot_folder = snapshot_folder
        self._on_progress = on_progress
        self.requests = RequestQueue()
        self.throughput = Throughput()
        self.loaded: Future[LoadedModel] = Future()
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
        self.requests.close(_CLOSED)

    def _run(self) -> None:
        try:
            if (loaded := self._load()) is not None:
                self._serve(loaded)
        finally:
            # Also after an error nobody foresaw: nobody may wait for a thread that is gone.
            self.requests.close(_CRASHED)
            if not self.loaded.done():
                self.loaded.set_exception(EngineFailed(_CRASHED))
            self.ended.set_result(None)

    def _load(self) -> LoadedModel | None:
        try:
            loaded = load_model(self._path, self._settings, self._continue_loading)
        except LoadCancelled:
            self.loaded.set_exception(EngineFailed(_CLOSED))
        except ModelUnusable as error:
            self.loaded.set_exception(error)
        else:
            return loaded
        return None

    def _continue_loading(self, part: float) -> bool:
        self._on_progress(part)
        return not self.requests.closed

    def _serve(self, loaded: LoadedModel) -> None:
        parked = self._open_snapshots(loaded)
        try:
            self.throughput.set_capacity(loaded.memory_plan.parallel)
            loaded.context.set_abort_flag(self.requests.closing)
            server = Scheduler(loaded, self._settings, self.throughput, parked, self.requests)
            self.loaded.set_result(loaded)
            while not self.requests.closed:
                self._run_once(server)
            server.close()
        finally:
            loaded.context.free()
            loaded.model.free()
            parked.close(_SNAPSHOT_CLOSE_S)

    def _run_once(self, server: Scheduler) -> None:
        """Take what is new, and compute once; in a quiet moment park instead."""
        idle_s = _QUIET_S if server.has_unsaved else None
        jobs = self.requests.take_requests(0.0 if server.has_work else idle_s)
        for job in jobs:
            server.accept_request(job)
        if server.has_work:
            server.run_step()
        elif not jobs:
            server.snapshot_one()

    def _open_snapshots(self, loaded: LoadedModel) -> SnapshotStore:
        settings = self._settings
        memory_bytes = settings.kv_cache_memory_bytes
        if memory_bytes == "auto":
            memory_bytes = int(free_memory_bytes() * _SNAPSHOT_MEMORY_SHARE)
        if self._snapshot_folder is None or settings.kv_cache_disk_bytes == 0:
            return SnapshotStore(memory_bytes, None)
        try:
            return SnapshotStore(
                memory_bytes, SnapshotFolder(self._snapshot_folder, loaded.fingerprint, settings.kv_cache_disk_bytes)
            )
        except OSError as error:
            _log.warning("Conversations cannot be parked in %s: %s.", self._snapshot_folder, error.strerror)
            return SnapshotStore(memory_bytes, None)
