"""Fair queue for the engine: people take turns, conversations keep their order."""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from dataclasses import dataclass, field

from bot.core.messages import ConversationId

MAX_PEOPLE_REMEMBERED = 1000
"""People whose last turn is remembered: a bound on memory, more than a home has."""


@dataclass(eq=False)
class TooManyWaiting(Exception):
    """A person has reached the limit of open questions."""

    limit: int


@dataclass(eq=False, slots=True)
class Ticket:
    """A question in the queue. A ticket waits for all with a lower `priority` number (API requests for people).
    While one with `alone` runs, no other does.

    `is_head` is set once it is the oldest ticket of its conversation and none of it runs, `admitted` once it may use
    the engine.
    """

    number: int
    person: str
    conversation: ConversationId
    priority: int
    alone: bool = False
    is_head: asyncio.Event = field(default_factory=asyncio.Event)
    admitted: asyncio.Event = field(default_factory=asyncio.Event)


def eligible(waiting: Iterable[Ticket], running: Collection[ConversationId]) -> list[Ticket]:
    """The tickets that could be admitted now: the oldest of each conversation that no answer is running in."""
    taken = set(running)
    first: list[Ticket] = []
    for ticket in waiting:
        if ticket.conversation not in taken:
            taken.add(ticket.conversation)
            first.append(ticket)
    return first


def next_ticket(candidates: Iterable[Ticket], served: Mapping[str, int]) -> Ticket | None:
    """The ticket to admit next: lowest priority number, then the person served longest ago, then the oldest.

    `served` maps a person to the number of the admission in which they were last served.
    """
    return min(
        candidates, key=lambda ticket: (ticket.priority, served.get(ticket.person, 0), ticket.number), default=None
    )


def admission_order(waiting: Iterable[Ticket], served: Mapping[str, int]) -> list[Ticket]:
    """All waiting tickets in the order of their admission if no other is taken."""
    remaining = list(waiting)
    turns = dict(served)
    clock = max(turns.values(), default=0)
    result: list[Ticket] = []
    while ticket := next_ticket(eligible(remaining, ()), turns):
        clock += 1
        turns[ticket.person] = clock
        remaining.remove(ticket)
        result.append(ticket)
    return result


class FairQueue:
    """Admits `capacity` tickets at a time."""

    def __init__(self, capacity: int, per_person: int) -> None:
        self._capacity = capacity
        self._per_person = per_person
        self._waiting: list[Ticket] = []
        self._running: list[Ticket] = []
        self._finishing: list[Ticket] = []
        self._open: Counter[str] = Counter()
        self._served: OrderedDict[str, int] = OrderedDict()
        self._count = 0
        self._admissions = 0
        self._changed = asyncio.Event()

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
    ) -> Ticket:
        """Take a ticket. Raises TooManyWaiting when the person has `limit` (default: `per_person`) open already, unless
        it is to run `alone`: such a message was accepted before.
        """
        limit = self._per_person if limit is None else limit
        if self._open[person] >= limit and not alone:
            raise TooManyWaiting(limit)
        self._count += 1
        ticket = Ticket(self._count, person, conversation, priority, alone)
        self._open[person] += 1
        self._waiting.append(ticket)
        self._admit()
        return ticket

    def release_engine(self, ticket: Ticket) -> None:
        """Free the engine for others; the ticket's conversation keeps waiting for its release, to stay in order."""
        if ticket in self._running:
            self._running.remove(ticket)
            self._finishing.append(ticket)
            self._admit()

    def release_ticket(self, ticket: Ticket) -> None:
        """Release a ticket, admitted or not, and admit the next one. A second call does nothing."""
        tickets = next((each for each in (self._running, self._finishing, self._waiting) if ticket in each), None)
        if tickets is None:
            return
        tickets.remove(ticket)
        self._open[ticket.person] -= 1
        if not self._open[ticket.person]:
            del self._open[ticket.person]
        self._admit()

    def position_of(self, ticket: Ticket) -> int:
        """The ticket's position in the queue, 1 for the next; 0 once it is admitted."""
        return 0 if ticket.admitted.is_set() else admission_order(self._waiting, self._served).index(ticket) + 1

    async def watch_position(self, ticket: Ticket, notice_after_s: float) -> AsyncIterator[int]:
        """The ticket's position after `notice_after_s`, then each time it changes; ends when it is admitted."""
        try:
            await asyncio.wait_for(ticket.admitted.wait(), notice_after_s or 0.001)
        except TimeoutError:
            last = 0
            while not ticket.admitted.is_set():
                changed = self._changed
                if (position := self.position_of(ticket)) != last:
                    last = position
                    yield position
                await changed.wait()

    def _admit(self) -> None:
        while len(self._running) < self._capacity:
            ticket = next_ticket(eligible(self._waiting, self._busy_conversations()), self._served)
            if ticket is None or (self._running and (ticket.alone or self._running[0].alone)):
                break
            self._waiting.remove(ticket)
            self._running.append(ticket)
            self._record_served(ticket.person)
            ticket.is_head.set()
            ticket.admitted.set()
        for ticket in eligible(self._waiting, self._busy_conversations()):
            ticket.is_head.set()
        self._changed.set()
        self._changed = asyncio.Event()

    def _busy_conversations(self) -> set[ConversationId]:
        return {each.conversation for each in (*self._running, *self._finishing)}

    def _record_served(self, person: str) -> None:
        self._admissions += 1
        self._served[person] = self._admissions
        self._served.move_to_end(person)
        while len(self._served) > MAX_PEOPLE_REMEMBERED:
            self._served.popitem(last=False)
