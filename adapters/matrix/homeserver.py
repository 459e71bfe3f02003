"""Port to a homeserver: requests and their errors."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from adapters.matrix.events import Event, EventPage, Json, Room, SyncResponse


@dataclass(eq=False)
class RequestRefused(Exception):
    """The homeserver refused a request permanently. `code` is its `errcode`; `body` is its whole JSON."""

    status: int
    code: str
    body: Json

    def __str__(self) -> str:
        return f"the homeserver refused with status {self.status}, {self.code or 'no code'}"


@dataclass(eq=False)
class LoggedOut(Exception):
    """The access token is no longer accepted (M_UNKNOWN_TOKEN). `soft`: the device still exists, with its keys."""

    soft: bool

    def __str__(self) -> str:
        return "the homeserver no longer knows the access token"


@dataclass(eq=False)
class MatrixUnusable(Exception):
    """Matrix cannot be used with the present setup. `reason` names the remedy, never a token, password or key."""

    user_facing = True
    reason: str

    def __str__(self) -> str:
        return self.reason


class MatrixApi(Protocol):
    """Authenticated JSON requests. Methods of these ports raise TransientFailure, RequestRefused and LoggedOut."""

    user_id: str
    device_id: str

    async def call_api(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        query: Sequence[tuple[str, str]] = (),
        *,
        timeout_s: float | None = None,
    ) -> dict[str, Any]:
        """Send one request to `/_matrix/client` + `path`, without retries; returns the JSON object of the response."""
        ...


class Homeserver(MatrixApi, Protocol):
    """The homeserver API of a session, for incoming and outgoing messages. Encryption happens below: events sent to
    an encrypted room are encrypted, events received are decrypted if their keys are known.
    """

    async def sync(self, since: str, timeout_s: float) -> SyncResponse:
        """Get the events since a token (empty: initial sync), waiting up to `timeout_s` for new ones."""
        ...

    def get_room(self, room_id: str) -> Room | None:
        """A joined room as of the last sync; None for other rooms."""
        ...

    async def load_members(self, room_id: str) -> None:
        """Load the complete list of a joined room's members, unless it is known: syncs report only some of them."""
        ...

    async def send(self, room_id: str, kind: str, content: Json, tx_id: str) -> str:
        """Send an event, encrypted if the room is; returns its id. A repeated `tx_id` returns the first event's id.

        Raises RequestRefused with code `HEARTH_UNKNOWN_ROOM`, sending nothing, for a room that no sync has reported:
        whether it is encrypted is not known.
        """
        ...

    async def redact_event(self, room_id: str, event_id: str, tx_id: str) -> None:
        """Redact an event of ours."""
        ...

    async def get_event(self, room_id: str, event_id: str) -> Event:
        """Get one event of a room."""
        ...

    async def get_event_page(self, room_id: str, start: str, *, back: bool, limit: int) -> EventPage:
        """Get a page of events from a position in a room's timeline, backwards with `back`. An empty `start` with
        `back` is the newest end of the room.
        """
        ...

    async def token_after(self, room_id: str, event_id: str) -> str:
        """The pagination token just after an event, for `get_event_page`."""
        ...

    async def token_before(self, room_id: str, event_id: str) -> str:
        """The pagination token just before an event, for `get_event_page`."""
        ...

    async def get_relations(self, room_id: str, event_id: str, relation: str, limit: int) -> tuple[Event, ...]:
        """The newest events with a relation (`m.replace`, `m.thread`) to an event, newest first, at most `limit`
        (`GET /v1/rooms/{roomId}/relations/{eventId}/{relType}`).
        """
        ...

    def decrypt_event(self, event: Event) -> Event | None:
        """Try again to decrypt an undecryptable event; None while its key is still missing."""
        ...

    async def set_typing(self, room_id: str, typing: bool) -> None:
        """Start a typing notice of about 30 s, or stop it."""
        ...

    async def send_read_receipt(self, room_id: str, event_id: str) -> None:
        """Send a read receipt."""
        ...

    async def download_file(self, uri: str, limit_bytes: int) -> bytes:
        """Download a file from the media store (`mxc://...`). Raises FileTooLarge when it is over the limit."""
        ...

    async def upload_file(self, data: bytes, name: str, media_type: str) -> str:
        """Upload a file to the media store; returns its `mxc://` address."""
        ...

    async def join_room(self, room_id: str, via: Sequence[str] = ()) -> None:
        """Join a room."""
        ...

    async def leave_room(self, room_id: str, reason: str = "") -> None:
        """Leave a room, or decline an invitation to it; the reason is shown to its members or to the inviter."""
        ...


class FileTooLarge(Exception):
    """A file is over the caller's size limit."""


class DeviceSigner(Protocol):
    """Signatures with this device's own key."""

    @property
    def fingerprint(self) -> str:
        """The device's Ed25519 key, base64 without padding."""
        ...

    def sign(self, text: bytes) -> str:
        """The device's signature of these bytes, base64 without padding."""
        ...
