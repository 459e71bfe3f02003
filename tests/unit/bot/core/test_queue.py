"""People take turns, conversations keep their order, nobody is lost."""

import asyncio
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.messages import ConversationId
from bot.core.queue import FairQueue, Ticket, TooManyWaiting, _Simulation, admission_order
from tests.fakes.until import until


def room(name: str) -> ConversationId:
    return ConversationId(f"console:{name}")


def drain(queue: FairQueue, tickets: list[Ticket]) -> list[Ticket]:
    """Serve everything, one at a time; the order in which tickets were admitted."""
    served: list[Ticket] = []
    for _ in tickets:
        running = [ticket for ticket in tickets if ticket.admitted.is_set() and ticket not in served]
        assert len(running) == 1
        served += running
        queue.release_ticket(running[0])
    return served


def test_a_free_engine_admits_at_once() -> None:
    queue = FairQueue(capacity=2, per_person=5)
    assert queue.take_ticket("ana", room("a")).admitted.is_set()
    assert queue.take_ticket("ben", room("b")).admitted.is_set()
    assert not queue.take_ticket("eve", room("c")).admitted.is_set()
    assert (queue.running_count, queue.waiting_count) == (2, 1)


def test_people_take_turns_however_much_one_of_them_asks() -> None:
    queue = FairQueue(capacity=1, per_person=9)
    flood = [queue.take_ticket("ana", room(f"a{number}")) for number in range(4)]
    late = [queue.take_ticket("ben", room(f"b{number}")) for number in range(2)]
    names = [ticket.person for ticket in drain(queue, flood + late)]
    assert names == ["ana", "ben", "ana", "ben", "ana", "ana"]


def test_someone_who_asks_again_and_again_does_not_starve_others() -> None:
    queue = FairQueue(capacity=1, per_person=9)
    current = queue.take_ticket("ana", room("a"))
    waiting = queue.take_ticket("ben", room("b"))
    again = queue.take_ticket("ana", room("c"))
    queue.release_ticket(current)
    assert waiting.admitted.is_set()
    assert not again.admitted.is_set()


def test_a_conversation_is_answered_in_order_and_one_at_a_time() -> None:
    queue = FairQueue(capacity=3, per_person=9)
    first, second = queue.take_ticket("ana", room("a")), queue.take_ticket("ben", room("a"))
    assert first.admitted.is_set()
    assert not second.admitted.is_set()
    assert not second.is_head.is_set()
    queue.release_ticket(first)
    assert second.admitted.is_set()


def test_a_freed_engine_serves_others_while_the_conversation_keeps_its_order() -> None:
    queue = FairQueue(capacity=1, per_person=9)
    first = queue.take_ticket("ana", room("a"))
    same, other = queue.take_ticket("ben", room("a")), queue.take_ticket("eve", room("b"))
    queue.release_engine(first)
    assert other.admitted.is_set()
    queue.release_ticket(other)
    assert not same.admitted.is_set()
    queue.release_ticket(first)
    assert same.admitted.is_set()


def test_a_ticket_is_foremost_before_the_engine_is_free() -> None:
    queue = FairQueue(capacity=1, per_person=9)
    queue.take_ticket("ana", room("a"))
    waiting = queue.take_ticket("ben", room("b"))
    assert waiting.is_head.is_set()
    assert not waiting.admitted.is_set()


def test_tools_wait_behind_people() -> None:
    queue = FairQueue(capacity=1, per_person=9)
    running = queue.take_ticket("ana", room("a"))
    tool = queue.take_ticket("key", room("k"), priority=1)
    person = queue.take_ticket("ben", room("b"))
    assert (queue.position_of(tool), queue.position_of(person)) == (2, 1)
    queue.release_ticket(running)
    assert person.admitted.is_set()


def test_one_person_may_have_so_many_open_and_no_more() -> None:
    queue = FairQueue(capacity=1, per_person=2)
    first = queue.take_ticket("ana", room("a"))
    queue.take_ticket("ana", room("b"))
    with pytest.raises(TooManyWaiting):
        queue.take_ticket("ana", room("c"))
    queue.take_ticket("ben", room("c"))
    queue.release_ticket(first)
    queue.take_ticket("ana", room("c"))


def test_leaving_twice_frees_one_place_only() -> None:
    queue = FairQueue(capacity=1, per_person=1)
    first = queue.take_ticket("ana", room("a"))
    queue.release_ticket(first)
    queue.release_ticket(first)
    queue.take_ticket("ana", room("a"))
    with pytest.raises(TooManyWaiting):
        queue.take_ticket("ana", room("b"))


async def test_the_place_is_told_when_it_changes_and_ends_with_the_admission(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.core.queue.PLACE_EVERY_S", 0.01)
    queue = FairQueue(capacity=1, per_person=9)
    running = queue.take_ticket("ana", room("a"))
    before = queue.take_ticket("ben", room("b"))
    mine = queue.take_ticket("eve", room("c"))
    told: list[int] = []

    async def listen() -> None:
        async for place in queue.watch_position(mine, notice_after_s=0):
            told.append(place)  # noqa: PERF401 (looked at meanwhile)

    listening = asyncio.create_task(listen())
    await until(lambda: told == [2])
    queue.release_ticket(running)
    await until(lambda: told == [2, 1])
    queue.release_ticket(before)
    await asyncio.wait_for(listening, 60)
    assert told == [2, 1]


async def test_a_short_wait_is_not_told() -> None:
    queue = FairQueue(capacity=1, per_person=9)
    running = queue.take_ticket("ana", room("a"))
    mine = queue.take_ticket("eve", room("c"))
    asyncio.get_running_loop().call_later(0.02, queue.release_ticket, running)
    assert [place async for place in queue.watch_position(mine, notice_after_s=5)] == []
    assert mine.admitted.is_set()


def test_one_that_is_not_ready_lets_others_before_it_and_keeps_its_place_in_its_conversation() -> None:
    queue = FairQueue(capacity=1, per_person=9)
    reading = queue.take_ticket("ana", room("a"), is_ready=False)
    same, other = queue.take_ticket("ben", room("a")), queue.take_ticket("eve", room("b"))
    assert reading.is_head.is_set()
    assert [ticket.admitted.is_set() for ticket in (reading, same, other)] == [False, False, True]
    queue.mark_ready(reading)
    queue.release_ticket(other)
    assert [ticket.admitted.is_set() for ticket in (reading, same)] == [True, False]
    queue.release_ticket(reading)
    assert same.admitted.is_set()


def test_who_gives_up_waiting_is_not_admitted_and_keeps_the_order_of_the_conversation() -> None:
    queue = FairQueue(capacity=1, per_person=9)
    running = queue.take_ticket("ana", room("a"))
    given_up, same, other = (queue.take_ticket(name, room(where)) for name, where in ("ba", "cb", "db"))
    queue.release_ticket(same)
    queue.release_engine(given_up)
    queue.release_ticket(running)
    assert not given_up.admitted.is_set()
    assert other.admitted.is_set()
    assert queue.waiting_count == 0


class CountingTurns(dict[str, int]):
    """Last turns that count how often they are looked at: once for each comparison that the queue makes."""

    looks = 0

    def get(self, key: str, default: Any = None) -> Any:
        CountingTurns.looks += 1
        return super().get(key, default)


def test_the_order_of_many_takes_few_steps_for_each() -> None:
    """80 people with 5 questions each: what took 50 seconds of a frozen loop for every change."""
    tickets = [Ticket(number, f"p{number % 80}", room(str(number % 90)), number % 2) for number in range(400)]
    turns = CountingTurns({f"p{number}": number for number in range(40)})
    CountingTurns.looks = 0
    simulation = _Simulation(tickets, {})
    simulation._turns = turns
    assert len(list(simulation.run())) == 400
    assert CountingTurns.looks < 10 * 400


def test_the_places_of_all_who_wait_are_computed_once_for_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    computed = 0

    def counted(*arguments: Any) -> list[Ticket]:
        nonlocal computed
        computed += 1
        return admission_order(*arguments)

    monkeypatch.setattr("bot.core.queue.admission_order", counted)
    queue = FairQueue(capacity=1, per_person=9)
    tickets = [queue.take_ticket(f"p{number % 80}", room(str(number))) for number in range(400)]
    assert computed == 0, "nobody has asked for a place yet"
    assert sorted(map(queue.position_of, tickets)) == list(range(400))
    assert computed == 1
    queue.release_ticket(tickets[0])
    assert sorted(map(queue.position_of, tickets)) == [0, *range(399)]
    assert computed == 2


def test_an_admission_looks_at_each_waiting_ticket_once() -> None:
    queue = FairQueue(capacity=1, per_person=9)
    turns = CountingTurns()
    holder = queue.take_ticket("holder", room("held"))
    for number in range(400):
        queue.take_ticket(f"p{number % 80}", room(str(number)))
    queue._served = cast(Any, OrderedCounting(turns))
    CountingTurns.looks = 0
    queue.release_ticket(holder)
    assert 0 < CountingTurns.looks <= 400


class OrderedCounting(CountingTurns):
    """The same with the methods of an ordered mapping that the queue uses."""

    def move_to_end(self, key: str) -> None: ...


async def test_many_who_wait_do_not_wake_all_at_once_at_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    queue = FairQueue(capacity=1, per_person=9)
    running = queue.take_ticket("ana", room("a"))
    tickets = [queue.take_ticket(f"p{number}", room(str(number))) for number in range(20)]
    told: dict[int, list[int]] = {ticket.number: [] for ticket in tickets}

    async def listen(ticket: Ticket) -> None:
        async for place in queue.watch_position(ticket, notice_after_s=0):
            told[ticket.number].append(place)

    monkeypatch.setattr("bot.core.queue.PLACE_EVERY_S", 3600)
    listening = [asyncio.create_task(listen(ticket)) for ticket in tickets]
    await until(lambda: all(told.values()))
    queue.release_ticket(running)
    await until(listening[0].done)
    assert all(len(places) == 1 for places in told.values())
    for task in listening:
        task.cancel()
    await asyncio.gather(*listening, return_exceptions=True)


people = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz")), max_size=12)


@given(people)
def test_the_told_order_is_the_order_of_admission(asked: list[tuple[str, str]]) -> None:
    queue = FairQueue(capacity=1, per_person=20)
    holder = queue.take_ticket("holder", room("held"))
    tickets = [queue.take_ticket(person, room(where)) for person, where in asked]
    expected = sorted(tickets, key=queue.position_of)
    queue.release_ticket(holder)
    assert drain(queue, tickets) == expected


@given(people)
def test_no_ticket_is_lost_and_conversations_keep_their_order(asked: list[tuple[str, str]]) -> None:
    tickets = [Ticket(number, person, room(where), 0) for number, (person, where) in enumerate(asked)]
    admitted = admission_order(tickets, {})
    assert sorted(ticket.number for ticket in admitted) == list(range(len(tickets)))
    for where in "xyz":
        numbers = [ticket.number for ticket in admitted if ticket.conversation == room(where)]
        assert numbers == sorted(numbers)


async def test_a_ticket_that_runs_alone_waits_for_the_others_and_they_for_it() -> None:
    queue = FairQueue(3, 5)
    first = queue.take_ticket("ana", ConversationId("a"))
    alone = queue.take_ticket("ben", ConversationId("b"), alone=True)
    last = queue.take_ticket("eve", ConversationId("c"))
    assert (first.admitted.is_set(), alone.admitted.is_set(), last.admitted.is_set()) == (True, False, False)
    queue.release_ticket(first)
    assert (alone.admitted.is_set(), last.admitted.is_set()) == (True, False)
    queue.release_engine(alone)
    assert last.admitted.is_set()


async def test_a_message_that_runs_alone_was_accepted_before_and_has_no_limit() -> None:
    queue = FairQueue(1, 1)
    queue.take_ticket("ana", ConversationId("a"))
    assert not queue.take_ticket("ana", ConversationId("b"), alone=True).admitted.is_set()
