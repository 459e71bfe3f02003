"""Who is followed into which rooms, and what is said there."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from adapters.delivery.errors import RateLimited, TransientFailure
from adapters.matrix import retry
from adapters.matrix.events import Departure, Event, Invitation
from adapters.matrix.homeserver import RequestRefused
from adapters.matrix.outgoing.leaky_bucket import LeakyBucket
from adapters.matrix.outgoing.rate_limiter import SendRateLimiter
from adapters.matrix.settings import MatrixSettings, Patterns
from adapters.matrix.sync import invites as module
from adapters.matrix.sync import member_lists
from adapters.matrix.sync.invites import DeclineReason, InviteHandler, replacement_room, why_declined
from adapters.matrix.sync.member_lists import MemberLists
from adapters.matrix.sync.notices import NoticeSender
from adapters.matrix.sync.sync_state import SyncState
from tests.fakes.until import rounds, until
from tests.fakes.wire import ALICE, ME, ROOM, FakeHomeserver

NEW = "!new:home.example"
STRANGER = "@stranger:evil.example"
HOME = MatrixSettings(servers=Patterns(allow=("home.example",)))


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(module, "JOIN_RETRY_S", (0.001, 0.002))
    monkeypatch.setattr(module, "REFUSAL_RETRY_S", (0.001, 0.002))


class House:
    """Invitations at work over a server in memory; `sync` is one round of the loop, without its timelines."""

    def __init__(self, marks: SyncState, settings: MatrixSettings = HOME) -> None:
        self.wire = FakeHomeserver()
        self.marks = marks
        self.settings = settings.with_replaced_rooms(marks.saved.replaced)
        self.token = ""
        self.budget = SendRateLimiter(LeakyBucket(burst=10_000))
        self.invites = self._invites()

    def _invites(self) -> InviteHandler:
        return InviteHandler(
            homeserver=self.wire,
            settings=self.settings,
            sync_state=self.marks,
            members=MemberLists(self.wire),
            notices=NoticeSender(self.wire, self.budget),
            rate_limiter=self.budget,
            language="en",
            prefix="!",
            direct_room=lambda user_id: ROOM if user_id == ALICE else "",
        )

    async def sync(self) -> None:
        news = await self.wire.sync(self.token, 0)
        self.token = news.token
        for departure in news.left:
            self.invites.note_departed(departure)
            self.marks.drop_room(departure.room_id)
        for invitation in news.invited:
            self.invites.take_invite(invitation)
        for timeline in news.joined:
            for event in timeline.events:
                self.invites.take_tombstone(event)
            self.invites.note_joined(timeline.room_id)

    async def joined(self, room_id: str = NEW) -> None:
        await until(lambda: room_id in self.wire.joins and room_id not in self.marks.saved.invitations)
        await self.sync()
        await rounds()

    async def restart(self) -> None:
        await self.invites.close()
        self.invites = self._invites()
        self.invites.resume_joins()

    def said(self) -> list[Any]:
        return [sent.content["body"] for sent in self.wire.sent]


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    marks = SyncState(tmp_path)
    house = House(marks)
    yield house
    await house.invites.close()
    await marks.close()


@pytest.mark.parametrize(
    ("settings", "invitation", "reason"),
    [
        (MatrixSettings(), Invitation(NEW, STRANGER), None),
        (HOME, Invitation(NEW, ALICE), None),
        (HOME, Invitation(NEW, STRANGER), DeclineReason.INVITER),
        (HOME, Invitation(NEW, STRANGER, direct=True), DeclineReason.INVITER),
        (MatrixSettings(bots=("@alice:*",)), Invitation(NEW, ALICE), DeclineReason.INVITER),
        (MatrixSettings(direct_messages=False), Invitation(NEW, ALICE, direct=True), DeclineReason.DIRECT_MESSAGE),
        (MatrixSettings(direct_messages=False), Invitation(NEW, ALICE), None),
        (MatrixSettings(rooms=Patterns(allow=(ROOM,))), Invitation(NEW, ALICE), DeclineReason.ROOM),
        (MatrixSettings(rooms=Patterns(allow=(ROOM,))), Invitation(NEW, ALICE, direct=True), None),
        (MatrixSettings(rooms=Patterns(block=("!new:*",))), Invitation(NEW, ALICE, direct=True), DeclineReason.ROOM),
    ],
)
def test_who_is_let_in_may_invite(
    settings: MatrixSettings, invitation: Invitation, reason: DeclineReason | None
) -> None:
    assert why_declined(invitation, settings, {}) is reason


def test_into_the_room_that_ours_has_become_anybody_may_let_us() -> None:
    assert why_declined(Invitation(NEW, STRANGER), HOME, {NEW: ROOM}) is None


@pytest.mark.parametrize(
    ("content", "state_key", "room_id"),
    [
        ({"replacement_room": NEW}, "", NEW),
        ({"replacement_room": NEW}, None, ""),
        ({"replacement_room": NEW}, "x", ""),
        ({"replacement_room": ROOM}, "", ""),
        ({"replacement_room": "#alias:home.example"}, "", ""),
        ({"replacement_room": ["!new"]}, "", ""),
        ({"replacement_room": "!" + "x" * 300}, "", ""),
        ({}, "", ""),
    ],
)
def test_a_tombstone_names_a_room_or_nothing(content: dict[str, Any], state_key: str | None, room_id: str) -> None:
    assert replacement_room(Event(ROOM, "$1", ALICE, "m.room.tombstone", content, state_key=state_key)) == room_id


async def test_an_invitation_is_followed_and_answered_with_one_line(house: House) -> None:
    house.wire.invite(NEW, ALICE)
    await house.sync()
    await house.joined()
    await until(house.said)
    house.wire.say("thanks", room_id=NEW)
    await house.sync()
    await rounds()
    (line,) = house.said()
    assert "!help" in line
    (sent,) = house.wire.sent
    assert sent.content["msgtype"] == "m.notice"
    assert sent.content["m.mentions"] == {}
    assert not house.marks.saved.welcomes


async def test_it_is_answered_also_where_a_sync_tells_of_the_room_before_the_join_is_answered(house: House) -> None:
    class TellsFirst(FakeHomeserver):
        async def join_room(self, room_id: str, via: Sequence[str] = ()) -> None:
            await super().join_room(room_id, via)
            await house.sync()

    house.wire = TellsFirst()
    await house.restart()
    house.wire.invite(NEW, ALICE)
    await house.sync()
    await until(house.said)


async def test_the_line_is_not_said_again_while_it_is_being_said(house: House) -> None:
    house.wire.invite(NEW, ALICE)
    with house.wire.faults.holding("send"):
        await house.sync()
        await house.joined()
        await until(lambda: house.wire.faults.waiting("send"))
        house.wire.say("hello", room_id=NEW)
        await house.sync()
        await rounds()
        assert house.wire.faults.requests.count("send") == 1
    await until(house.said)


async def test_a_stranger_s_invitation_is_declined(house: House) -> None:
    house.wire.invite(NEW, STRANGER)
    await house.sync()
    await until(lambda: house.wire.leaves == [NEW])
    assert not house.wire.joins


async def test_a_room_that_cannot_be_joined_now_is_joined_later(house: House) -> None:
    house.wire.faults.fail("join", TransientFailure("502"), times=3)
    house.wire.faults.fail("join", RateLimited(0.001))
    house.wire.invite(NEW, ALICE)
    await house.sync()
    await house.joined()
    await until(house.said)


async def test_after_a_restart_what_was_not_joined_yet_is_joined(house: House) -> None:
    house.wire.faults.always("join", TransientFailure("502"))
    house.wire.invite(NEW, ALICE)
    await house.sync()
    await until(lambda: "join" in house.wire.faults.requests)
    house.wire.faults.always("join", None)
    await house.restart()
    await house.joined()
    await until(house.said)


async def test_an_invitation_that_was_taken_back_is_not_followed_for_ever(house: House) -> None:
    house.wire.faults.always("join", TransientFailure("502"))
    house.wire.invite(NEW, ALICE)
    await house.sync()
    house.invites.note_departed(Departure(NEW, ALICE))
    house.marks.drop_room(NEW)
    await rounds()
    tries = house.wire.faults.requests.count("join")
    await asyncio.sleep(0.02)
    assert house.wire.faults.requests.count("join") == tries
    assert not house.marks.saved.invitations


@pytest.mark.parametrize(("status", "tries"), [(403, 3), (404, 1)])
async def test_a_room_that_refuses_us_is_left_alone(house: House, status: int, tries: int) -> None:
    house.wire.faults.always("join", RequestRefused(status, "M_FORBIDDEN", {}))
    house.wire.invite(NEW, ALICE)
    await house.sync()
    await until(lambda: not house.marks.saved.invitations)
    assert not house.marks.saved.welcomes
    assert house.wire.faults.requests.count("join") == tries


async def test_an_invitation_that_its_own_server_has_not_stored_yet_is_followed(house: House) -> None:
    house.wire.faults.fail("join", RequestRefused(403, "M_FORBIDDEN", {}), times=2)
    house.wire.invite(NEW, ALICE)
    await house.sync()
    await house.joined()
    await until(house.said)


async def test_who_was_removed_can_be_invited_again(house: House) -> None:
    for _ in range(2):
        house.wire.invite(NEW, ALICE)
        await house.sync()
        await house.joined()
        house.wire.kick(NEW)
        await house.sync()
    assert house.wire.joins == [NEW, NEW]


async def test_a_storm_of_strangers_costs_a_bounded_number_of_requests(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    with house.wire.faults.holding("leave"):
        for number in range(1000):
            house.invites.take_invite(Invitation(f"!{number}:evil.example", STRANGER))
        await rounds()
        assert house.wire.faults.waiting("leave") == 1
    await until(lambda: house.wire.faults.requests.count("leave") == module.MAX_PENDING_DECLINES)
    await rounds()
    assert house.wire.faults.requests.count("leave") == module.MAX_PENDING_DECLINES
    assert len(caplog.records) == 1


async def test_a_storm_of_strangers_leaves_the_account_enough_for_an_answer(house: House) -> None:
    house.budget.bucket = LeakyBucket()
    for number in range(100):
        house.invites.take_invite(Invitation(f"!{number}:evil.example", STRANGER))
    await until(lambda: house.wire.faults.requests.count("leave") > 3)
    await rounds(200)
    now = asyncio.get_running_loop().time()
    assert 2 < house.budget.bucket.left(now) < 7


async def test_joining_counts_as_an_event_and_what_it_is_refused_for_teaches_nothing_about_events(house: House) -> None:
    house.budget.bucket = LeakyBucket()
    house.wire.faults.fail("join", RateLimited(0.001))
    house.wire.invite(NEW, ALICE)
    await house.sync()
    await until(lambda: house.wire.joins == [NEW])
    now = asyncio.get_running_loop().time()
    assert 9 <= house.budget.bucket.left(now) < 9.1
    assert house.budget.bucket.wait_s(now) == 0
    assert house.budget.bucket.is_unknown(now)


async def test_a_storm_of_people_who_are_let_in_is_bounded_too(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "JOIN_RETRY_S", (60.0,))
    house.wire.faults.always("join", TransientFailure("502"))
    for number in range(1000):
        house.invites.take_invite(Invitation(f"!{number}:home.example", ALICE))
    assert len(house.marks.saved.invitations) == module.INVITATIONS_KEPT
    await rounds()
    assert house.wire.faults.requests.count("join") == module.INVITATIONS_KEPT


async def test_a_room_with_nobody_else_is_left(house: House) -> None:
    room = house.wire.add_room()
    house.wire.say("bye")
    del room.members[ALICE]
    await house.sync()
    await until(lambda: house.wire.leaves == [ROOM])


async def test_a_room_where_somebody_is_invited_is_not_left(house: House) -> None:
    room = house.wire.add_room()
    room.members[ALICE] = "invite"
    house.wire.say("hello")
    await house.sync()
    await rounds()
    assert not house.wire.leaves


class Upgrade:
    """A room we are in that is replaced by another."""

    def __init__(self, house: House, predecessor: object = None) -> None:
        self.house = house
        house.wire.add_room()
        house.wire.add_room(NEW)
        del house.wire.rooms[NEW].members[ME]
        content = {"predecessor": {"room_id": ROOM} if predecessor is None else predecessor}
        house.wire.answers["GET", f"/v3/rooms/{NEW}/state/m.room.create"] = content

    async def happens(self, sender: str = STRANGER) -> None:
        self.house.wire.post(ROOM, sender, "m.room.tombstone", {"replacement_room": NEW}, state_key="")
        await self.house.sync()
        await until(lambda: NEW not in self.house.marks.saved.invitations)
        await rounds()


async def test_a_room_that_was_replaced_is_followed_without_a_word(house: House) -> None:
    upgrade = Upgrade(house)
    await upgrade.happens()
    assert house.wire.joins == [NEW]
    assert house.marks.saved.replaced == {NEW: ROOM}
    await house.sync()
    await rounds()
    assert not house.said()
    assert not house.wire.leaves


@pytest.mark.parametrize("predecessor", [{"room_id": "!other:x"}, [], "x", {"room_id": [ROOM]}, {}])
async def test_a_room_that_does_not_say_so_itself_replaces_nothing(house: House, predecessor: object) -> None:
    upgrade = Upgrade(house, predecessor)
    await upgrade.happens()
    await until(lambda: house.wire.leaves == [NEW])
    assert not house.marks.saved.replaced


async def test_a_room_that_is_not_let_in_is_not_followed(house: House) -> None:
    house.invites = InviteHandler(
        homeserver=house.wire,
        settings=MatrixSettings(rooms=Patterns(block=(ROOM,))),
        sync_state=house.marks,
        members=MemberLists(house.wire),
        notices=NoticeSender(house.wire, house.budget),
        rate_limiter=house.budget,
        language="en",
        prefix="!",
        direct_room=lambda user_id: "",
    )
    upgrade = Upgrade(house)
    await upgrade.happens()
    assert not house.wire.joins


async def test_into_a_closed_room_that_replaces_ours_we_wait_to_be_let(house: House) -> None:
    upgrade = Upgrade(house)
    house.wire.faults.always("join", RequestRefused(403, "M_FORBIDDEN", {}))
    await upgrade.happens()
    assert not house.wire.joins
    house.wire.faults.always("join", None)
    house.invites.take_invite(Invitation(NEW, STRANGER))
    await until(lambda: house.wire.joins == [NEW])


async def test_a_welcome_that_is_refused_is_not_tried_for_ever(house: House) -> None:
    house.wire.faults.fail("send", RequestRefused(403, "M_FORBIDDEN", {}))
    house.wire.invite(NEW, ALICE)
    await house.sync()
    await house.joined()
    await until(lambda: not house.marks.saved.welcomes)
    assert not house.said()


async def test_in_an_encrypted_room_clients_get_our_keys_before_the_welcome(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GREETING_DELAY_S", 0.2)
    house.wire.invite(NEW, ALICE, direct=True, encrypted=True)
    await house.sync()
    await house.joined()
    assert not house.said()
    await until(house.said)
    assert len(house.said()) == 1


@pytest.mark.parametrize("told_count", [1, 2, None])
async def test_a_room_of_another_server_whose_members_a_sync_does_not_know_yet_is_not_left(
    house: House, told_count: int | None
) -> None:
    house.wire.invite(NEW, ALICE, told_count=told_count)
    house.wire.rooms[NEW].members["@ben:far.example"] = "join"
    await house.sync()
    await house.joined()
    await until(house.said)
    assert not house.wire.leaves
    assert "Mention me" in house.said()[0]


async def test_while_the_homeserver_does_not_say_who_is_in_a_room_it_is_not_left(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(member_lists, "LOADED_WITHIN_S", 0.05)
    house.wire.add_room(told_count=1)
    house.wire.faults.always("members", TransientFailure("504"))
    house.wire.say("hello")
    await house.sync()
    await until(lambda: not house.invites.is_busy)
    assert "members" in house.wire.faults.requests
    assert not house.wire.leaves


async def test_a_room_whose_last_member_leaves_during_the_welcome_is_left(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.wire.invite(NEW, ALICE)
    with house.wire.faults.holding("send"):
        await house.sync()
        await house.joined()
        await until(lambda: house.wire.faults.waiting("send"))
        del house.wire.rooms[NEW].members[ALICE]
        house.wire.say("bye", room_id=NEW)
        await house.sync()
    await until(lambda: house.wire.leaves == [NEW])


async def test_the_welcome_is_for_who_is_there_when_it_is_said(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GREETING_DELAY_S", 0.1)
    house.wire.invite(NEW, ALICE, direct=True, encrypted=True)
    await house.sync()
    await house.joined()
    house.wire.rooms[NEW].members["@ben:home.example"] = "join"
    await until(house.said)
    assert "Mention me" in house.said()[0]


async def test_where_we_may_not_write_there_is_no_welcome(house: House) -> None:
    house.wire.invite(NEW, ALICE, writing_power=50)
    await house.sync()
    await house.joined()
    await until(lambda: not house.marks.saved.welcomes)
    assert "send" not in house.wire.faults.requests


async def test_an_invitation_to_a_space_is_declined_with_the_reason(house: House) -> None:
    house.wire.invite(NEW, ALICE, is_space=True)
    await house.sync()
    await until(lambda: house.wire.leaves == [NEW])
    assert not house.wire.joins
    assert house.wire.leave_reasons == ["it is a space, where nobody writes"]


async def test_a_space_that_an_invitation_did_not_show_as_one_is_left(house: House) -> None:
    house.wire.invite(NEW, ALICE)
    house.wire.rooms[NEW].is_space = True
    await house.sync()
    await house.joined()
    await until(lambda: house.wire.leaves == [NEW])
    assert not house.said()


async def test_strangers_are_not_told_why_they_are_declined(house: House) -> None:
    house.wire.invite(NEW, STRANGER)
    await house.sync()
    await until(lambda: house.wire.leaves == [NEW])
    assert house.wire.leave_reasons == [""]


async def test_that_a_room_has_a_new_id_is_told_to_the_admins_and_logged(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.settings = MatrixSettings(admin_users=frozenset({ALICE, STRANGER})).with_replaced_rooms({})
    await house.restart()
    await Upgrade(house).happens()
    await until(house.said)
    (told,) = house.wire.sent
    assert told.room_id == ROOM  # where the admin has a direct chat with us, in these tests
    assert f"matrix:{ROOM}" in told.content["body"] and f"matrix:{NEW}" in told.content["body"]
    (logged,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert f"matrix:{NEW}" in logged
