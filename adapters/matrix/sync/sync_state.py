"""Sync position, read markers and open tasks of the account, kept over restarts; no texts."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from adapters.storage.read_markers import ReadMarkers, ReadState

FILE = "marks.json"


class UndecryptableMessage(BaseModel):
    """A message that could not be decrypted."""

    model_config = ConfigDict(frozen=True)

    room_id: str
    session_id: str


class SavedSyncState(ReadState[str]):
    """Contents of the file; every mapping is in the order of its last change, for eviction.

    `token`: position of the next sync. `seen`: by room the last event handled, empty where there was none yet.
    `threads`: roots of the threads that Hearth takes part in. `invitations`: rooms to join, and the inviter.
    `welcomes`: rooms to greet, and the inviter. `replaced`: by room the one that it replaces. `unread`: by event the
    undecryptable messages. `told`: by session or room when its people were notified of those, in Unix seconds.
    `lifted`: whether the homeserver was found to have higher rate limits for this account than for others.
    """

    token: str = ""
    invitations: dict[str, str] = Field(default_factory=dict)
    welcomes: dict[str, str] = Field(default_factory=dict)
    replaced: dict[str, str] = Field(default_factory=dict)
    unread: dict[str, UndecryptableMessage] = Field(default_factory=dict)
    told: dict[str, float] = Field(default_factory=dict)
    lifted: bool = False


class SyncState(ReadMarkers[str, SavedSyncState]):
    """The state of one account; rooms are marked as read by their last event."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / FILE, SavedSyncState)

    @property
    def is_new(self) -> bool:
        """Whether the account has never synced before."""
        return not self.saved.token and not self.saved.seen

    def advance_token(self, token: str) -> None:
        """Note that all events up to a sync token were handled."""
        if token != self.saved.token:
            self.saved.token = token
            self.save_soon()

    def note_limits(self, lifted: bool) -> None:
        """Note the homeserver's rate limits, so that the next process need not find them out again."""
        if lifted != self.saved.lifted:
            self.saved.lifted = lifted
            self.save_soon()

    def drop_room(self, room_id: str) -> None:
        """Drop the state of a room that the account is no longer in."""
        saved = self.saved
        for mapping in (saved.seen, saved.invitations, saved.welcomes, saved.told):
            mapping.pop(room_id, None)
        for event_id in [event_id for event_id, unread in saved.unread.items() if unread.room_id == room_id]:
            del saved.unread[event_id]
        self.save_soon()
