"""Remembers, over restarts, how far each channel was read and which threads are Hearth's own; no texts."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from adapters.storage.json_state_file import StateFile

THREADS_KEPT = 2000
CHANNELS_KEPT = 5000


class ReadMarkersState(BaseModel):
    """What the file holds: the newest message by channel, which channels are direct, and Hearth's own threads."""

    model_config = ConfigDict(frozen=True)

    seen: dict[int, int] = {}
    direct: list[int] = []
    threads: list[int] = []


class ReadMarkers:
    """The newest message seen in each channel, by its id.

    A mark that is lost only makes the next start look at messages again; the core knows those it has handled.
    """

    def __init__(self, file: Path) -> None:
        self._state_file = StateFile(file, ReadMarkersState, self._to_state)
        self._last_read: dict[int, int] = {}
        self._direct: set[int] = set()
        self._threads: dict[int, None] = {}

    async def load(self) -> None:
        """Read what an earlier process left; a damaged file counts as none."""
        kept = await self._state_file.load()
        self._last_read, self._direct = dict(kept.seen), set(kept.direct)
        self._threads = dict.fromkeys(kept.threads)

    @property
    def newest_id(self) -> int:
        """The newest message seen anywhere; 0 when none was."""
        return max(self._last_read.values(), default=0)

    @property
    def direct_channels(self) -> frozenset[int]:
        """The direct message channels in which people have written."""
        return frozenset(self._direct)

    def last_read_ids(self) -> dict[int, int]:
        """The newest message seen in each channel, as of now."""
        return dict(self._last_read)

    def mark_read(self, channel_id: int, message_id: int, direct: bool = False) -> None:
        """A message of a channel has been dealt with."""
        earlier = self._last_read.pop(channel_id, 0)
        self._last_read[channel_id] = max(message_id, earlier)
        while len(self._last_read) > CHANNELS_KEPT:
            self._last_read.pop(next(iter(self._last_read)))
        if direct:
            self._direct.add(channel_id)
        self._state_file.save_soon()

    def join_thread(self, thread_id: int) -> None:
        """From now on a thread is Hearth's own."""
        self._threads[thread_id] = None
        while len(self._threads) > THREADS_KEPT:
            del self._threads[next(iter(self._threads))]
        self._state_file.save_soon()

    def is_in_thread(self, thread_id: int) -> bool:
        """Whether a thread is Hearth's own."""
        return thread_id in self._threads

    async def close(self) -> None:
        """Save; what is seen after this is not kept."""
        await self._state_file.close()

    def _to_state(self) -> ReadMarkersState:
        direct = self._direct & self._last_read.keys()
        return ReadMarkersState(seen=self._last_read, direct=sorted(direct), threads=list(self._threads))
