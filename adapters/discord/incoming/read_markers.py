"""Remembers, over restarts, how far each channel was read and which threads are Hearth's own; no texts."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from adapters.storage.json_state_file import Notebook

THREADS_KEPT = 2000
CHANNELS_KEPT = 5000


class Kept(BaseModel):
    """What the file holds: the newest message by channel, which channels are direct, and Hearth's own threads."""

    model_config = ConfigDict(frozen=True)

    seen: dict[int, int] = {}
    direct: list[int] = []
    threads: list[int] = []


class Marks:
    """The newest message seen in each channel, by its id.

    A mark that is lost only makes the next start look at messages again; the core knows those it has handled.
    """

    def __init__(self, file: Path) -> None:
        self._notebook = Notebook(file, Kept, self._kept)
        self._seen: dict[int, int] = {}
        self._direct: set[int] = set()
        self._threads: dict[int, None] = {}

    async def load(self) -> None:
        """Read what an earlier process left; a damaged file counts as none."""
        kept = await self._notebook.load()
        self._seen, self._direct = dict(kept.seen), set(kept.direct)
        self._threads = dict.fromkeys(kept.threads)

    @property
    def newest(self) -> int:
        """The newest message seen anywhere; 0 when none was."""
        return max(self._seen.values(), default=0)

    @property
    def direct(self) -> frozenset[int]:
        """The direct message channels in which people have written."""
        return frozenset(self._direct)

    def snapshot(self) -> dict[int, int]:
        """The newest message seen in each channel, as of now."""
        return dict(self._seen)

    def see(self, channel_id: int, message_id: int, direct: bool = False) -> None:
        """A message of a channel has been dealt with."""
        earlier = self._seen.pop(channel_id, 0)
        self._seen[channel_id] = max(message_id, earlier)
        while len(self._seen) > CHANNELS_KEPT:
            self._seen.pop(next(iter(self._seen)))
        if direct:
            self._direct.add(channel_id)
        self._notebook.save_soon()

    def own(self, thread_id: int) -> None:
        """From now on a thread is Hearth's own."""
        self._threads[thread_id] = None
        while len(self._threads) > THREADS_KEPT:
            del self._threads[next(iter(self._threads))]
        self._notebook.save_soon()

    def owns(self, thread_id: int) -> bool:
        """Whether a thread is Hearth's own."""
        return thread_id in self._threads

    async def close(self) -> None:
        """Save; what is seen after this is not kept."""
        await self._notebook.close()

    def _kept(self) -> Kept:
        direct = self._direct & self._seen.keys()
        return Kept(seen=self._seen, direct=sorted(direct), threads=list(self._threads))
