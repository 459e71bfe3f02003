"""What a sync tells reaches the core once, in order and whole, over restarts too."""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from adapters.delivery.errors import TransientFailure
from adapters.matrix import retry
from adapters.matrix.homeserver import LoggedOut, MatrixUnusable
from adapters.matrix.settings import MatrixSettings
from adapters.matrix.sync import sync_handler
from adapters.matrix.sync import undecryptable as undecryptable_module
from bot.core.messages import FinalAnswer, Message
from bot.core.ports import Ended, Reply
from tests.fakes.inbox import TOOK, FakeInbox
from tests.fakes.matrix_station import MatrixSessionHarness
from tests.fakes.until import rounds, until
from tests.fakes.wire import ALICE, ME, ROOM, FakeHomeserver
from tests.fakes.wire_rooms import text

OTHER, NEW = "!other:home.example", "!new:home.example"
BEN = "@ben:home.example"


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(undecryptable_module, "GRACE_S", 0.002)


class Holding:
    """A script that answers when told to."""

    def __init__(self) -> None:
        self.go = asyncio.Event()

    async def __call__(self, message: Message, reply: Reply) -> None:
        await self.go.wait()
        await reply.finish(FinalAnswer(f"answer to {message.text}", timings=TOOK))


class Troubled(FakeInbox):
    """An inbox that fails, or takes long, over some messages."""

    def __init__(self) -> None:
        super().__init__()
        self.fails: dict[str, Exception] = {}
        self.gates: dict[str, asyncio.Event] = {}

    async def handle(self, message: Message, reply: Reply) -> Ended | None:
        if gate := self.gates.get(message.text):
            await gate.wait()
        if error := self.fails.get(message.text):
            raise error
        return await super().handle(message, reply)


@pytest.fixture
async def station(tmp_path: Path) -> AsyncIterator[MatrixSessionHarness]:
    """Two direct chats with Alice, in which nothing was said yet; started once before, and stopped."""
    station = MatrixSessionHarness(tmp_path, inbox=Troubled())
    for room_id in (ROOM, OTHER):
        station.wire.add_room(room_id)
        station.wire.say("long ago", room_id=room_id)
    await station.start()
    yield station
    if station.task is not None:
        await station.stop()


async def stopped(station: MatrixSessionHarness) -> None:
    await station.stop()
    station.task = None


async def test_what_was_said_before_the_very_first_start_is_not_for_us(station: MatrixSessionHarness) -> None:
    station.wire.say("now")
    await station.settled()
    assert station.asked == ["now"]
    await station.inbox.wait_until_idle()
    await until(lambda: station.said == ["now"])


async def test_what_was_missed_is_answered_once_and_over_all_rooms_the_oldest_first(
    station: MatrixSessionHarness,
) -> None:
    await stopped(station)
    for age_s, (room_id, body) in zip(
        range(40, 0, -10), [(OTHER, "1"), (ROOM, "2"), (ROOM, "3"), (OTHER, "4")], strict=True
    ):
        station.wire.post(room_id, ALICE, "m.room.message", text(body), age_ms=age_s * 1000)
    await station.start()
    assert station.asked == ["1", "2", "3", "4"]
    await station.stop()
    await station.start()
    assert station.asked == ["1", "2", "3", "4"]
    await until(lambda: len(station.said) == 4)


async def test_what_was_missed_behind_a_limited_timeline_is_found(station: MatrixSessionHarness) -> None:
    await stopped(station)
    station.wire.timeline_limit = 3
    for number in range(10):
        station.wire.say(f"{number}")
    await station.start()
    assert station.asked == [f"{number}" for number in range(10)]


async def test_a_flood_while_we_listen_loses_nothing(station: MatrixSessionHarness) -> None:
    station.wire.timeline_limit = 3
    for number in range(10):
        station.wire.say(f"{number}")
    await station.settled()
    assert station.asked == [f"{number}" for number in range(10)]


async def test_a_killed_process_hears_again_what_it_had_not_noted_and_answers_it_once(
    station: MatrixSessionHarness,
) -> None:
    await station.stop()
    await station.start()
    station.wire.say("once")
    await station.settled()
    await station.inbox.wait_until_idle()
    await station.stop(kill=True)
    await station.start()
    assert station.asked == ["once", "once"]
    assert station.said == ["once"]


async def test_the_token_waits_for_the_slowest_message_and_other_rooms_do_not(station: MatrixSessionHarness) -> None:
    inbox = station.inbox
    assert isinstance(inbox, Troubled)
    before = station.marks.saved.token
    gate = inbox.gates["slow"] = asyncio.Event()
    station.wire.say("slow")
    await rounds()
    station.wire.say("quick", room_id=OTHER)
    await until(lambda: "quick" in station.asked)
    station.wire.say("after slow")
    await rounds(50)
    assert station.asked == ["quick"]
    assert station.marks.saved.token == before
    gate.set()
    await station.settled()
    assert station.asked == ["quick", "slow", "after slow"]


async def test_a_slow_room_does_not_hold_back_what_others_missed(
    station: MatrixSessionHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sync_handler, "MAX_HOLD_S", 0.1)
    inbox = station.inbox
    assert isinstance(inbox, Troubled)
    await stopped(station)
    gate = inbox.gates["slow"] = asyncio.Event()
    behind = [f"behind {number}" for number in range(15)]
    said = [(ROOM, "slow"), *((ROOM, body) for body in behind), (OTHER, "quick")]
    for age_s, (room_id, body) in zip(range(len(said), 0, -1), said, strict=True):
        station.wire.post(room_id, ALICE, "m.room.message", text(body), age_ms=age_s * 1000)
    starting = asyncio.create_task(station.start())
    await until(lambda: station.asked == ["quick"])
    gate.set()
    await starting
    assert station.asked == ["quick", "slow", *behind]


async def test_a_message_that_breaks_something_breaks_nothing_else(
    station: MatrixSessionHarness, caplog: pytest.LogCaptureFixture
) -> None:
    inbox = station.inbox
    assert isinstance(inbox, Troubled)
    inbox.fails["bad"] = ValueError("a bug")
    for body in ("before", "bad", "after"):
        station.wire.say(body)
    await station.settled()
    assert station.asked == ["before", "after"]
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    await stopped(station)
    station.wire.say("bad")
    station.wire.say("later")
    await station.start()
    assert station.asked[2:] == ["later"]


async def test_what_a_logged_out_device_could_not_deal_with_comes_again(station: MatrixSessionHarness) -> None:
    inbox = station.inbox
    assert isinstance(inbox, Troubled)
    before, seen = station.marks.saved.token, dict(station.marks.saved.seen)
    inbox.fails["lost"] = LoggedOut(soft=False)
    station.wire.say("lost")
    await rounds(50)
    assert station.marks.saved.token == before
    station.wire.faults.always("sync", LoggedOut(soft=False))
    station.wire.say("wake up")
    assert station.task is not None
    with pytest.raises(MatrixUnusable):
        await station.task
    await until(lambda: "wake up" in station.asked)
    await rounds()
    assert station.marks.saved.seen == seen
    station.task = asyncio.create_task(asyncio.sleep(0))
    await stopped(station)
    inbox.fails.clear()
    station.wire.faults.always("sync", None)
    await station.start()
    assert station.asked[-2:] == ["lost", "wake up"]


async def test_who_invites_and_asks_at_once_is_answered(station: MatrixSessionHarness) -> None:
    await stopped(station)
    station.wire.invite(NEW, ALICE, direct=True)
    station.wire.post(NEW, ALICE, "m.room.member", {"membership": "invite"}, state_key=ME)
    station.wire.say("are you there?", room_id=NEW)
    await station.start()
    await until(lambda: "are you there?" in station.said)
    assert station.asked == ["are you there?"]
    assert len([line for line in station.said if "!help" in line]) == 1


async def test_who_is_removed_from_a_room_answers_there_no_more_and_forgets_it(station: MatrixSessionHarness) -> None:
    station.inbox.script = Holding()
    station.wire.say("a question")
    station.wire.say("another", room_id=OTHER)
    await until(lambda: len(station.asked) == 2)
    await station.settled()
    station.wire.kick(ROOM)
    await station.settled()
    assert [conversation for conversation, _ in station.inbox.withdrawn] == [f"matrix:{ROOM}"]
    assert list(station.marks.saved.seen) == [OTHER]


async def test_what_an_earlier_process_left_is_followed(station: MatrixSessionHarness) -> None:
    station.inbox.script = Holding()
    question = station.wire.say("a question")
    await until(lambda: station.asked)
    await station.settled()
    await stopped(station)
    station.inbox.left = list(station.inbox.handled)
    await station.start()
    station.wire.post(ROOM, ALICE, "m.room.redaction", {"redacts": question.event_id}, redacts=question.event_id)
    await station.settled()
    assert [event_id for _, event_id in station.inbox.withdrawn] == [question.event_id]


async def test_a_message_whose_key_comes_late_is_answered_then(station: MatrixSessionHarness) -> None:
    station.wire.rooms[ROOM].encrypted = True
    station.wire.post(ROOM, ALICE, "m.room.message", text("a secret question"), session_id="S")
    await station.settled()
    assert station.asked == []
    await until(lambda: len(station.said) == 1)
    await station.settled()
    station.wire.give_key(ROOM, "S")
    await until(lambda: station.asked == ["a secret question"])
    await station.inbox.wait_until_idle()
    await until(lambda: station.said[1:] == ["a secret question"])
    assert all(sent.encrypted for sent in station.wire.sent)


async def test_a_key_that_came_as_the_process_ended_is_used_by_the_next(station: MatrixSessionHarness) -> None:
    station.wire.post(ROOM, ALICE, "m.room.message", text("a secret question"), session_id="S")
    await station.settled()
    await stopped(station)
    station.wire.rooms[ROOM].locked.clear()
    await station.start()
    await until(lambda: station.asked == ["a secret question"])


async def test_a_secret_message_that_is_taken_back_is_not_answered_later(station: MatrixSessionHarness) -> None:
    event = station.wire.post(ROOM, ALICE, "m.room.message", text("a secret question"), session_id="S")
    await station.settled()
    station.wire.post(ROOM, ALICE, "m.room.redaction", {"redacts": event.event_id}, redacts=event.event_id)
    await station.settled()
    station.wire.give_key(ROOM, "S")
    await station.settled()
    await rounds()
    assert station.asked == []


async def test_a_thread_in_which_we_wrote_is_ours_after_a_restart(station: MatrixSessionHarness) -> None:
    station.wire.rooms[ROOM].members[BEN] = "join"
    root = station.wire.say("let us talk")
    relates = {"rel_type": "m.thread", "event_id": root.event_id}
    station.wire.post(ROOM, ME, "m.room.message", text("gladly") | {"m.relates_to": relates})
    await station.settled()
    await stopped(station)
    station.wire.say("and now?", sender=BEN, **{"m.relates_to": relates})
    await station.start()
    assert station.asked == ["and now?"]


async def test_messages_to_the_device_and_events_of_verifications_go_where_they_belong(
    station: MatrixSessionHarness,
) -> None:
    station.wire.tell(ALICE, "m.key.verification.request", {"from_device": "X"})
    station.wire.post(ROOM, ALICE, "m.key.verification.start", {})
    await station.settled()
    assert [message.type for message in station.verifying.heard] == ["m.key.verification.request"]
    assert station.asked == []


async def test_a_room_that_was_replaced_while_we_were_down_is_followed_and_questions_in_it_answered(
    station: MatrixSessionHarness,
) -> None:
    await stopped(station)
    station.wire.add_room(NEW)
    del station.wire.rooms[NEW].members[ME]
    station.wire.answers["GET", f"/v3/rooms/{NEW}/state/m.room.create"] = {"predecessor": {"room_id": ROOM}}
    station.wire.post(ROOM, ALICE, "m.room.tombstone", {"replacement_room": NEW}, state_key="")
    await station.start()
    await until(lambda: station.wire.joins == [NEW])
    await station.settled()
    station.wire.say("here we are", room_id=NEW)
    await station.settled()
    assert station.asked == ["here we are"]


ODD: list[Any] = [None, 7, -1, 2**70, 1.5, True, "", "x", "\ud800", [], [[]], {}, {"x": []}, ["@a:b"], {"event_id": 7}]


async def test_whatever_stands_in_an_event_the_next_message_is_answered(station: MatrixSessionHarness) -> None:
    kinds = (
        "m.room.message",
        "m.room.member",
        "m.room.tombstone",
        "m.room.redaction",
        "m.reaction",
        "m.room.encrypted",
    )
    keys = (
        "body",
        "msgtype",
        "membership",
        "replacement_room",
        "redacts",
        "m.relates_to",
        "m.new_content",
        "m.mentions",
    )
    for kind in kinds:
        for odd in ODD:
            station.wire.post(ROOM, ALICE, kind, dict.fromkeys(keys, odd))
            for rel_type in ("m.replace", "m.thread", "m.annotation", odd):
                relates = {"rel_type": rel_type, "event_id": odd, "key": odd, "m.in_reply_to": odd}
                station.wire.post(ROOM, ALICE, kind, {"msgtype": "m.text", "body": odd, "m.relates_to": relates})
        await station.settled()
    station.wire.tell(ALICE, "m.room_key", {"session_id": []})
    station.wire.tell(ALICE, "m.room_key.withheld", {"code": {}})
    station.wire.say("still there?")
    await station.settled()
    assert station.asked[-1] == "still there?"


@pytest.mark.parametrize("settings", [{"catch_up_max_age_s": 0}, {"catch_up_messages": 0}])
async def test_with_catching_up_switched_off_what_was_missed_stays_unanswered(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    station = MatrixSessionHarness(tmp_path, wire=FakeHomeserver(), settings=MatrixSettings.model_validate(settings))
    station.wire.add_room()
    await station.start()
    await station.stop()
    station.wire.say("missed")
    await station.start()
    station.wire.say("live")
    await station.settled()
    assert station.asked == ["live"]
    await station.stop()


async def test_a_server_that_fails_in_the_middle_of_catching_up_is_waited_for(station: MatrixSessionHarness) -> None:
    await stopped(station)
    station.wire.timeline_limit = 2
    for number in range(6):
        station.wire.say(f"{number}")
    station.wire.faults.fail("page", TransientFailure("502"), times=3)
    await station.start()
    assert station.asked == [f"{number}" for number in range(6)]


@pytest.mark.parametrize(("others", "private"), [((ALICE,), True), ((ALICE, BEN), False)])
async def test_before_a_chat_counts_as_private_all_of_its_members_are_asked_for(
    station: MatrixSessionHarness, others: tuple[str, ...], private: bool
) -> None:
    station.wire.add_room(NEW, *others, told_count=2)
    station.wire.say("hearth: where?", room_id=NEW)
    await until(lambda: station.asked)
    assert station.inbox.handled[0].audience.private is private
