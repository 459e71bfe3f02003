"""The inference thread, named `llama`: loads the model, has sole access to its context, and frees it."""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

from models.engine import EngineFailed, ModelUnusable
from models.llama.engine_report import build_report
from models.llama.kv_cache.cache_keys import cache_key_of
from models.llama.kv_cache.snapshot_folder import SnapshotFolder, delete_snapshots
from models.llama.kv_cache.snapshot_store import SnapshotStore
from models.llama.loading.loader import LoadCancelled, LoadedModel, load_model
from models.llama.native.context import LlamaContext
from models.llama.plan.hardware import free_memory_bytes
from models.llama.scheduling.request_errors import describe_failure
from models.llama.scheduling.requests import DropState, RequestQueue
from models.llama.scheduling.scheduler import Scheduler
from models.llama.scheduling.throughput import Throughput
from models.llama.settings import LlamaSettings

_log = logging.getLogger(__name__)
_CLOSED = "The engine was closed."
_CRASHED = "The inference thread ended with an error, which is in the log. Restart the program."
_INTERRUPTED = "The model failed while it answered. Ask again."
_RESTARTING = "The language model failed and is being started again."
# A thread that fails again so soon would fail for ever.
_RESTART_INTERVAL_S = 600.0
# A conversation that continues at once needs no snapshot in between.
_IDLE_BEFORE_SNAPSHOT_S = 0.5
# Closing takes a second at most; the remainder is for the step that is being computed.
_SNAPSHOT_CLOSE_S = 0.6
_SNAPSHOT_MEMORY_SHARE = 0.1


class InferenceThread:
    """One model and its thread. All members but `start` may be used from any thread."""

    def __init__(
        self,
        path: Path,
        settings: LlamaSettings,
        snapshot_folder: Path | None,
        on_progress: Callable[[float], None],
        *,
        stateless_on_disk: bool = False,
    ) -> None:
        self._path = path
        self.settings = settings
        self._snapshot_folder = snapshot_folder
        self._on_progress = on_progress
        self._stateless_on_disk = stateless_on_disk
        self._snapshots: SnapshotStore | None = None
        self.requests = RequestQueue()
        self.throughput = Throughput()
        self.loaded: Future[LoadedModel] = Future()
        self.ended: Future[None] = Future()
        self.failed: Future[str] = Future()
        self.scheduler: Scheduler | None = None
        """The scheduler of the running model, for its figures; None until it is loaded."""
        self.interruption: str | None = None
        """Why nothing can be answered at the moment, as a sentence."""
        self._restarted_at: float | None = None
        self._thread = threading.Thread(target=self._run, name="llama", daemon=True)

    def start(self) -> None:
        """Begin to load; the future `loaded` has the result. `failed` completes, with a sentence, only when the thread
        ends although it was not closed.
        """
        # From here on only the inference thread completes these futures: a cancelled waiter does not cancel them.
        self.loaded.set_running_or_notify_cancel()
        self.ended.set_running_or_notify_cancel()
        self.failed.set_running_or_notify_cancel()
        self._thread.start()

    def close(self) -> None:
        """Stop loading or generating and end the thread; the future `ended` completes when it has."""
        self.requests.close(_CLOSED)

    def drop_snapshots(self, request: DropState) -> None:
        """Drop the snapshots of a key after the thread has ended."""
        if self._snapshots is None:
            request.set_error(EngineFailed(_CLOSED))
        else:
            self._snapshots.drop_all_of(cache_key_of(request.key), request.set_result)

    def _run(self) -> None:
        try:
            if (loaded := self._load()) is not None:
                self._serve(loaded)
        except Exception as error:  # noqa: BLE001 - told by the future `failed`
            _log.error("The inference thread ended: %s.", describe_failure(error))
            self.failed.set_result(_CRASHED)
        finally:
            # Also after an unexpected error: no caller may wait for a thread that has ended.
            self.requests.close(_CRASHED)
            if not self.loaded.done():
                self.loaded.set_exception(EngineFailed(_CRASHED))
            self.ended.set_result(None)

    def _load(self) -> LoadedModel | None:
        try:
            loaded = load_model(self._path, self.settings, self._report_loading)
        except LoadCancelled:
            self.loaded.set_exception(EngineFailed(_CLOSED))
        except ModelUnusable as error:
            self.loaded.set_exception(error)
        else:
            return loaded
        return None

    def _report_loading(self, fraction: float) -> bool:
        self._on_progress(fraction)
        return not self.requests.closed

    def _serve(self, loaded: LoadedModel) -> None:
        snapshots = self._snapshots = self._open_snapshots(loaded)
        context = loaded.context
        try:
            self.throughput.set_capacity(loaded.memory_plan.parallel)
            while True:
                current = replace(loaded, context=context)
                context.set_abort_flag(self.requests.closing)
                scheduler = Scheduler(current, self.settings, self.throughput, snapshots, self.requests)
                self.scheduler, self.interruption = scheduler, None
                if not self.loaded.done():
                    _log.info("Loaded %s: %s", self._path.name, build_report(loaded, self.settings, None))
                    self.loaded.set_result(loaded)
                try:
                    self._run_until_closed(scheduler)
                    return
                except Exception as error:  # noqa: BLE001 - told, and raised when it comes again
                    self._prepare_restart(scheduler, error)
                    context.free()
                    context = LlamaContext(loaded.model, self.settings, loaded.memory_plan)
        finally:
            context.free()
            loaded.model.free()
            snapshots.close(_SNAPSHOT_CLOSE_S)

    def _run_until_closed(self, scheduler: Scheduler) -> None:
        while not self.requests.closed:
            self._run_once(scheduler)
        scheduler.close()

    def _prepare_restart(self, scheduler: Scheduler, error: Exception) -> None:
        """After an unforeseen error: end the running replies, one of which may have caused it, and keep what waits.

        The weights stay in memory, so that a restart takes moments. Raises the error when it is the second so soon.
        """
        now_s = time.monotonic()
        if self.requests.closed or (
            self._restarted_at is not None and now_s - self._restarted_at < _RESTART_INTERVAL_S
        ):
            raise error
        self._restarted_at, self.interruption = now_s, _RESTARTING
        _log.error("The inference thread failed and starts again: %s.", describe_failure(error))
        scheduler.abandon(EngineFailed(_INTERRUPTED))
        self.requests.take_again()

    def _run_once(self, scheduler: Scheduler) -> None:
        """Accept new requests and run one step; when idle, take a snapshot instead."""
        idle_s = _IDLE_BEFORE_SNAPSHOT_S if scheduler.has_unsaved else None
        new_requests = self.requests.take_requests(0.0 if scheduler.has_work else idle_s)
        for request in new_requests:
            scheduler.accept_request(request)
        if scheduler.has_work:
            scheduler.run_step()
        elif not new_requests:
            scheduler.snapshot_one()

    def _open_snapshots(self, loaded: LoadedModel) -> SnapshotStore:
        settings = self.settings
        memory_bytes = settings.kv_cache_memory_bytes
        if memory_bytes == "auto":
            memory_bytes = int(free_memory_bytes() * _SNAPSHOT_MEMORY_SHARE)
        if self._snapshot_folder is None:
            return SnapshotStore(memory_bytes, None)
        try:
            if settings.kv_cache_disk_bytes == 0:
                delete_snapshots(self._snapshot_folder)
                return SnapshotStore(memory_bytes, None)
            folder = SnapshotFolder(
                self._snapshot_folder, loaded.fingerprint, settings.kv_cache_disk_bytes, self._stateless_on_disk
            )
            return SnapshotStore(memory_bytes, folder)
        except OSError as error:
            _log.warning("Could not open the snapshot folder %s: %s.", self._snapshot_folder, error.strerror)
            return SnapshotStore(memory_bytes, None, has_unreachable_files=True)
