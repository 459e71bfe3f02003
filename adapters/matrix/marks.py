"""Remembers, over restarts, how far Matrix was read and what is still to be done about it; no texts."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from adapters.matrix.private_file import write_private

log = logging.getLogger(__name__)

FILE = "marks.json"
SAVED_EVERY_S = 1.0
ROOMS_KEPT = 5000
THREADS_KEPT = 2000

Value = TypeVar("Value")


class Unread(BaseModel):
    """A message that could not be decrypted."""

    model_config = ConfigDict(frozen=True)

    room_id: str
    session_id: str


class Kept(BaseModel):
    """What the file holds; every mapping is in the order in which things came, so that the oldest go first.

    `token`: where the next sync goes on. `seen`: by room the last event dealt with, empty where there was none yet.
    `threads`: roots of the threads in which Hearth takes part. `invitations`: rooms to be joined, and who invited.
    `welcomes`: rooms in which nothing was said yet, and who invited. `replaced`: by room the one that it replaces.
    `unread`: by event what could not be decrypted. `told`: by session or room when its people were told of that.
    """

    token: str = ""
    seen: dict[str, str] = {}
    threads: dict[str, None] = {}
    invitations: dict[str, str] = {}
    welcomes: dict[str, str] = {}
    replaced: dict[str, str] = {}
    unread: dict[str, Unread] = {}
    told: dict[str, float] = {}


def put(mapping: dict[str, Value], key: str, value: Value, most: int) -> None:
    """Add an entry as the newest; the oldest goes when there are too many."""
    mapping.pop(key, None)
    mapping[key] = value
    while len(mapping) > most:
        del mapping[next(iter(mapping))]


class Marks:
    """What is kept, in memory and soon after on the disk. Whoever changes `kept` calls `save_soon`.

    A change that is lost makes events come again; the core knows those it has handled.
    """

    def __init__(self, folder: Path) -> None:
        self.kept = Kept()
        self._file = folder / FILE
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="matrix-marks")
        self._saving: asyncio.TimerHandle | None = None
        self._closed = False

    async def load(self) -> None:
        """Read what an earlier process left; a damaged file counts as none."""
        self.kept = await asyncio.get_running_loop().run_in_executor(self._thread, self._read)

    @property
    def is_new(self) -> bool:
        """Whether nothing was ever read."""
        return not self.kept.token and not self.kept.seen

    def advance(self, token: str) -> None:
        """Everything that a sync told up to here has been dealt with."""
        if token != self.kept.token:
            self.kept.token = token
            self.save_soon()

    def see(self, room_id: str, event_id: str) -> None:
        """An event of a room has been dealt with, and all before it; empty when a room has shown none yet."""
        put(self.kept.seen, room_id, event_id, ROOMS_KEPT)
        self.save_soon()

    def own(self, thread_root: str) -> None:
        """From now on Hearth takes part in a thread."""
        put(self.kept.threads, thread_root, None, THREADS_KEPT)
        self.save_soon()

    def owns(self, thread_root: str) -> bool:
        """Whether Hearth takes part in a thread."""
        return thread_root in self.kept.threads

    def forget(self, room_id: str) -> None:
        """We are no longer in a room."""
        kept = self.kept
        for mapping in (kept.seen, kept.invitations, kept.welcomes, kept.told):
            mapping.pop(room_id, None)
        for event_id in [event_id for event_id, unread in kept.unread.items() if unread.room_id == room_id]:
            del kept.unread[event_id]
        self.save_soon()

    def save_soon(self) -> None:
        """Something has changed."""
        if self._saving is None and not self._closed:
            self._saving = asyncio.get_running_loop().call_later(SAVED_EVERY_S, self._save)

    async def close(self) -> None:
        """Save, and end what saving needed; what changes after this is not kept."""
        self._closed = True
        if self._saving is not None:
            self._saving.cancel()
            await asyncio.get_running_loop().run_in_executor(self._thread, self._writer())
        self._thread.shutdown(wait=False)

    def _save(self) -> None:
        self._saving = None
        asyncio.get_running_loop().run_in_executor(self._thread, self._writer())

    def _writer(self) -> Callable[[], None]:
        kept = self.kept.model_dump_json().encode()

        def write() -> None:
            try:
                write_private(self._file, kept)
            except OSError as error:
                log.warning("What was read on Matrix cannot be noted in %s: %s", self._file, error.strerror)

        return write

    def _read(self) -> Kept:
        try:
            return Kept.model_validate_json(self._file.read_bytes())
        except FileNotFoundError:
            return Kept()
        except (OSError, ValidationError) as error:
            log.warning("What was read on Matrix is unknown, %s cannot be read: %s", self._file, type(error).__name__)
            return Kept()
