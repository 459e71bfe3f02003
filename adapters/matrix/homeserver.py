"""The port between the adapter and a homeserver: what is asked of it, and how that can fail."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from adapters.matrix.events import Event, EventPage, Json, Room, SyncResponse


@dataclass(eq=False)
class RequestRefused(Exception):
    """The homeserver refuses a request for good. `code` is its `errcode`; `body` is all that it said."""

    status: int
    code: str
    body: Json

    def __str__(self) -> str:
        return f"the homeserver refused with status {self.status}, {self.code or 'no code'}"


@dataclass(eq=False)
class LoggedOut(Exception):
    """The access token is no longer taken (M_UNKNOWN_TOKEN). `soft`: the device still exists, with its keys."""

    soft: bool

    def __str__(self) -> str:
        return "the homeserver does not know the access token any more"


@dataclass(eq=False)
class MatrixUnusable(Exception):
    """Matrix cannot be used as it is set up. `reason` says what to do, and never holds a token, password or key."""

    reason: str

    def __str__(self) -> str:
        return self.reason


class MatrixApi(Protocol):
    """Authenticated JSON requests. Every method of these protocols may raise Unsettled, Refused and LoggedOut."""

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
        """One request to `/_matrix/client` + `path`; the JSON object that came back. Never retried by itself."""
        ...


class Homeserver(MatrixApi, Protocol):
    """Everything a reply and an intake need of a homeserver. Encryption happens below: what is sent to an encrypted
    room is encrypted, what is read comes decrypted where that is possible.
    """

    async def sync(self, since: str, timeout_s: float) -> SyncResponse:
        """What has happened since a token (empty: from the beginning of time), waiting up to `timeout_s` for news."""
        ...

    def get_room(self, room_id: str) -> Room | None:
        """A room we are in, as the last sync left it."""
        ...

    async def send(self, room_id: str, kind: str, content: Json, tx_id: str) -> str:
        """Send an event, encrypted where the room is; its id. The same `tx_id` again gives the id it has already.

        Raises Refused with code `HEARTH_UNKNOWN_ROOM` for a room of which no sync has told: whether it is encrypted
        is not known, and nothing is sent.
        """
        ...

    async def redact_event(self, room_id: str, event_id: str, tx_id: str) -> None:
        """Take an event of ours back."""
        ...

    async def get_event(self, room_id: str, event_id: str) -> Event:
        """One event of a room."""
        ...

    async def get_event_page(self, room_id: str, start: str, *, back: bool, limit: int) -> EventPage:
        """Events from a place in a room's timeline on, `back`wards or forwards. An empty `start` with `back` is the
        newest end of the room.
        """
        ...

    async def token_after(self, room_id: str, event_id: str) -> str:
        """The place in the timeline just after an event, for `get_event_page`."""
        ...

    async def token_before(self, room_id: str, event_id: str) -> str:
        """The place in the timeline just before an event, for `get_event_page`."""
        ...

    async def get_relations(self, room_id: str, event_id: str, relation: str, limit: int) -> tuple[Event, ...]:
        """The newest events that relate to one in a way (`m.replace`, `m.thread`), newest first, at most `limit`
        (`GET /v1/rooms/{roomId}/relations/{eventId}/{relType}`).
        """
        ...

    def decrypt_event(self, event: Event) -> Event | None:
        """Try again to decrypt an event that could not be; None while its key is still missing."""
        ...

    async def set_typing(self, room_id: str, shown: bool) -> None:
        """Show for some 30 s that an answer is being written, or show it no longer."""
        ...

    async def send_read_receipt(self, room_id: str, event_id: str) -> None:
        """Send a read receipt."""
        ...

    async def download_file(self, uri: str, limit_bytes: int) -> bytes:
        """A file of the media store (`mxc://...`). Raises TooLarge when it is over the limit."""
        ...

    async def upload_file(self, data: bytes, name: str, media_type: str) -> str:
        """Put a file into the media store; its `mxc://` address."""
        ...

    async def join_room(self, room_id: str, via: Sequence[str] = ()) -> None:
        """Join a room."""
        ...

    async def leave_room(self, room_id: str) -> None:
        """Leave a room, or decline an invitation to it."""
        ...


class FileTooLarge(Exception):
    """A file is over the limit that the caller named."""


class DeviceSigner(Protocol):
    """What this device can do with its own keys."""

    @property
    def fingerprint(self) -> str:
        """The device's Ed25519 key, base64 without padding."""
        ...

    def sign(self, text: bytes) -> str:
        """The device's signature of these bytes, base64 without padding."""
        ...
