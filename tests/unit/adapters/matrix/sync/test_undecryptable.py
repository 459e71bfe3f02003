"""What cannot be decrypted is told of once, waits for its key, and is read when that comes."""

import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.delivery.errors import TransientFailure
from adapters.matrix import retry
from adapters.matrix.events import Event, ToDevice
from adapters.matrix.homeserver import RequestRefused
from adapters.matrix.outgoing.rate_limiter import SendRateLimiter
from adapters.matrix.settings import MatrixSettings, Patterns
from adapters.matrix.sync import undecryptable as module
from adapters.matrix.sync.notices import NoticeSender
from adapters.matrix.sync.sync_state import SyncState, UndecryptableMessage
from adapters.matrix.sync.undecryptable import NoticeFacts, UndecryptableEvents, should_notify
from tests.fakes.until import until
from tests.fakes.wire import ALICE, ME, ROOM, FakeHomeserver
from tests.fakes.wire_rooms import text

DAY_S = module.DAY_S
BOB = "@bob:home.example"


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(module, "GRACE_S", 0.002)


class House:
    """An encrypted direct chat with Alice, or a room with `others`. `now` is our own clock."""

    def __init__(self, marks: SyncState) -> None:
        self.wire = FakeHomeserver()
        self.marks = marks
        self.now = 1_000_000.0
        self.room = self.wire.add_room(ROOM, encrypted=True)
        self.waiting = self.process()

    def process(self, settings: MatrixSettings | None = None) -> UndecryptableEvents:
        return UndecryptableEvents(
            homeserver=self.wire,
            settings=settings or MatrixSettings(),
            sync_state=self.marks,
            notices=NoticeSender(self.wire, SendRateLimiter()),
            language="en",
            clock=lambda: self.now,
        )

    def crowd(self) -> None:
        self.room.members[BOB] = "join"

    def locked(self, session: str = "S", body: str = "hello", sender: str = ALICE, **content: object) -> Event:
        event = self.wire.post(ROOM, sender, "m.room.message", text(body, **content), session_id=session)
        seen = self.room.events()[-1]
        assert seen.event_id == event.event_id
        self.waiting.note_event(seen)
        return seen

    async def told(self) -> list[str]:
        """What was said, once all that could be said has been."""
        await until(lambda: not self.waiting.is_busy)
        return [str(sent.content["body"]) for sent in self.wire.sent]

    def keys(self, session: str = "S") -> list[ToDevice]:
        self.wire.give_key(ROOM, session)
        return [ToDevice(ALICE, "m.room_key", {"room_id": ROOM, "session_id": session}, encrypted=True)]


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    marks = SyncState(tmp_path)
    house = House(marks)
    yield house
    await house.waiting.close()
    await marks.close()


@pytest.mark.parametrize(
    ("standing", "tells"),
    [
        (NoticeFacts(direct=True), True),
        (NoticeFacts(direct=True, session_notified=True), False),
        (NoticeFacts(direct=True, room_notified_at=0.0), True),
        (NoticeFacts(replies_to_bot=True, room_notified_at=0.0), True),
        (NoticeFacts(replies_to_bot=True, session_notified=True), False),
        (NoticeFacts(), True),
        (NoticeFacts(room_notified_at=1.0), False),
        (NoticeFacts(room_notified_at=1.0 - DAY_S), True),
        (NoticeFacts(room_notified_at=600.0), True),
    ],
)
def test_people_are_told_once_a_session_where_it_was_for_us_and_once_a_day_where_nobody_knows(
    standing: NoticeFacts, tells: bool
) -> None:
    assert should_notify(standing, now=2.0) is tells


async def test_in_a_direct_chat_each_session_is_told_of_once(house: House) -> None:
    first = house.locked("S")
    house.locked("S")
    assert len(await house.told()) == 1
    (sent,) = house.wire.sent
    assert sent.content["msgtype"] == "m.notice"
    assert sent.content["m.relates_to"] == {"m.in_reply_to": {"event_id": first.event_id}}
    assert sent.encrypted
    house.locked("T")
    assert len(await house.told()) == 2
    assert house.waiting.total == 3


async def test_an_event_that_comes_again_is_the_same_one(house: House) -> None:
    event = house.locked()
    house.waiting.note_event(event)
    assert house.waiting.total == 1


async def test_nobody_is_told_of_an_edit_that_cannot_be_read(house: House) -> None:
    house.wire.post(ROOM, ALICE, "m.room.message", text("hello"), session_id="S")
    event = house.room.events()[-1]
    relates = {"rel_type": "m.replace", "event_id": "$question"}
    house.waiting.note_event(replace(event, content={"m.relates_to": relates}))
    assert await house.told() == []
    assert event.event_id in house.marks.saved.unread


async def test_in_a_room_its_people_are_told_once_a_day(house: House) -> None:
    house.crowd()
    for session in ("S", "T", "U"):
        house.locked(session)
        await house.told()
    assert len(house.wire.sent) == 1
    house.now += DAY_S
    house.locked("V")
    assert len(await house.told()) == 2


async def test_in_a_room_a_reply_to_us_is_surely_for_us(house: House) -> None:
    house.crowd()
    ours = house.wire.post(ROOM, ME, "m.room.message", text("an answer"))
    theirs = house.wire.post(ROOM, BOB, "m.room.message", text("something"))
    house.locked("S")
    await house.told()
    for session, target in (("T", theirs), ("U", ours), ("U", ours)):
        event = house.locked(session)
        related = replace(event, content={"m.relates_to": {"m.in_reply_to": {"event_id": target.event_id}}})
        house.waiting.drop_event(event.event_id)
        house.waiting.note_event(related)
        await house.told()
    assert len(house.wire.sent) == 2


async def test_nothing_is_said_of_a_key_that_comes_in_a_moment(house: House) -> None:
    event = house.locked()
    ((room_id, event_id),) = house.waiting.find_decryptable(house.keys())
    opened = await house.waiting.retry_event(room_id, event_id)
    assert opened is not None
    assert (opened.event_id, opened.content["body"]) == (event.event_id, "hello")
    assert await house.told() == []
    # It waits on disk until it was handed on: a process that is killed before that gets it again.
    assert event.event_id in house.marks.saved.unread
    house.waiting.drop_event(event_id)
    assert not house.marks.saved.unread


async def test_a_message_is_read_once(house: House) -> None:
    event = house.locked()
    house.keys()
    assert await house.waiting.retry_event(ROOM, event.event_id) is not None
    assert await house.waiting.retry_event(ROOM, event.event_id) is None


async def test_keys_of_other_sessions_open_nothing(house: House) -> None:
    event = house.locked("S")
    assert house.waiting.find_decryptable([ToDevice(ALICE, "m.room_key", {"session_id": "T"})]) == []
    assert house.waiting.find_decryptable([ToDevice(ALICE, "m.room_key", {"session_id": ["S"]})]) == []
    assert house.waiting.find_decryptable([ToDevice(ALICE, "m.dummy", {"session_id": "S"})]) == []
    assert await house.waiting.retry_event(ROOM, event.event_id) is None
    assert event.event_id in house.marks.saved.unread


async def test_what_waits_outlives_the_process_and_is_fetched_again(house: House) -> None:
    event = house.locked()
    await house.told()
    await house.waiting.close()
    house.waiting = house.process()
    house.keys()
    house.wire.faults.fail("event", TransientFailure("502"), times=2)
    assert house.waiting.all_waiting() == [(ROOM, event.event_id)]
    opened = await house.waiting.retry_event(ROOM, event.event_id)
    assert opened is not None
    assert opened.content["body"] == "hello"


async def test_what_the_server_no_longer_has_waits_no_longer(house: House) -> None:
    house.marks.saved.unread["$gone"] = UndecryptableMessage(room_id=ROOM, session_id="S")
    house.wire.faults.fail("event", RequestRefused(404, "M_NOT_FOUND", {}))
    assert await house.waiting.retry_event(ROOM, "$gone") is None
    assert not house.marks.saved.unread


async def test_after_a_week_nothing_is_waited_for(house: House) -> None:
    for event_id, age_ms in (("$young", module.MAX_WAIT_MS - 1), ("$old", module.MAX_WAIT_MS + 1)):
        event = house.wire.post(ROOM, ALICE, "m.room.message", text("hello"), session_id="S", age_ms=age_ms)
        house.marks.saved.unread[event.event_id] = UndecryptableMessage(room_id=ROOM, session_id=event_id)
        await house.waiting.retry_event(ROOM, event.event_id)
    assert [unread.session_id for unread in house.marks.saved.unread.values()] == ["$young"]


async def test_messages_of_ours_and_of_people_who_are_not_let_in_are_nobody_s_business(house: House) -> None:
    house.waiting = house.process(MatrixSettings(users=Patterns(block=(BOB,))))
    house.locked(sender=ME)
    house.locked(sender=BOB)
    assert house.waiting.total == 0
    assert await house.told() == []


@pytest.mark.parametrize("settings", [{"rooms": {"block": ["*"]}}, {"direct_messages": False}])
async def test_a_room_that_is_not_let_in_is_nobody_s_business(house: House, settings: dict[str, object]) -> None:
    house.waiting = house.process(MatrixSettings.model_validate(settings))
    house.locked()
    assert await house.told() == []


async def test_what_was_taken_back_is_told_of_no_more(house: House) -> None:
    event = house.locked()
    house.waiting.drop_event(event.event_id)
    assert await house.told() == []


async def test_what_waits_is_bounded(house: House) -> None:
    for number in range(module.UNREAD_KEPT + 5):
        house.locked(f"S{number}")
    assert len(house.marks.saved.unread) == module.UNREAD_KEPT


def test_why_clients_keep_their_keys_is_logged_once_and_short(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    waiting = House(SyncState(tmp_path)).waiting
    withheld = ToDevice(ALICE, "m.room_key.withheld", {"code": "m.unverified", "reason": "secret"})
    odd = [
        ToDevice(ALICE, "m.room_key.withheld", {"code": ["x"]}),
        ToDevice(ALICE, "m.room_key.withheld", {}),
        ToDevice(ALICE, "m.room_key.withheld", {"code": "m.made_up"}),
        ToDevice(ALICE, "m.other", {"code": "m.unverified"}),
    ]
    with caplog.at_level(logging.INFO):
        waiting.log_withheld([withheld, *odd])
        waiting.log_withheld([withheld])
    assert len(caplog.records) == 1
    assert ALICE in caplog.messages[0]
    assert "m.unverified" in caplog.messages[0]
    assert "secret" not in caplog.text
