"""Distributes a sync response, and advances the read markers and the token once its events were handled."""

import asyncio
import heapq
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from adapters.delivery.errors import TransientFailure
from adapters.intake.keyed_queue import KeyedQueue
from adapters.matrix.background_tasks import BackgroundTasks
from adapters.matrix.events import Departure, Event, SyncResponse, Timeline, ToDevice
from adapters.matrix.homeserver import Homeserver, LoggedOut, RequestRefused
from adapters.matrix.settings import MatrixSettings
from adapters.matrix.sync.catch_up import missed_events
from adapters.matrix.sync.event_router import EventRouter
from adapters.matrix.sync.invites import InviteHandler
from adapters.matrix.sync.sync_state import SyncState
from adapters.matrix.sync.undecryptable import UndecryptableEvents
from adapters.step_runner import StepRunner

log = logging.getLogger(__name__)

CONCURRENT_ROOMS = 4
"""Rooms whose missed events are searched concurrently."""

MAX_HOLD_S = 2.0
"""How long one missed message may hold back later ones of other rooms."""

MAX_UNFINISHED_SYNCS = 50
"""Syncs taken while events of an earlier one are still being handled."""

TakeToDevice = Callable[[ToDevice], Awaitable[None]]
TakeDeparture = Callable[[Departure], Awaitable[None]]
Tasks = list[asyncio.Task[None]]


class SyncHandler:
    """Handles sync responses. A token is saved once all events of its sync, and of all before it, were handled."""

    def __init__(
        self,
        *,
        homeserver: Homeserver,
        settings: MatrixSettings,
        sync_state: SyncState,
        router: EventRouter,
        invites: InviteHandler,
        undecryptable: UndecryptableEvents,
        take_to_device: TakeToDevice,
        take_departure: TakeDeparture,
    ) -> None:
        """`take_to_device` handles messages to this device, `take_departure` rooms that the account is no longer in."""
        self._homeserver = homeserver
        self._settings = settings
        self._sync_state = sync_state
        self._router = router
        self._invites = invites
        self._undecryptable = undecryptable
        self._take_to_device = take_to_device
        self._take_departure = take_departure
        self._rooms: KeyedQueue[str] = KeyedQueue()
        self._background = BackgroundTasks()
        # What is wrong with one of them must not keep the messages of a sync from being taken.
        self._steps = StepRunner(expected=(TransientFailure, RequestRefused), fatal=(LoggedOut,))
        self._unfinished: list[asyncio.Task[None]] = []
        self._logged_out = False

    async def take_sync(self, response: SyncResponse, behind: bool) -> None:
        """Handle a response; returns before all of it is done. Events missed while `behind` come first."""
        for departure in response.left:
            await self._steps.run("take note of a room that was left", partial(self._leave_room, departure))
        for invitation in response.invited:
            self._invites.take_invite(invitation)
        self._undecryptable.log_withheld(response.to_device)
        for message in response.to_device:
            await self._steps.run("take a message to the device", partial(self._take_to_device, message))
        work = await self._start_timelines(response.joined, behind)
        work += [
            self._enqueue(room, partial(self._router.retry_event, room, event))
            for room, event in self._undecryptable.find_decryptable(response.to_device)
        ]
        for timeline in response.joined:
            self._invites.note_joined(timeline.room_id)
        await self._advance_after(work, response.token)

    def retry_undecrypted(self) -> None:
        """Try again to decrypt the messages that an earlier process could not."""
        for room_id, event_id in self._undecryptable.all_waiting():
            self._enqueue(room_id, partial(self._router.retry_event, room_id, event_id))

    async def close(self) -> None:
        """Cancel the work in progress: its events come again in the next process."""
        await self._background.close()

    def _enqueue(self, room_id: str, work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        return self._background.start(self._rooms.run(room_id, work), f"An event of {room_id}")

    async def _leave_room(self, departure: Departure) -> None:
        if departure.sender != self._homeserver.user_id:
            log.info("Removed from %s by %s.", departure.room_id, departure.sender)
        self._invites.note_departed(departure)
        self._sync_state.drop_room(departure.room_id)
        await self._take_departure(departure)

    async def _start_timelines(self, timelines: Sequence[Timeline], behind: bool) -> Tasks:
        if self._sync_state.is_new:  # messages from before the very first start are not answered
            for timeline in timelines:
                self._mark_read(timeline)
            return []
        if behind:
            return await self._catch_up(timelines)
        return [self._enqueue(timeline.room_id, partial(self._process_timeline, timeline)) for timeline in timelines]

    async def _process_timeline(self, timeline: Timeline) -> None:
        """Handle the live events of a room."""
        for event in await self._missed_events(timeline, behind=False):
            # A task of its own: an error in one event must not stop the others.
            task = self._background.start(self._router.route_event(event), f"Event {event.event_id}")
            await asyncio.wait({task})
            if isinstance(task.exception(), LoggedOut):
                self._logged_out = True
                task.result()
        self._mark_read(timeline)

    async def _catch_up(self, timelines: Sequence[Timeline]) -> Tasks:
        """Handle missed events, over all rooms the oldest first; a slow room is waited for only once."""
        found = await self._find_missed(timelines)
        work: Tasks = []
        slow: set[str] = set()
        for event in heapq.merge(*found, key=lambda event: -(event.age_ms or 0)):
            task = self._enqueue(event.room_id, partial(self._router.route_event, event))
            work.append(task)
            if event.room_id not in slow and not (await asyncio.wait({task}, timeout=MAX_HOLD_S))[0]:
                slow.add(event.room_id)
        return work + [self._enqueue(each.room_id, partial(self._mark_read_later, each)) for each in timelines]

    async def _find_missed(self, timelines: Sequence[Timeline]) -> list[list[Event]]:
        limit = asyncio.Semaphore(CONCURRENT_ROOMS)

        async def find(timeline: Timeline) -> list[Event]:
            async with limit:
                return await self._missed_events(timeline, behind=True)

        found = await asyncio.gather(*(find(timeline) for timeline in timelines))
        if count := sum(map(len, found)):
            log.info("Checking %d missed events.", count)
        return found

    async def _missed_events(self, timeline: Timeline, behind: bool) -> list[Event]:
        """A room's events to handle; if the search fails, those that the sync itself brought."""
        last = self._sync_state.saved.seen.get(timeline.room_id)
        found = list(timeline.events)

        async def search() -> None:
            found[:] = await missed_events(self._homeserver, timeline, last, self._settings, behind)

        await self._steps.run(f"find the missed events of {timeline.room_id}", search)
        return found

    async def _mark_read_later(self, timeline: Timeline) -> None:
        self._mark_read(timeline)

    def _mark_read(self, timeline: Timeline) -> None:
        last = timeline.events[-1].event_id if timeline.events else ""
        if self._logged_out:
            return
        if last or timeline.room_id not in self._sync_state.saved.seen:
            self._sync_state.mark_read(timeline.room_id, last)

    async def _advance_after(self, work: Tasks, token: str) -> None:
        earlier = self._unfinished[-1] if self._unfinished else None
        advancing = self._background.start(self._advance_token(earlier, work, token), "Saving the sync token")
        self._unfinished = [*(task for task in self._unfinished if not task.done()), advancing]
        if len(self._unfinished) > MAX_UNFINISHED_SYNCS:
            await asyncio.wait({self._unfinished[0]})

    async def _advance_token(self, earlier: asyncio.Task[None] | None, work: Tasks, token: str) -> None:
        """Save a token. A failed event was logged and does not come again; one that failed because the device was
        logged out does.
        """
        if earlier is not None:
            await earlier
        for result in await asyncio.gather(*work, return_exceptions=True):
            if isinstance(result, asyncio.CancelledError | LoggedOut):
                raise result
        self._sync_state.advance_token(token)
