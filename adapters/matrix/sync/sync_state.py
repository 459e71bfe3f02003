"""Remembers, over restarts, how far Matrix was read and what is still to be done about it; no texts."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from adapters.matrix.bounded_dict import put_bounded
from adapters.storage.json_state_file import StateFile

FILE = "marks.json"
ROOMS_KEPT = 5000
THREADS_KEPT = 2000


class UndecryptableMessage(BaseModel):
    """A message that could not be decrypted."""

    model_config = ConfigDict(frozen=True)

    room_id: str
    session_id: str


class SavedSyncState(BaseModel):
    """What the file holds; every mapping is in the order in which things came, so that the oldest go first.

    `token`: where the next sync goes on. `seen`: by room the last event dealt with, empty where there was none yet.
    `threads`: roots of the threads in which Hearth takes part. `invitations`: rooms to be joined, and who invited.
    `welcomes`: rooms in which nothing was said yet, and who invited. `replaced`: by room the one that it replaces.
    `unread`: by event what could not be decrypted. `told`: by session or room when its people were told of that.
    `lifted`: whether the homeserver was found to take more of this account than others.
    """

    token: str = ""
    seen: dict[str, str] = {}
    threads: dict[str, None] = {}
    invitations: dict[str, str] = {}
    welcomes: dict[str, str] = {}
    replaced: dict[str, str] = {}
    unread: dict[str, UndecryptableMessage] = {}
    told: dict[str, float] = {}
    lifted: bool = False


class SyncState:
    """What is kept, in memory and soon after on the disk. Whoever changes `saved` calls `save_soon`.

    A change that is lost makes events come again; the core knows those it has handled.
    """

    def __init__(self, folder: Path) -> None:
        self.saved = SavedSyncState()
        self._file = StateFile(folder / FILE, SavedSyncState, lambda: self.saved)

    async def load(self) -> None:
        """Read what an earlier process left; a damaged file counts as none."""
        self.saved = await self._file.load()

    @property
    def is_new(self) -> bool:
        """Whether nothing was ever read."""
        return not self.saved.token and not self.saved.seen

    def advance_token(self, token: str) -> None:
        """Everything that a sync told up to here has been dealt with."""
        if token != self.saved.token:
            self.saved.token = token
            self.save_soon()

    def mark_read(self, room_id: str, event_id: str) -> None:
        """An event of a room has been dealt with, and all before it; empty when a room has shown none yet."""
        put_bounded(self.saved.seen, room_id, event_id, ROOMS_KEPT)
        self.save_soon()

    def join_thread(self, thread_root: str) -> None:
        """From now on Hearth takes part in a thread."""
        put_bounded(self.saved.threads, thread_root, None, THREADS_KEPT)
        self.save_soon()

    def is_in_thread(self, thread_root: str) -> bool:
        """Whether Hearth takes part in a thread."""
        return thread_root in self.saved.threads

    def note_limits(self, lifted: bool) -> None:
        """What was learnt of the homeserver's limits, so that the next start need not learn it anew."""
        if lifted != self.saved.lifted:
            self.saved.lifted = lifted
            self.save_soon()

    def drop_room(self, room_id: str) -> None:
        """We are no longer in a room."""
        kept = self.saved
        for mapping in (kept.seen, kept.invitations, kept.welcomes, kept.told):
            mapping.pop(room_id, None)
        for event_id in [event_id for event_id, unread in kept.unread.items() if unread.room_id == room_id]:
            del kept.unread[event_id]
        self.save_soon()

    def save_soon(self) -> None:
        """Something has changed."""
        self._file.save_soon()

    async def close(self) -> None:
        """Save; what changes after this is not kept."""
        await self._file.close()
