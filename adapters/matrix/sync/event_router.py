"""What becomes of each event of a room: it changes the room, belongs to a verification, or goes on to the intake."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from adapters.matrix.event_content import REDACTION, redacted_by
from adapters.matrix.events import Event
from adapters.matrix.sync.invites import Invites
from adapters.matrix.sync.undecryptable import Undecryptable


class Taker(Protocol):
    """What the intake is to the front."""

    async def take(self, event: Event) -> object:
        """See to any event of a room."""
        ...


class Front:
    """Takes the events of each room in their order."""

    def __init__(
        self,
        *,
        invites: Invites,
        undecryptable: Undecryptable,
        intake: Taker,
        verified: Callable[[Event], Awaitable[bool]],
    ) -> None:
        """`verified` takes events that belong to verifications, and says whether one did."""
        self._invites = invites
        self._undecryptable = undecryptable
        self._intake = intake
        self._verified = verified

    async def take(self, event: Event) -> None:
        """See to an event. Returns when the core has journaled what there is to do. Raises LoggedOut."""
        if event.session_id:
            self._undecryptable.hear(event)
            return
        if await self._verified(event):
            return
        self._invites.replaced(event)
        if event.type == REDACTION:
            self._undecryptable.drop(redacted_by(event))
        await self._intake.take(event)

    async def open(self, room_id: str, event_id: str) -> None:
        """See to a message that could not be decrypted before, if it can be now."""
        plain = await self._undecryptable.open(room_id, event_id)
        if plain is not None:
            await self.take(plain)
