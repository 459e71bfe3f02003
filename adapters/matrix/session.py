"""What Hearth does on a homeserver while it is connected: everything above the wire, put together."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn, Protocol

from adapters.matrix.events import Departure, Event, News, ToDevice
from adapters.matrix.homeserver import Wire
from adapters.matrix.incoming.message_handler import Intake
from adapters.matrix.outgoing.rate_limiter import Budget
from adapters.matrix.settings import MatrixSettings
from adapters.matrix.sync.event_router import Front
from adapters.matrix.sync.invites import Invites
from adapters.matrix.sync.notices import Notices
from adapters.matrix.sync.sync_handler import Delivery
from adapters.matrix.sync.sync_loop import Listener
from adapters.matrix.sync.sync_state import Marks
from adapters.matrix.sync.undecryptable import Undecryptable
from bot.core.messages import Message
from bot.core.ports import Adapter, Inbox, Reply
from bot.core.texts import Language


@dataclass(frozen=True, slots=True)
class Manners:
    """How Hearth speaks of itself. `prefix` begins commands; `language` is for where no conversation has one yet."""

    name: str = "Hearth"
    prefix: str = "!"
    language: Language = "en"


class Verifying(Protocol):
    """Takes what belongs to verifications."""

    async def to_device(self, message: ToDevice) -> None:
        """Take note of a message to this device."""
        ...

    async def room_event(self, event: Event) -> bool:
        """Whether an event of a room belongs to a verification."""
        ...


class Presence:
    """One connection. `run` it once; then `close` it."""

    def __init__(
        self,
        *,
        wire: Wire,
        settings: MatrixSettings,
        marks: Marks,
        manners: Manners,
        inbox: Inbox,
        budget: Budget,
        reply_to: Callable[[Message], Reply],
        verifying: Verifying,
    ) -> None:
        """`marks` are loaded."""
        self._inbox = inbox
        self._adapter: Adapter | None = None
        notices = Notices(wire, budget)
        self._intake = Intake(
            wire=wire, settings=settings, prefix=manners.prefix, inbox=inbox, reply_to=reply_to, threads=marks
        )
        self._invites = Invites(
            wire=wire,
            settings=settings,
            marks=marks,
            notices=notices,
            budget=budget,
            language=manners.language,
            prefix=manners.prefix,
        )
        self.undecryptable = Undecryptable(
            wire=wire, settings=settings, marks=marks, notices=notices, language=manners.language
        )
        front = Front(
            invites=self._invites,
            undecryptable=self.undecryptable,
            intake=self._intake,
            verified=verifying.room_event,
        )
        self._delivery = Delivery(
            wire=wire,
            settings=settings,
            marks=marks,
            front=front,
            invites=self._invites,
            undecryptable=self.undecryptable,
            device=verifying.to_device,
            left=self._left,
        )
        self._listener = Listener(wire, marks.kept.token, self._take, settings.request_timeout_s, settings.catch_up_s)

    async def run(self, adapter: Adapter) -> NoReturn:
        """Answer until cancelled; what an earlier process left is answered through `adapter`. Raises MatrixUnusable."""
        self._adapter = adapter
        await self._listener.listen()

    async def close(self) -> None:
        """Hear nothing more. What was not dealt with comes again in the next process."""
        await self._delivery.close()
        await self._invites.close()
        await self.undecryptable.close()

    async def _take(self, news: News, behind: bool) -> None:
        adapter, self._adapter = self._adapter, None
        if adapter is not None:  # not before: nothing can be sent to rooms of which no sync has told
            await self._resume(adapter)
        await self._delivery.take(news, behind)

    async def _resume(self, adapter: Adapter) -> None:
        """Go on with what an earlier process left."""
        for resumed in await self._inbox.resume(adapter):
            self._intake.follow(resumed.message, resumed.ended)
        self._invites.resume()
        self._delivery.open_left_over()

    async def _left(self, departure: Departure) -> None:
        await self._intake.left(departure.room_id)
