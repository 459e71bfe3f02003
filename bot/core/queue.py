"""Fair queue for the engine: people take turns, conversations keep their order."""

import asyncio
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from heapq import heappop, heappush

from bot.core.messages import ConversationId

MAX_PEOPLE_REMEMBERED = 1000
"""People whose last turn is remembered: a bound on memory, more than a home has."""

PLACE_EVERY_S = 1.0
"""Interval at which a waiting question looks at its place. Waking all of them at each change would stop the loop."""


@dataclass(eq=False)
class TooManyWaiting(Exception):
    """A person has reached the limit of open questions."""

    limit: int


@dataclass(eq=False, slots=True)
class Ticket:
    """A question in the queue. A ticket waits for all with a lower `priority` number (API requests for people).
    While one with `alone` runs, no other does.

    `is_head` is set once it is the oldest ticket of its conversation and none of it runs, `admitted` once it may use
    the engine. Until `is_ready` it keeps its place in its conversation, and others are admitted.
    """

    number: int
    person: str
    conversation: ConversationId
    priority: int
    alone: bool = False
    is_ready: bool = True
    is_head: asyncio.Event = field(default_factory=asyncio.Event)
    admitted: asyncio.Event = field(default_factory=asyncio.Event)


def next_ticket(candidates: Iterable[Ticket], served: Mapping[str, int]) -> Ticket | None:
    """The ticket to admit next: lowest priority number, then the person served longest ago, then the oldest.

    `served` maps a person to the number of the admission in which they were last served.
    """
    return min(
        candidates, key=lambda ticket: (ticket.priority, served.get(ticket.person, 0), ticket.number), default=None
    )


def admission_order(waiting: Iterable[Ticket], served: Mapping[str, int]) -> list[Ticket]:
    """All waiting tickets, given oldest first, in the order of their admission if no other is taken.

    Takes n log n steps: the tickets that could be next are kept in one heap for each person, and the people, by their
    last turn, in a heap whose outdated entries are skipped.
    """
    return list(_Simulation(waiting, served).run())


class _Simulation:
    """Admissions one after the other, on paper."""

    def __init__(self, waiting: Iterable[Ticket], served: Mapping[str, int]) -> None:
        self._turns = dict(served)
        self._clock = max(self._turns.values(), default=0)
        self._lines: dict[ConversationId, deque[Ticket]] = defaultdict(deque)
        self._heads: dict[tuple[int, str], list[tuple[int, Ticket]]] = defaultdict(list)
        self._people: list[tuple[int, int, int, str]] = []
        self._priorities: dict[str, set[int]] = defaultdict(set)
        for ticket in waiting:
            self._lines[ticket.conversation].append(ticket)

    def run(self) -> Iterable[Ticket]:
        for line in self._lines.values():
            self._add_head(line.popleft())
        while self._people:
            priority, turn, number, person = heappop(self._people)
            heads = self._heads[priority, person]
            if not heads or heads[0][0] != number or turn != self._turns.get(person, 0):
                continue  # an outdated entry
            _, ticket = heappop(heads)
            yield ticket
            self._clock += 1
            self._turns[person] = self._clock
            if line := self._lines[ticket.conversation]:
                self._add_head(line.popleft())
            for each in self._priorities[person]:
                self._add_person(each, person)

    def _add_head(self, ticket: Ticket) -> None:
        heappush(self._heads[ticket.priority, ticket.person], (ticket.number, ticket))
        self._priorities[ticket.person].add(ticket.priority)
        self._add_person(ticket.priority, ticket.person)

    def _add_person(self, priority: int, person: str) -> None:
        if heads := self._heads[priority, person]:
            heappush(self._people, (priority, self._turns.get(person, 0), heads[0][0], person))


class FairQueue:
    """Admits `capacity` tickets at a time. No step takes longer than linear time in the number of waiting tickets."""

    def __init__(self, capacity: int, per_person: int) -> None:
        self._capacity = capacity
        self._per_person = per_person
        self._waiting: dict[Ticket, None] = {}
        self._running: set[Ticket] = set()
        self._finishing: set[Ticket] = set()
        self._lines: dict[ConversationId, dict[Ticket, None]] = defaultdict(dict)
        self._open: Counter[str] = Counter()
        self._served: OrderedDict[str, int] = OrderedDict()
        self._count = 0
        self._admissions = 0
        self._places: dict[Ticket, int] | None = None

    @property
    def waiting_count(self) -> int:
        """The number of waiting tickets."""
        return len(self._waiting)

    @property
    def running_count(self) -> int:
        """The number of tickets using the engine."""
        return len(self._running)

    def take_ticket(
        self,
        person: str,
        conversation: ConversationId,
        priority: int = 0,
        limit: int | None = None,
        *,
        alone: bool = False,
        is_ready: bool = True,
    ) -> Ticket:
        """Take a ticket. Raises TooManyWaiting when the person has `limit` (default: `per_person`) open already, unless
        it is to run `alone`: such a message was accepted before.

        One that is not ready is admitted after `mark_ready` at the earliest.
        """
        limit = self._per_person if limit is None else limit
        if self._open[person] >= limit and not alone:
            raise TooManyWaiting(limit)
        self._count += 1
        ticket = Ticket(self._count, person, conversation, priority, alone, is_ready)
        self._open[person] += 1
        self._waiting[ticket] = None
        self._lines[conversation][ticket] = None
        self._on_changed(conversation)
        return ticket

    def mark_ready(self, ticket: Ticket) -> None:
        """Let a ticket be admitted: what it needs besides the engine is there. A second call does nothing."""
        if not ticket.is_ready:
            ticket.is_ready = True
            self._admit()

    def release_engine(self, ticket: Ticket) -> None:
        """Free the engine for others, or give up waiting for it; the ticket's conversation keeps waiting for its
        release, to stay in order.
        """
        if ticket in self._running or ticket in self._waiting:
            self._running.discard(ticket)
            self._waiting.pop(ticket, None)
            self._finishing.add(ticket)
            self._admit()

    def release_ticket(self, ticket: Ticket) -> None:
        """Release a ticket, admitted or not, and admit the next one. A second call does nothing."""
        line = self._lines.get(ticket.conversation, {})
        if ticket not in line:
            return
        del line[ticket]
        if not line:
            del self._lines[ticket.conversation]
        self._waiting.pop(ticket, None)
        self._running.discard(ticket)
        self._finishing.discard(ticket)
        self._open[ticket.person] -= 1
        if not self._open[ticket.person]:
            del self._open[ticket.person]
        self._on_changed(ticket.conversation)

    def position_of(self, ticket: Ticket) -> int:
        """The ticket's position in the queue, 1 for the next; 0 once it waits no longer."""
        if self._places is None:
            ordered = admission_order(self._waiting, self._served)
            self._places = {each: place for place, each in enumerate(ordered, start=1)}
        return self._places.get(ticket, 0)

    async def watch_position(self, ticket: Ticket, notice_after_s: float) -> AsyncIterator[int]:
        """The ticket's position after `notice_after_s`, then each time it has changed; ends when it is admitted."""
        last, wait_s = 0, notice_after_s or 0.001
        while not await _is_set_within(ticket.admitted, wait_s):
            wait_s = PLACE_EVERY_S
            # One that waits for something other than the engine is told nothing about the engine's queue.
            is_queued = ticket.is_ready or not ticket.is_head.is_set()
            if is_queued and (position := self.position_of(ticket)) not in (0, last):
                last = position
                yield position

    def _on_changed(self, conversation: ConversationId) -> None:
        """Tell the oldest ticket of a conversation that it is the head, and admit as many tickets as there is room."""
        head = next(iter(self._lines.get(conversation, ())), None)
        if head is not None and head in self._waiting:
            head.is_head.set()
        self._admit()

    def _admit(self) -> None:
        self._places = None
        while len(self._running) < self._capacity:
            ticket = next_ticket(filter(_may_be_admitted, self._waiting), self._served)
            if ticket is None or (self._running and (ticket.alone or any(each.alone for each in self._running))):
                break
            del self._waiting[ticket]
            self._running.add(ticket)
            self._record_served(ticket.person)
            ticket.admitted.set()

    def _record_served(self, person: str) -> None:
        self._admissions += 1
        self._served[person] = self._admissions
        self._served.move_to_end(person)
        while len(self._served) > MAX_PEOPLE_REMEMBERED:
            self._served.popitem(last=False)


def _may_be_admitted(ticket: Ticket) -> bool:
    return ticket.is_ready and ticket.is_head.is_set()


async def _is_set_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False
