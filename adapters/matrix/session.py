"""One connection to a homeserver: builds the handlers of its events and runs the sync loop."""

from collections.abc import Callable
from functools import partial
from typing import NoReturn, Protocol

from adapters.matrix.events import Departure, Event, SyncResponse, ToDevice
from adapters.matrix.homeserver import Homeserver
from adapters.matrix.incoming.message_handler import MessageHandler
from adapters.matrix.incoming.refusal_notices import RefusalNotices
from adapters.matrix.outgoing.rate_limiter import SendRateLimiter
from adapters.matrix.settings import MatrixSettings
from adapters.matrix.sync.direct_rooms import find_direct_room
from adapters.matrix.sync.event_router import EventRouter
from adapters.matrix.sync.invites import InviteHandler
from adapters.matrix.sync.member_lists import MemberLists
from adapters.matrix.sync.notices import NoticeSender
from adapters.matrix.sync.sync_handler import SyncHandler
from adapters.matrix.sync.sync_loop import SyncLoop
from adapters.matrix.sync.sync_state import SyncState
from adapters.matrix.sync.undecryptable import UndecryptableEvents
from adapters.platform import BotProfile
from bot.core.messages import Message
from bot.core.ports import Adapter, Inbox, Reply


class VerificationHandler(Protocol):
    """Handles the events that belong to verifications."""

    async def take_to_device(self, message: ToDevice) -> None:
        """Handle a message to this device."""
        ...

    async def take_room_event(self, event: Event) -> bool:
        """Handle an event of a room; whether it belongs to a verification."""
        ...


class MatrixSession:
    """One connection. `run` it once; then `close` it."""

    def __init__(
        self,
        *,
        homeserver: Homeserver,
        settings: MatrixSettings,
        sync_state: SyncState,
        profile: BotProfile,
        inbox: Inbox,
        rate_limiter: SendRateLimiter,
        reply_to: Callable[[Message], Reply],
        end_interrupted: Callable[[str], None],
        verification: VerificationHandler,
    ) -> None:
        """`sync_state` is loaded; `end_interrupted` ends the answers that a room refused in the middle."""
        self._adapter: Adapter | None = None
        notices = NoticeSender(homeserver, rate_limiter)
        direct_room = partial(find_direct_room, homeserver, sync_state)
        self._members = MemberLists(homeserver)
        self._message_handler = MessageHandler(
            homeserver=homeserver,
            settings=settings,
            prefix=profile.prefix,
            inbox=inbox,
            reply_to=reply_to,
            threads=sync_state,
            refusals=RefusalNotices(notices, direct_room, profile.language),
            end_interrupted=end_interrupted,
        )
        self._invites = InviteHandler(
            homeserver=homeserver,
            settings=settings,
            sync_state=sync_state,
            members=self._members,
            notices=notices,
            rate_limiter=rate_limiter,
            language=profile.language,
            prefix=profile.prefix,
            direct_room=direct_room,
        )
        self.undecryptable = UndecryptableEvents(
            homeserver=homeserver, settings=settings, sync_state=sync_state, notices=notices, language=profile.language
        )
        self._sync_handler = self._build_sync_handler(homeserver, settings, sync_state, verification)
        self._sync_loop = SyncLoop(
            homeserver, sync_state.saved.token, self._take_sync, settings.request_timeout_s, settings.catch_up_max_age_s
        )

    def _build_sync_handler(
        self, homeserver: Homeserver, settings: MatrixSettings, sync_state: SyncState, verification: VerificationHandler
    ) -> SyncHandler:
        router = EventRouter(
            members=self._members,
            invites=self._invites,
            undecryptable=self.undecryptable,
            handler=self._message_handler,
            take_verification=verification.take_room_event,
        )
        return SyncHandler(
            homeserver=homeserver,
            settings=settings,
            sync_state=sync_state,
            router=router,
            invites=self._invites,
            undecryptable=self.undecryptable,
            take_to_device=verification.take_to_device,
            take_departure=self._leave_room,
        )

    async def run(self, adapter: Adapter) -> NoReturn:
        """Answer until cancelled; what an earlier process left is answered through `adapter`. Raises MatrixUnusable."""
        self._adapter = adapter
        await self._sync_loop.run()

    async def close(self) -> None:
        """Stop handling events. The next process gets unhandled events again."""
        await self._sync_handler.close()
        await self._invites.close()
        await self._message_handler.close()
        await self.undecryptable.close()

    async def _take_sync(self, response: SyncResponse, is_behind: bool) -> None:
        adapter, self._adapter = self._adapter, None
        if adapter is not None:  # not earlier: nothing can be sent to rooms that no sync has reported
            await self._resume(adapter)
        await self._sync_handler.take_sync(response, is_behind)

    async def _resume(self, adapter: Adapter) -> None:
        """Go on with what an earlier process left."""
        await self._message_handler.questions.resume(adapter)
        self._invites.resume_joins()
        self._sync_handler.retry_undecrypted()

    async def _leave_room(self, departure: Departure) -> None:
        await self._message_handler.leave_room(departure.room_id)
