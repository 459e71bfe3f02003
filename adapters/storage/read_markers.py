"""Read markers: how far each channel or room was read, and the threads Hearth takes part in, kept over restarts."""

from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, Field

from adapters.storage.bounded_dict import put_bounded
from adapters.storage.json_state_file import StateFile

CHANNELS_KEPT = 5000
THREADS_KEPT = 2000

Id = TypeVar("Id", int, str)


class ReadState(BaseModel, Generic[Id]):
    """Contents of the file, without texts; mappings are in the order of their last change, for eviction.

    `seen`: the last message or event handled, by channel or room. `threads`: the threads that Hearth takes part in.
    """

    seen: dict[Id, Id] = Field(default_factory=dict)
    threads: dict[Id, None] = Field(default_factory=dict)


State = TypeVar("State", bound=ReadState[Any])


class ReadMarkers(Generic[Id, State]):
    """The state in memory and, soon after each change, on disk. Code that changes `saved` calls `save_soon`.

    A lost change makes messages come again; the core knows those it has handled.
    """

    def __init__(self, file: Path, model: type[State]) -> None:
        self.saved = model()
        self._file = StateFile(file, model, lambda: self.saved)

    async def load(self) -> None:
        """Read the state of an earlier process; a damaged file counts as none."""
        self.saved = await self._file.load()

    def mark_read(self, channel: Id, position: Id) -> None:
        """Note that a channel or room was handled up to a message or event."""
        put_bounded(self.saved.seen, channel, position, CHANNELS_KEPT)
        self.save_soon()

    def join_thread(self, thread: Id) -> None:
        """Note that Hearth takes part in a thread."""
        put_bounded(self.saved.threads, thread, None, THREADS_KEPT)
        self.save_soon()

    def is_in_thread(self, thread: Id) -> bool:
        """Whether Hearth takes part in a thread."""
        return thread in self.saved.threads

    def save_soon(self) -> None:
        """Save within a second."""
        self._file.save_soon()

    async def close(self) -> None:
        """Save; later changes are not kept."""
        await self._file.close()
