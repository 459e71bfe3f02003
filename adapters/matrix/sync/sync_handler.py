"""Brings what a sync tells to where it belongs, and notes how far everything has been dealt with."""

import asyncio
import heapq
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from adapters.matrix.background_tasks import Background
from adapters.matrix.events import Departure, Event, News, Timeline, ToDevice
from adapters.matrix.homeserver import LoggedOut, Wire
from adapters.matrix.settings import MatrixSettings
from adapters.matrix.sync.catch_up import missed
from adapters.matrix.sync.event_router import Front
from adapters.matrix.sync.invites import Invites
from adapters.matrix.sync.room_queues import Lanes
from adapters.matrix.sync.sync_state import Marks
from adapters.matrix.sync.undecryptable import Undecryptable

log = logging.getLogger(__name__)

AT_ONCE = 4
"""Rooms whose missed events are sought at the same time."""

WAITED_FOR_S = 2.0
"""How long one missed message may hold back those of other rooms that came after it."""

UNSETTLED_SYNCS = 50
"""So many syncs may be heard while something of an earlier one is still being dealt with."""

Device = Callable[[ToDevice], Awaitable[None]]
Left = Callable[[Departure], Awaitable[None]]
Work = list[asyncio.Task[None]]


class Delivery:
    """The token of a sync is noted once all that it told, and all before it, has been dealt with."""

    def __init__(
        self,
        *,
        wire: Wire,
        settings: MatrixSettings,
        marks: Marks,
        front: Front,
        invites: Invites,
        undecryptable: Undecryptable,
        device: Device,
        left: Left,
    ) -> None:
        """`device` takes messages to this device; `left` hears of rooms that we are no longer in."""
        self._wire = wire
        self._settings = settings
        self._marks = marks
        self._front = front
        self._invites = invites
        self._undecryptable = undecryptable
        self._device = device
        self._left = left
        self._lanes = Lanes()
        self._background = Background()
        self._unsettled: list[asyncio.Task[None]] = []
        self._cut_off = False

    async def take(self, news: News, behind: bool) -> None:
        """See to what a sync told; returns before all of it is done. What was missed while `behind` comes first."""
        for departure in news.left:
            await self._depart(departure)
        for invitation in news.invited:
            self._invites.hear(invitation)
        self._undecryptable.explain(news.to_device)
        for message in news.to_device:
            await self._device(message)
        work = await self._timelines(news.joined, behind)
        work += [self._lanes.add(room, partial(self._front.open, room, event)) for room, event in self._late(news)]
        for timeline in news.joined:
            self._invites.entered(timeline.room_id)
        await self._settle(work, news.token)

    def open_left_over(self) -> None:
        """Try what an earlier process could not decrypt."""
        for room_id, event_id in self._undecryptable.left_over():
            self._lanes.add(room_id, partial(self._front.open, room_id, event_id))

    async def close(self) -> None:
        """End what is under way: it comes again in the next process."""
        await self._background.close()
        await self._lanes.close()

    def _late(self, news: News) -> list[tuple[str, str]]:
        return self._undecryptable.arrived(news.to_device)

    async def _depart(self, departure: Departure) -> None:
        if departure.sender != self._wire.user_id:
            log.info("%s has ended our stay in %s.", departure.sender, departure.room_id)
        self._invites.departed(departure)
        self._marks.forget(departure.room_id)
        await self._left(departure)

    async def _timelines(self, timelines: Sequence[Timeline], behind: bool) -> Work:
        if self._marks.is_new:  # what was said before the very first start is not for us
            for timeline in timelines:
                self._see(timeline)
            return []
        if behind:
            return await self._catch_up(timelines)
        return [self._lanes.add(timeline.room_id, partial(self._hear, timeline)) for timeline in timelines]

    async def _hear(self, timeline: Timeline) -> None:
        """What happens in a room while we listen."""
        for event in await self._missed(timeline, behind=False):
            # A task of its own: what is wrong with one event keeps no other from being heard.
            taking = self._background.start(self._front.take(event), f"Event {event.event_id}")
            await asyncio.wait({taking})
            if isinstance(taking.exception(), LoggedOut):
                self._cut_off = True
                taking.result()
        self._see(timeline)

    async def _catch_up(self, timelines: Sequence[Timeline]) -> Work:
        """Hand in what was missed, over all rooms the oldest first; a room that takes long is not waited for twice."""
        found = await self._sought(timelines)
        work: Work = []
        slow: set[str] = set()
        for event in heapq.merge(*found, key=lambda event: -(event.age_ms or 0)):
            task = self._lanes.add(event.room_id, partial(self._front.take, event))
            work.append(task)
            if event.room_id not in slow and not (await asyncio.wait({task}, timeout=WAITED_FOR_S))[0]:
                slow.add(event.room_id)
        return work + [self._lanes.add(each.room_id, partial(self._note, each)) for each in timelines]

    async def _sought(self, timelines: Sequence[Timeline]) -> list[list[Event]]:
        gate = asyncio.Semaphore(AT_ONCE)

        async def seek(timeline: Timeline) -> list[Event]:
            async with gate:
                return await self._missed(timeline, behind=True)

        found = await asyncio.gather(*(seek(timeline) for timeline in timelines))
        if number := sum(map(len, found)):
            log.info("Looking at %d events that came meanwhile.", number)
        return found

    async def _missed(self, timeline: Timeline, behind: bool) -> list[Event]:
        last = self._marks.kept.seen.get(timeline.room_id)
        return await missed(self._wire, timeline, last, self._settings, behind)

    async def _note(self, timeline: Timeline) -> None:
        self._see(timeline)

    def _see(self, timeline: Timeline) -> None:
        last = timeline.events[-1].event_id if timeline.events else ""
        if self._cut_off:
            return
        if last or timeline.room_id not in self._marks.kept.seen:
            self._marks.see(timeline.room_id, last)

    async def _settle(self, work: Work, token: str) -> None:
        earlier = self._unsettled[-1] if self._unsettled else None
        settling = self._background.start(self._advance(earlier, work, token), "Noting what was dealt with")
        self._unsettled = [*(task for task in self._unsettled if not task.done()), settling]
        if len(self._unsettled) > UNSETTLED_SYNCS:
            await asyncio.wait({self._unsettled[0]})

    async def _advance(self, earlier: asyncio.Task[None] | None, work: Work, token: str) -> None:
        """Note a token. An event that failed has been told of and does not come again; one that a logged out device
        could not deal with does.
        """
        if earlier is not None:
            await earlier
        for result in await asyncio.gather(*work, return_exceptions=True):
            if isinstance(result, asyncio.CancelledError | LoggedOut):
                raise result
        self._marks.advance(token)
