"""Which events were missed, and how far back they are sought."""

from dataclasses import replace
from typing import Any

import pytest

from adapters.delivery.errors import RateLimited, TransientFailure
from adapters.matrix.events import Event, Timeline
from adapters.matrix.homeserver import RequestRefused
from adapters.matrix.settings import MatrixSettings
from adapters.matrix.sync import catch_up
from adapters.matrix.sync.catch_up import missed_events, select_due, unseen_events
from tests.fakes.wire import ALICE, ME, ROOM, FakeHomeserver

HOUR_MS = 3_600_000
SETTINGS = MatrixSettings(catch_up_messages=5, catch_up_max_age_s=3600)


def said(number: int, age_ms: int | None = 0) -> Event:
    return Event(ROOM, f"${number}", ALICE, "m.room.message", {"body": f"{number}"}, age_ms=age_ms)


def member(number: int, membership: str, user: str = ME) -> Event:
    return Event(ROOM, f"${number}", ALICE, "m.room.member", {"membership": membership}, age_ms=0, state_key=user)


def ids(events: list[Event]) -> list[str]:
    return [event.event_id for event in events]


@pytest.mark.parametrize(
    ("events", "last", "found", "complete"),
    [
        ([said(1), said(2), said(3)], "$1", ["$2", "$3"], True),
        ([said(1), said(2)], "$2", [], True),
        ([said(1), said(2)], "$0", ["$1", "$2"], False),
        ([said(1)], "", ["$1"], False),
        ([said(1), member(2, "invite"), said(3), member(4, "join"), said(5)], None, ["$3", "$4", "$5"], True),
        ([said(1), member(2, "join"), said(3)], None, ["$3"], True),
        ([member(1, "join"), member(2, "leave"), said(3), member(4, "join"), said(5)], None, ["$5"], True),
        ([member(1, "join", ALICE), said(2)], None, ["$1", "$2"], False),
        ([], None, [], False),
    ],
)
def test_what_comes_after_the_last_event_seen_or_after_our_invitation_is_new(
    events: list[Event], last: str | None, found: list[str], complete: bool
) -> None:
    assert (ids(unseen_events(events, last, ME)[0]), unseen_events(events, last, ME)[1]) == (found, complete)


def test_a_membership_that_is_no_text_is_none() -> None:
    odd = replace(member(1, "join"), content={"membership": ["join"]})
    assert unseen_events([odd, said(2)], None, ME) == ([odd, said(2)], False)


def test_what_is_too_old_is_left_out_only_by_who_was_behind() -> None:
    events = [said(1, 2 * HOUR_MS), said(2, HOUR_MS // 2)]
    assert ids(select_due(events, ME, SETTINGS, behind=True)) == ["$2"]
    assert ids(select_due(events, ME, SETTINGS, behind=False)) == ["$1", "$2"]


def test_what_follows_something_young_enough_is_not_too_old_whatever_a_clock_says() -> None:
    events = [said(1, 9 * HOUR_MS), said(2, 1000), said(3, 99 * HOUR_MS), said(4, -600_000), said(5, None)]
    assert ids(select_due(events, ME, SETTINGS, behind=True)) == ["$2", "$3", "$4", "$5"]


def test_an_event_whose_age_nobody_knows_is_not_too_old() -> None:
    assert ids(select_due([said(1, None)], ME, SETTINGS, behind=True)) == ["$1"]


def test_of_too_many_the_newest_are_taken_and_what_changes_the_room_always() -> None:
    events = [member(0, "join", ALICE), *(said(number) for number in range(1, 9))]
    assert ids(select_due(events, ME, SETTINGS, behind=True)) == ["$0", "$4", "$5", "$6", "$7", "$8"]


def test_our_own_messages_are_not_among_those_that_are_counted() -> None:
    ours = [replace(said(number), sender=ME) for number in range(10, 40)]
    assert ids(select_due([said(1), *ours, said(2)], ME, SETTINGS, behind=True))[:1] == ["$1"]


@pytest.mark.parametrize("off", [{"catch_up_messages": 0}, {"catch_up_max_age_s": 0}])
def test_with_catching_up_switched_off_nothing_that_was_said_is_looked_at(off: dict[str, Any]) -> None:
    events = [member(0, "join", ALICE), said(1)]
    assert ids(select_due(events, ME, SETTINGS.model_copy(update=off), behind=True)) == ["$0"]


class Gap:
    """A room in which `count` messages were written, of which a sync tells the last two."""

    def __init__(self, count: int) -> None:
        self.wire = FakeHomeserver()
        self.wire.add_room()
        self.events = [self.wire.say(f"{number}") for number in range(count)]

    async def missed(self, last: str | None, settings: MatrixSettings = SETTINGS, behind: bool = True) -> list[str]:
        timeline = Timeline(ROOM, tuple(self.events[-2:]), limited=True, prev_batch=f"t{len(self.events) - 2}")
        return [event.content["body"] for event in await missed_events(self.wire, timeline, last, settings, behind)]


async def test_a_limited_timeline_is_paged_back_to_the_last_event_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catch_up, "PAGE_EVENTS", 2)
    gap = Gap(9)
    assert await gap.missed(gap.events[4].event_id) == ["5", "6", "7", "8"]
    assert gap.wire.faults.requests == ["page", "page"]


async def test_paging_ends_at_the_room_s_beginning_and_when_enough_was_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catch_up, "PAGE_EVENTS", 2)
    assert await Gap(4).missed("$gone") == ["0", "1", "2", "3"]
    gap = Gap(30)
    assert await gap.missed("$gone") == ["25", "26", "27", "28", "29"]
    assert gap.wire.faults.requests == ["page"] * 2


async def test_paging_has_an_end_where_nobody_said_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catch_up, "PAGE_EVENTS", 1)
    gap = Gap(50)
    for number in range(50):
        room = gap.wire.rooms[ROOM]
        room.timeline[number] = (number, replace(gap.events[number], type="m.reaction"))
    gap.events = gap.wire.rooms[ROOM].events()
    timeline = Timeline(ROOM, tuple(gap.events[-2:]), limited=True, prev_batch="t48")
    await missed_events(gap.wire, timeline, "$gone", SETTINGS, behind=True)
    assert gap.wire.faults.requests == ["page"] * catch_up.PAGES


async def test_a_server_that_fails_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.matrix.retry.FIRST_PAUSE_S", 0.001)
    gap = Gap(5)
    gap.wire.faults.fail("page", TransientFailure("502"), times=3)
    gap.wire.faults.fail("page", RateLimited(0.001))
    assert await gap.missed(gap.events[1].event_id) == ["2", "3", "4"]


@pytest.mark.parametrize("fault", ["refused", "held"])
async def test_what_cannot_be_read_leaves_what_the_sync_told(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catch_up, "SEARCH_TIMEOUT_S", 0.01)
    gap = Gap(5)
    if fault == "refused":
        gap.wire.faults.fail("page", RequestRefused(403, "M_FORBIDDEN", {}))
        assert await gap.missed("$gone") == ["3", "4"]
    else:
        with gap.wire.faults.holding("page"):
            assert await gap.missed("$gone") == ["3", "4"]


async def test_a_timeline_that_tells_all_is_not_paged_and_a_live_one_loses_nothing_to_its_age() -> None:
    wire = FakeHomeserver()
    timeline = Timeline(ROOM, tuple(said(number, 99 * HOUR_MS) for number in range(20)), prev_batch="t0")
    assert len(await missed_events(wire, timeline, "$gone", SETTINGS, behind=False)) == 20
    assert wire.faults.requests == []


async def test_in_a_room_that_is_new_to_us_an_old_invitation_is_not_answered_with_old_news() -> None:
    events = (member(1, "invite"), said(2, 99 * HOUR_MS), member(3, "join"), said(4))
    found = await missed_events(FakeHomeserver(), Timeline(ROOM, events), None, SETTINGS, behind=False)
    assert ids(found) == ["$3", "$4"]
