"""A small JSON file for state that survives restarts, saved soon after each change."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import BaseModel, ValidationError

from adapters.storage.private_file import write_private_file

log = logging.getLogger(__name__)

SAVE_DELAY_S = 1.0

StateModel = TypeVar("StateModel", bound=BaseModel)


class StateFile(Generic[StateModel]):
    """Reads and writes the file in a thread of its own, so that a slow disk delays nothing else.

    The last changes may be lost with the process: only state that can be rebuilt belongs here.
    """

    def __init__(self, file: Path, model: type[StateModel], current_state: Callable[[], StateModel]) -> None:
        """`model()` is the content of a new file; `current_state` is called at each save."""
        self._file = file
        self._model = model
        self._current_state = current_state
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=file.stem)
        self._saving: asyncio.TimerHandle | None = None
        self._writing: asyncio.Future[None] | None = None
        self._closed = False

    async def load(self) -> StateModel:
        """The state of an earlier process; a damaged file counts as none."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._read_file)

    def save_soon(self) -> None:
        """Save after a short delay that collects further changes."""
        if self._saving is None and not self._closed:
            self._saving = asyncio.get_running_loop().call_later(SAVE_DELAY_S, self._save)

    async def close(self) -> None:
        """Save, and end the thread; later changes are not kept. Returns when the file is written."""
        self._closed = True
        if self._saving is not None:
            self._saving.cancel()
            self._save()
        if self._writing is not None:
            await self._writing
        self._thread.shutdown(wait=False)

    def _save(self) -> None:
        self._saving = None
        data = self._current_state().model_dump_json().encode()
        self._writing = asyncio.get_running_loop().run_in_executor(self._thread, self._write_bytes, data)

    def _write_bytes(self, data: bytes) -> None:
        try:
            write_private_file(self._file, data)
        except OSError as error:
            log.warning("Could not save the read position to %s: %s", self._file, error.strerror)

    def _read_file(self) -> StateModel:
        try:
            return self._model.model_validate_json(self._file.read_bytes())
        except FileNotFoundError:
            return self._model()
        except (OSError, ValidationError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is damaged"
            log.warning("Could not read the read position from %s: %s", self._file, reason)
            return self._model()
