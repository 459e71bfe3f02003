"""Routes each event of a room: to verification, to invites and undecryptable messages, and to the message handler."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from adapters.matrix.event_content import MESSAGE, REACTION, REDACTION, redaction_target
from adapters.matrix.events import Event
from adapters.matrix.sync.invites import InviteHandler
from adapters.matrix.sync.member_lists import MemberLists
from adapters.matrix.sync.undecryptable import UndecryptableEvents


class EventHandler(Protocol):
    """Handles room events; filled by `MessageHandler`."""

    async def take_event(self, event: Event) -> object:
        """Handle any event of a room."""
        ...


class EventRouter:
    """Routes the events of each room in their order."""

    def __init__(
        self,
        *,
        members: MemberLists,
        invites: InviteHandler,
        undecryptable: UndecryptableEvents,
        handler: EventHandler,
        take_verification: Callable[[Event], Awaitable[bool]],
    ) -> None:
        """`take_verification` handles an event if it belongs to a verification, and returns whether it does."""
        self._members = members
        self._invites = invites
        self._undecryptable = undecryptable
        self._handler = handler
        self._take_verification = take_verification

    async def route_event(self, event: Event) -> None:
        """Route an event. Returns when the core has journaled its work. Raises LoggedOut."""
        if event.session_id:
            self._undecryptable.note_event(event)
            return
        if await self._take_verification(event):
            return
        self._invites.take_tombstone(event)
        if event.type == REDACTION:
            self._undecryptable.drop_event(redaction_target(event))
        if event.type in (MESSAGE, REACTION):
            await self._members.confirm(event.room_id)
        await self._handler.take_event(event)

    async def retry_event(self, room_id: str, event_id: str) -> None:
        """Route a message that could not be decrypted before, if it can be now."""
        decrypted = await self._undecryptable.retry_event(room_id, event_id)
        if decrypted is not None:
            await self.route_event(decrypted)
