"""What Hearth does on a homeserver while it is connected: everything above the wire, put together."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn, Protocol

from adapters.matrix.events import Departure, Event, SyncResponse, ToDevice
from adapters.matrix.homeserver import Homeserver
from adapters.matrix.incoming.message_handler import MessageHandler
from adapters.matrix.outgoing.rate_limiter import SendRateLimiter
from adapters.matrix.settings import MatrixSettings
from adapters.matrix.sync.event_router import EventRouter
from adapters.matrix.sync.invites import InviteHandler
from adapters.matrix.sync.notices import NoticeSender
from adapters.matrix.sync.sync_handler import SyncHandler
from adapters.matrix.sync.sync_loop import SyncLoop
from adapters.matrix.sync.sync_state import SyncState
from adapters.matrix.sync.undecryptable import UndecryptableEvents
from bot.core.messages import Message
from bot.core.ports import Adapter, Inbox, Reply
from bot.core.texts import Language


@dataclass(frozen=True, slots=True)
class BotProfile:
    """How Hearth speaks of itself. `prefix` begins commands; `language` is for where no conversation has one yet."""

    name: str = "Hearth"
    prefix: str = "!"
    language: Language = "en"


class VerificationHandler(Protocol):
    """Takes what belongs to verifications."""

    async def take_to_device(self, message: ToDevice) -> None:
        """Take note of a message to this device."""
        ...

    async def take_room_event(self, event: Event) -> bool:
        """Whether an event of a room belongs to a verification."""
        ...


class MatrixSession:
    """One connection. `run` it once; then `close` it."""

    def __init__(
        self,
        *,
        wire: Homeserver,
        settings: MatrixSettings,
        marks: SyncState,
        manners: BotProfile,
        inbox: Inbox,
        budget: SendRateLimiter,
        reply_to: Callable[[Message], Reply],
        verifying: VerificationHandler,
    ) -> None:
        """`marks` are loaded."""
        self._adapter: Adapter | None = None
        notices = NoticeSender(wire, budget)
        self._message_handler = MessageHandler(
            homeserver=wire, settings=settings, prefix=manners.prefix, inbox=inbox, reply_to=reply_to, threads=marks
        )
        self._invites = InviteHandler(
            homeserver=wire,
            settings=settings,
            sync_state=marks,
            notices=notices,
            rate_limiter=budget,
            language=manners.language,
            prefix=manners.prefix,
        )
        self.undecryptable = UndecryptableEvents(
            homeserver=wire, settings=settings, sync_state=marks, notices=notices, language=manners.language
        )
        front = EventRouter(
            invites=self._invites,
            undecryptable=self.undecryptable,
            handler=self._message_handler,
            take_verification=verifying.take_room_event,
        )
        self._sync_handler = SyncHandler(
            homeserver=wire,
            settings=settings,
            sync_state=marks,
            router=front,
            invites=self._invites,
            undecryptable=self.undecryptable,
            take_to_device=verifying.take_to_device,
            take_departure=self._leave_room,
        )
        self._sync_loop = SyncLoop(
            wire, marks.saved.token, self._take_sync, settings.request_timeout_s, settings.catch_up_max_age_s
        )

    async def run(self, adapter: Adapter) -> NoReturn:
        """Answer until cancelled; what an earlier process left is answered through `adapter`. Raises MatrixUnusable."""
        self._adapter = adapter
        await self._sync_loop.run()

    async def close(self) -> None:
        """Hear nothing more. What was not dealt with comes again in the next process."""
        await self._sync_handler.close()
        await self._invites.close()
        await self.undecryptable.close()

    async def _take_sync(self, news: SyncResponse, behind: bool) -> None:
        adapter, self._adapter = self._adapter, None
        if adapter is not None:  # not before: nothing can be sent to rooms of which no sync has told
            await self._resume(adapter)
        await self._sync_handler.take_sync(news, behind)

    async def _resume(self, adapter: Adapter) -> None:
        """Go on with what an earlier process left."""
        await self._message_handler.questions.resume(adapter)
        self._invites.resume_joins()
        self._sync_handler.retry_undecrypted()

    async def _leave_room(self, departure: Departure) -> None:
        await self._message_handler.leave_room(departure.room_id)
