"""Watched folders: changes in the collections' folders are indexed by themselves, network shares at intervals."""

import asyncio
import logging
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import psutil
from watchfiles import Change, awatch
from watchfiles._rust_notify import WatchfilesRustInternalError

from knowledge.embedding import EmbeddingFailed
from knowledge.folder_scan import PathFilter
from knowledge.junk_rules import JunkRules
from knowledge.library import Library, LibraryClosed, ReindexRunning
from knowledge.passages import ReindexReport
from knowledge.settings import CollectionSettings, KnowledgeSettings
from knowledge.sqlite import DatabaseDamaged, DatabaseUnusable

_log = logging.getLogger(__name__)

_SETTLE_MS = 1000
"""Changes that follow each other more quickly are indexed together: a copy of many files, a save in several steps."""
_IDLE_MS = 5000
"""How often the watcher reports that nothing changed."""
_PAUSE_FACTOR = 2
_LONGEST_PAUSE_S = 60.0
"""After a run there is a pause of twice its duration: a log that grows all the time must not take all the time."""
_RETRY_S = 2.0
NETWORK_FILE_SYSTEMS = frozenset(
    [
        *("nfs", "nfs4", "cifs", "smb2", "smb3", "smbfs", "afpfs", "afs", "webdav", "davfs", "9p", "ceph", "glusterfs"),
        *("virtiofs", "drvfs", "vboxsf", "prl_fs", "fuse.vmhgfs-fuse", "fuse.grpcfuse", "fuse.osxfs"),
        *("fuse.sshfs", "fuse.rclone", "fuse.davfs", "fuse.glusterfs"),
    ]
)
"""File systems on which the system does not tell what other machines change."""


class Mount(NamedTuple):
    """A mounted file system."""

    folder: Path
    kind: str


class FolderWatch:
    """Keeps the collections of a library current for as long as `run` runs. Reindexing on request goes first."""

    def __init__(self, library: Library, settings: KnowledgeSettings, data_folder: Path) -> None:
        self._library = library
        self._settings = settings
        self._data_folder = os.path.realpath(data_folder)
        self._junk = JunkRules(settings.junk)
        self._changed: set[str] = set(settings.collections)
        self._has_changed = asyncio.Event()
        self._withheld: object = ()
        self._unwatched: dict[str, str] = {}

    async def run(self) -> None:
        """Index everything that changed meanwhile, then what changes, until cancelled or the library is closed."""
        async with asyncio.TaskGroup() as group:
            watching = [
                group.create_task(self._watch_folder(name, collection), name=f"watch {name}")
                for name, collection in self._settings.collections.items()
            ]
            await self._reindex_changes()
            for task in watching:
                task.cancel()

    async def _reindex_changes(self) -> None:
        """Reindex what has changed, until the library is closed."""
        self._has_changed.set()
        while True:
            await self._has_changed.wait()
            self._has_changed.clear()
            names, self._changed = self._changed, set()
            began = time.monotonic()
            try:
                self._log_report(names, await self._library.reindex(names, gives_way=True))
            except ReindexRunning:  # it may have begun before these changes
                await asyncio.sleep(_RETRY_S)
                self._mark(*names)
                continue
            except LibraryClosed:
                return
            except (EmbeddingFailed, DatabaseDamaged, DatabaseUnusable) as error:
                _log.error("Could not index what changed in the watched folders: %s", error)
            await asyncio.sleep(min(_LONGEST_PAUSE_S, _PAUSE_FACTOR * (time.monotonic() - began)))

    async def _watch_folder(self, name: str, collection: CollectionSettings) -> None:
        while True:
            await self._wait_for_changes(name, collection)
            await asyncio.sleep(60 * self._settings.rescan_minutes)
            self._mark(name)

    async def _wait_for_changes(self, name: str, collection: CollectionSettings) -> None:
        """Mark the collection at each change, for as long as the system tells of changes."""
        folder = collection.folder.absolute()
        if is_on_network(folder, list_mounts()):
            self._tell_unwatched(name, "it is on the network")
            return
        is_watched = False
        rules = _ChangeFilter(folder, collection, self._junk, self._data_folder)
        try:
            async for changes in awatch(
                rules.watched,
                watch_filter=rules,
                debounce=_SETTLE_MS,
                recursive=not rules.is_file,
                ignore_permission_denied=True,
                rust_timeout=_IDLE_MS,
                yield_on_timeout=True,
            ):
                # The first time also for what changed before the folder was watched.
                if changes or not is_watched:
                    self._mark(name)
                is_watched = True
                if (Change.deleted, str(rules.root)) in changes and not rules.is_there():
                    break
        except OSError as error:
            self._tell_unwatched(name, error.strerror or str(error))
        except WatchfilesRustInternalError as error:
            self._tell_unwatched(name, str(error))

    def _tell_unwatched(self, name: str, reason: str) -> None:
        if self._unwatched.get(name) != reason:
            _log.info("Reading the folder of %s every %g minutes: %s.", name, self._settings.rescan_minutes, reason)
        self._unwatched[name] = reason

    def _mark(self, *names: str) -> None:
        self._changed.update(names)
        self._has_changed.set()

    def _log_report(self, names: Iterable[str], report: ReindexReport) -> None:
        if report.added or report.changed or report.removed:
            counts = (report.added, report.changed, report.removed, len(report.failed))
            changed = ", ".join(sorted(names))
            _log.info("Indexed %s: %d added, %d changed, %d removed, %d failed.", changed, *counts)
        if report.withheld and report.withheld != self._withheld:
            _log.warning(
                "Kept %d documents in the index whose files are missing; `hearth index` tells more.",
                sum(each.documents for each in report.withheld),
            )
        self._withheld = report.withheld


class _ChangeFilter:
    """The changes below a collection's folder that may concern its documents."""

    def __init__(self, folder: Path, collection: CollectionSettings, junk: JunkRules, data_folder: str) -> None:
        self.root = Path(os.path.realpath(folder))
        self.is_file = self.root.is_file()
        self.watched = self.root.parent if self.is_file else self.root
        """The folder to watch; that of a single file is watched without those in it."""
        self._paths = PathFilter(collection.include, collection.exclude)
        self._junk = junk
        self._data_folder = data_folder

    def is_there(self) -> bool:
        """Whether the folder, or the single file, exists."""
        return self.root.exists()

    def __call__(self, change: Change, path: str) -> bool:
        if path == str(self.root):
            return self.is_file or change == Change.deleted
        if self.is_file or Path(path).is_relative_to(self._data_folder):
            return False
        document = os.path.relpath(path, self.root).replace(os.sep, "/")
        if self._is_junk(document) or not self._paths.includes_folder(document):
            return False
        # Of what is deleted nothing tells whether it was a folder.
        return change == Change.deleted or self._paths.includes_file(document) or Path(path).is_dir()

    def _is_junk(self, document: str) -> bool:
        below = ""
        *folders, name = document.split("/")
        for folder in folders:
            if self._junk.find_rule(below, folder, is_folder=True):
                return True
            below += f"{folder}/"
        return bool(self._junk.find_rule(below, name, is_folder=False))


def list_mounts() -> list[Mount]:
    """The mounted file systems; nothing is asked of them, since a share whose server is gone never answers."""
    return [Mount(Path(each.mountpoint), each.fstype) for each in psutil.disk_partitions(all=True)]


def is_on_network(folder: Path, mounts: Iterable[Mount]) -> bool:
    """Whether an absolute folder, or a folder in it, is on a network file system."""
    around = [mount for mount in mounts if folder.is_relative_to(mount.folder)]
    nearest = max(around, key=lambda mount: len(mount.folder.parts), default=None)
    inside = [mount for mount in mounts if mount.folder.is_relative_to(folder)]
    return any(mount.kind in NETWORK_FILE_SYSTEMS for mount in (*inside, *((nearest,) if nearest else ())))
