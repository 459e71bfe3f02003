"""What becomes of each event of a room: it changes the room, belongs to a verification, or goes on to the intake."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from adapters.matrix.event_content import REDACTION, redaction_target
from adapters.matrix.events import Event
from adapters.matrix.sync.invites import InviteHandler
from adapters.matrix.sync.undecryptable import UndecryptableEvents


class EventHandler(Protocol):
    """What the intake is to the front."""

    async def take_event(self, event: Event) -> object:
        """See to any event of a room."""
        ...


class EventRouter:
    """Takes the events of each room in their order."""

    def __init__(
        self,
        *,
        invites: InviteHandler,
        undecryptable: UndecryptableEvents,
        intake: EventHandler,
        verified: Callable[[Event], Awaitable[bool]],
    ) -> None:
        """`verified` takes events that belong to verifications, and says whether one did."""
        self._invites = invites
        self._undecryptable = undecryptable
        self._message_handler = intake
        self._take_verification = verified

    async def route_event(self, event: Event) -> None:
        """See to an event. Returns when the core has journaled what there is to do. Raises LoggedOut."""
        if event.session_id:
            self._undecryptable.note_event(event)
            return
        if await self._take_verification(event):
            return
        self._invites.take_tombstone(event)
        if event.type == REDACTION:
            self._undecryptable.drop_event(redaction_target(event))
        await self._message_handler.take_event(event)

    async def retry_event(self, room_id: str, event_id: str) -> None:
        """See to a message that could not be decrypted before, if it can be now."""
        plain = await self._undecryptable.retry_event(room_id, event_id)
        if plain is not None:
            await self.route_event(plain)
