"""Brings what a sync tells to where it belongs, and notes how far everything has been dealt with."""

import asyncio
import heapq
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from adapters.matrix.background_tasks import BackgroundTasks
from adapters.matrix.events import Departure, Event, SyncResponse, Timeline, ToDevice
from adapters.matrix.homeserver import Homeserver, LoggedOut
from adapters.matrix.settings import MatrixSettings
from adapters.matrix.sync.catch_up import missed_events
from adapters.matrix.sync.event_router import EventRouter
from adapters.matrix.sync.invites import InviteHandler
from adapters.matrix.sync.room_queues import KeyedQueue
from adapters.matrix.sync.sync_state import SyncState
from adapters.matrix.sync.undecryptable import UndecryptableEvents

log = logging.getLogger(__name__)

CONCURRENT_ROOMS = 4
"""Rooms whose missed events are sought at the same time."""

WAITED_FOR_S = 2.0
"""How long one missed message may hold back those of other rooms that came after it."""

MAX_UNFINISHED_SYNCS = 50
"""So many syncs may be heard while something of an earlier one is still being dealt with."""

TakeToDevice = Callable[[ToDevice], Awaitable[None]]
TakeDeparture = Callable[[Departure], Awaitable[None]]
Tasks = list[asyncio.Task[None]]


class SyncHandler:
    """The token of a sync is noted once all that it told, and all before it, has been dealt with."""

    def __init__(
        self,
        *,
        wire: Homeserver,
        settings: MatrixSettings,
        marks: SyncState,
        front: EventRouter,
        invites: InviteHandler,
        undecryptable: UndecryptableEvents,
        device: TakeToDevice,
        left: TakeDeparture,
    ) -> None:
        """`device` takes messages to this device; `left` hears of rooms that we are no longer in."""
        self._homeserver = wire
        self._settings = settings
        self._sync_state = marks
        self._router = front
        self._invites = invites
        self._undecryptable = undecryptable
        self._take_to_device = device
        self._take_departure = left
        self._queues = KeyedQueue()
        self._background = BackgroundTasks()
        self._unfinished: list[asyncio.Task[None]] = []
        self._logged_out = False

    async def take_sync(self, news: SyncResponse, behind: bool) -> None:
        """See to what a sync told; returns before all of it is done. What was missed while `behind` comes first."""
        for departure in news.left:
            await self._leave_room(departure)
        for invitation in news.invited:
            self._invites.take_invite(invitation)
        self._undecryptable.log_withheld(news.to_device)
        for message in news.to_device:
            await self._take_to_device(message)
        work = await self._start_timelines(news.joined, behind)
        work += [
            self._queues.add(room, partial(self._router.retry_event, room, event))
            for room, event in self._newly_readable(news)
        ]
        for timeline in news.joined:
            self._invites.note_joined(timeline.room_id)
        await self._advance_after(work, news.token)

    def retry_undecrypted(self) -> None:
        """Try what an earlier process could not decrypt."""
        for room_id, event_id in self._undecryptable.all_waiting():
            self._queues.add(room_id, partial(self._router.retry_event, room_id, event_id))

    async def close(self) -> None:
        """End what is under way: it comes again in the next process."""
        await self._background.close()
        await self._queues.close()

    def _newly_readable(self, news: SyncResponse) -> list[tuple[str, str]]:
        return self._undecryptable.find_decryptable(news.to_device)

    async def _leave_room(self, departure: Departure) -> None:
        if departure.sender != self._homeserver.user_id:
            log.info("%s has ended our stay in %s.", departure.sender, departure.room_id)
        self._invites.note_departed(departure)
        self._sync_state.drop_room(departure.room_id)
        await self._take_departure(departure)

    async def _start_timelines(self, timelines: Sequence[Timeline], behind: bool) -> Tasks:
        if self._sync_state.is_new:  # what was said before the very first start is not for us
            for timeline in timelines:
                self._mark_read(timeline)
            return []
        if behind:
            return await self._catch_up(timelines)
        return [self._queues.add(timeline.room_id, partial(self._process_timeline, timeline)) for timeline in timelines]

    async def _process_timeline(self, timeline: Timeline) -> None:
        """What happens in a room while we listen."""
        for event in await self._missed_events(timeline, behind=False):
            # A task of its own: what is wrong with one event keeps no other from being heard.
            taking = self._background.start(self._router.route_event(event), f"Event {event.event_id}")
            await asyncio.wait({taking})
            if isinstance(taking.exception(), LoggedOut):
                self._logged_out = True
                taking.result()
        self._mark_read(timeline)

    async def _catch_up(self, timelines: Sequence[Timeline]) -> Tasks:
        """Hand in what was missed, over all rooms the oldest first; a room that takes long is not waited for twice."""
        found = await self._find_missed(timelines)
        work: Tasks = []
        slow: set[str] = set()
        for event in heapq.merge(*found, key=lambda event: -(event.age_ms or 0)):
            task = self._queues.add(event.room_id, partial(self._router.route_event, event))
            work.append(task)
            if event.room_id not in slow and not (await asyncio.wait({task}, timeout=WAITED_FOR_S))[0]:
                slow.add(event.room_id)
        return work + [self._queues.add(each.room_id, partial(self._mark_read_later, each)) for each in timelines]

    async def _find_missed(self, timelines: Sequence[Timeline]) -> list[list[Event]]:
        gate = asyncio.Semaphore(CONCURRENT_ROOMS)

        async def seek(timeline: Timeline) -> list[Event]:
            async with gate:
                return await self._missed_events(timeline, behind=True)

        found = await asyncio.gather(*(seek(timeline) for timeline in timelines))
        if number := sum(map(len, found)):
            log.info("Looking at %d events that came meanwhile.", number)
        return found

    async def _missed_events(self, timeline: Timeline, behind: bool) -> list[Event]:
        last = self._sync_state.saved.seen.get(timeline.room_id)
        return await missed_events(self._homeserver, timeline, last, self._settings, behind)

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
        settling = self._background.start(self._advance_token(earlier, work, token), "Noting what was dealt with")
        self._unfinished = [*(task for task in self._unfinished if not task.done()), settling]
        if len(self._unfinished) > MAX_UNFINISHED_SYNCS:
            await asyncio.wait({self._unfinished[0]})

    async def _advance_token(self, earlier: asyncio.Task[None] | None, work: Tasks, token: str) -> None:
        """Note a token. An event that failed has been told of and does not come again; one that a logged out device
        could not deal with does.
        """
        if earlier is not None:
            await earlier
        for result in await asyncio.gather(*work, return_exceptions=True):
            if isinstance(result, asyncio.CancelledError | LoggedOut):
                raise result
        self._sync_state.advance_token(token)
