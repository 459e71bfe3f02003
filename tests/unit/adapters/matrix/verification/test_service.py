"""Verifications as they come in: from admins between devices and in rooms, and from strangers, who get nowhere."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.delivery.errors import RateLimited, TransientFailure
from adapters.matrix.account.cross_signing import SigningStatus
from adapters.matrix.account.identity import IdentityFile
from adapters.matrix.account.identity_service import IdentityService
from adapters.matrix.events import Event, Json, ToDevice
from adapters.matrix.homeserver import LoggedOut, RequestRefused
from adapters.matrix.verification import sender as verification_post
from adapters.matrix.verification.registry import MAX_ENDED, MAX_OPEN, MAX_OPEN_PER_USER
from adapters.matrix.verification.service import (
    DECLINE_INTERVAL_S,
    DECLINES_PER_INTERVAL,
    MAX_QUEUED_STEPS,
    VerificationService,
)
from tests.fakes.asking_side import ADA, DEVICE, START, VerifyingClient
from tests.fakes.key_server import DeviceKeys
from tests.fakes.wire import FakeHomeserver

ROOM, DM = "!hall:home", "!ada:home"
PREFIX = "m.key.verification."
ADMINS = [ADA, *(f"@admin{number}:home" for number in range(9))]
HOSTILE: list[Any] = [{}, {"a": []}, {"transaction_id": 7}, {"transaction_id": "t", "from_device": ["x"]}]


class DeskWire(FakeHomeserver):
    """Answers queries of keys with `served`; `posts` lists what was sent to devices: user, device, kind, content."""

    def __init__(self) -> None:
        super().__init__()
        self.served: dict[str, Any] = {}
        self.posts: list[tuple[str, str, str, Json]] = []
        self.post_ids: list[str] = []

    async def call_api(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        query: Sequence[tuple[str, str]] = (),
        *,
        timeout_s: float | None = None,
    ) -> dict[str, Any]:
        await self.faults.before("call")
        if path == "/v3/keys/query":
            return self.served
        *_, kind, tx_id = path.split("/")
        assert (method, path) == ("PUT", f"/v3/sendToDevice/{kind}/{tx_id}")
        self.post_ids.append(tx_id)
        for user_id, devices in (body or {})["messages"].items():
            for device_id, content in devices.items():
                self.posts.append((user_id, device_id, kind.removeprefix(PREFIX), content))
        return {}


class House:
    """The bot's desk, and Ada who asks it."""

    def __init__(self, wire: DeskWire, own: IdentityService, desk: VerificationService, keys: DeviceKeys) -> None:
        self.wire, self.own, self.desk, self.keys = wire, own, desk, keys
        self.ages = 0

    def ada(self, transaction: str = "t1") -> VerifyingClient:
        ada = VerifyingClient(self.wire.user_id, self.wire.device_id, transaction, {"transaction_id": transaction})
        self.wire.served = ada.served()
        return ada

    def ada_in_room(self, event: Event) -> VerifyingClient:
        mark = {"m.relates_to": {"rel_type": "m.reference", "event_id": event.event_id}}
        ada = VerifyingClient(self.wire.user_id, self.wire.device_id, event.event_id, mark)
        self.wire.served = ada.served()
        return ada

    async def tell(self, kind: str, content: Json, sender: str = ADA) -> list[tuple[str, Json]]:
        """A message to the device; what it sent to devices in answer."""
        before = len(self.wire.posts)
        await self.desk.take_to_device(ToDevice(sender, PREFIX + kind, content))
        await self.desk.wait_idle()
        assert all(post[0] == sender for post in self.wire.posts[before:])
        return [(kind, content) for _, _, kind, content in self.wire.posts[before:]]

    async def say(self, kind: str, content: Json, sender: str = ADA, room_id: str = ROOM) -> list[tuple[str, Json]]:
        """An event in a room; what was sent into it in answer."""
        before = len(self.wire.sent)
        assert await self.desk.take_room_event(self.wire.post(room_id, sender, kind, content))
        await self.desk.wait_idle()
        return [(sent.kind.removeprefix(PREFIX), sent.content) for sent in self.wire.sent[before:]]

    def ask_in_room(self, sender: str = ADA, age_ms: int = 0, **other: Any) -> Event:
        content = {
            "msgtype": f"{PREFIX}request",
            "body": "verify",
            "to": self.wire.user_id,
            "from_device": DEVICE,
            "methods": ["m.sas.v1"],
            **other,
        }
        return self.wire.post(ROOM, sender, "m.room.message", content, age_ms=age_ms)

    async def asked_in_room(self, event: Event) -> list[tuple[str, Json]]:
        before = len(self.wire.sent)
        assert await self.desk.take_room_event(event)
        await self.desk.wait_idle()
        return [(sent.kind.removeprefix(PREFIX), sent.content) for sent in self.wire.sent[before:]]

    @property
    def known(self) -> dict[str, str]:
        """The bot's keys as the homeserver has them."""
        master = self.own.identity.master
        return {f"ed25519:{self.wire.device_id}": self.keys.fingerprint, master.key_id: master.public_key}

    @property
    def verifiers(self) -> list[str]:
        return [each.user_id for each in self.own.verifiers]


@pytest.fixture
async def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    monkeypatch.setattr(verification_post, "FIRST_PAUSE_S", 0.0)
    wire, keys = DeskWire(), DeviceKeys()
    wire.add_room(ROOM, ADA, *ADMINS)
    wire.add_room(DM, ADA)
    own = await IdentityService.open(wire, keys, IdentityFile(tmp_path, wire.user_id, bytes(32)))
    own.status = SigningStatus("signed")
    desk = VerificationService(wire, keys, own, ADMINS, direct_room=lambda user_id: DM if user_id == ADA else "")
    yield House(wire, own, desk, keys)
    await desk.close()


async def verify(house: House, ada: VerifyingClient, step: Any) -> list[tuple[str, Json]]:
    """All steps after the request; what came after the MACs."""
    ((_, accept),) = await step("start", ada.start())
    ada.accepted(accept)
    keyed = await step("key", ada.key())
    ada.keyed(keyed[0][1])
    return list(await step("mac", ada.mac()))


async def test_an_admin_verifies_between_devices_and_is_remembered(house: House, caplog: Any) -> None:
    caplog.set_level(logging.INFO)
    ada = house.ada()
    assert await house.tell("request", ada.request()) == [
        ("ready", {"from_device": house.wire.device_id, "methods": ["m.sas.v1"], "transaction_id": "t1"})
    ]
    (_, mac), (done, content) = await verify(house, ada, house.tell)
    assert ada.confirmed(mac, house.known) == set(house.known)
    assert (done, content) == ("done", {"transaction_id": "t1"})
    assert house.verifiers == []
    assert await house.tell("done", ada.done()) == []
    assert house.verifiers == [ADA]
    assert house.desk.open_count == 0
    assert {device_id for _, device_id, _, _ in house.wire.posts} == {DEVICE}
    assert len(set(house.wire.post_ids)) == len(house.wire.posts) == 5
    numbers = " ".join(str(number) for number in ada.decimals)
    assert numbers in caplog.text
    (notice,) = house.wire.sent
    assert (notice.room_id, notice.kind, notice.content["msgtype"]) == (DM, "m.room.message", "m.notice")
    assert numbers in notice.content["body"]
    assert notice.content["m.mentions"] == {}


async def test_an_admin_verifies_in_a_room_where_the_emoji_are_shown(house: House) -> None:
    event = house.ask_in_room()
    ada = house.ada_in_room(event)
    ((kind, ready),) = await house.asked_in_room(event)
    assert (kind, ready["m.relates_to"]) == ("ready", {"rel_type": "m.reference", "event_id": event.event_id})
    assert "transaction_id" not in ready

    async def step(kind: str, content: Json) -> list[tuple[str, Json]]:
        return await house.say(PREFIX + kind, content)

    (_, mac), (done, _) = await verify(house, ada, step)
    assert ada.confirmed(mac, house.known) == set(house.known)
    assert done == "done"
    assert await step("done", ada.done()) == []
    assert house.verifiers == [ADA]
    notices = [sent.content["body"] for sent in house.wire.sent if sent.kind == "m.room.message"]
    assert len(notices) == 1
    assert " ".join(str(number) for number in ada.decimals) in notices[0]
    assert house.wire.posts == []


async def test_a_verification_may_begin_with_start_between_devices(house: House) -> None:
    ada = house.ada()
    after = await verify(house, ada, house.tell)
    assert [kind for kind, _ in after] == ["mac"]
    assert house.verifiers == [ADA]


async def test_the_master_key_is_vouched_for_only_while_the_server_shows_it(house: House) -> None:
    house.own.status = SigningStatus("foreign_keys")
    ada = house.ada()
    await house.tell("request", ada.request())
    (_, mac), _ = await verify(house, ada, house.tell)
    assert ada.confirmed(mac, house.known) == {f"ed25519:{house.wire.device_id}"}


async def test_other_events_of_rooms_are_none_of_its_business(house: House) -> None:
    house.wire.post(ROOM, ADA, "m.room.message", {"msgtype": "m.text", "body": "hello"})
    for content in ({"msgtype": "m.text", "body": "x"}, {"msgtype": ["m.key.verification.request"]}, {}):
        assert not await house.desk.take_room_event(Event(ROOM, "$x", ADA, "m.room.message", content))


@pytest.mark.parametrize("kind", ["request", "ready", "start", "accept", "key", "mac", "done", "cancel", "x", ""])
async def test_strangers_get_nowhere_and_nothing_grows(house: House, kind: str) -> None:
    ada = house.ada()
    stranger = "@eve:elsewhere"
    for number in range(300):
        whole = {**START, **ada.request(), "transaction_id": f"t{number}", "key": ada.public, "mac": {}, "keys": "x"}
        for content in (whole, *HOSTILE):
            await house.desk.take_to_device(ToDevice(stranger, PREFIX + kind, content))
        relation = {"m.relates_to": {"rel_type": "m.reference", "event_id": f"$e{number}"}}
        event = Event(ROOM, f"$x{number}", stranger, PREFIX + kind, {**whole, **relation})
        assert await house.desk.take_room_event(event)
    await house.desk.wait_idle()
    assert house.desk.open_count == 0
    assert house.verifiers == []
    assert house.wire.sent == []
    # One request is declined, so that a guest's client need not wait; the rest of the flood is left alone.
    assert [post[2] for post in house.wire.posts] == (["cancel"] if kind == "request" else [])


async def test_a_request_in_a_room_by_somebody_else_is_declined_there_with_one_sentence(house: House) -> None:
    (kind, content), (said, sentence) = await house.asked_in_room(house.ask_in_room("@guest:home"))
    assert (kind, content["code"]) == ("cancel", "m.user")
    assert (said, sentence["msgtype"]) == ("m.room.message", "m.notice")
    assert "only the admins" in sentence["body"]
    assert await house.asked_in_room(house.ask_in_room("@guest:home")) == []


async def test_each_person_who_is_no_admin_gets_an_answer_of_their_own(house: House) -> None:
    now_s = [0.0]
    house.desk = VerificationService(house.wire, house.keys, house.own, ADMINS, clock=lambda: now_s[0])
    for guest in ("@guest:home", "@other:home"):
        assert [kind for kind, _ in await house.asked_in_room(house.ask_in_room(guest))] == ["cancel", "m.room.message"]
    now_s[0] = DECLINE_INTERVAL_S
    # The sentence was said today; the request is declined all the same.
    assert [kind for kind, _ in await house.asked_in_room(house.ask_in_room("@guest:home"))] == ["cancel"]


async def test_between_devices_the_sentence_is_said_in_the_direct_chat(house: House) -> None:
    guest = "@guest:home"
    house.wire.add_room("!guest:home", guest)
    house.desk = VerificationService(
        house.wire, house.keys, house.own, ADMINS, direct_room=lambda user_id: "!guest:home"
    )
    assert [kind for kind, _ in await house.tell("request", house.ada().request(), guest)] == ["cancel"]
    (sentence,) = house.wire.sent
    assert (sentence.room_id, "only the admins" in sentence.content["body"]) == ("!guest:home", True)


async def test_a_crowd_that_wants_to_verify_costs_little(house: House) -> None:
    for number in range(200):
        await house.desk.take_to_device(
            ToDevice(f"@{number}:away", f"{PREFIX}request", house.ada(f"t{number}").request())
        )
    await house.desk.wait_idle()
    assert len(house.wire.posts) == DECLINES_PER_INTERVAL


async def test_a_sentence_that_could_not_be_said_is_said_the_next_time(house: House) -> None:
    now_s = [0.0]
    house.desk = VerificationService(house.wire, house.keys, house.own, ADMINS, clock=lambda: now_s[0])
    for error in (LoggedOut(soft=False), RequestRefused(403, "M_FORBIDDEN", {})):
        house.wire.faults.always("send", error)
        await house.asked_in_room(house.ask_in_room("@guest:home"))
        house.wire.faults.always("send", None)
        now_s[0] += DECLINE_INTERVAL_S
    said = await house.asked_in_room(house.ask_in_room("@guest:home"))
    assert [kind for kind, _ in said] == ["cancel", "m.room.message"]


async def test_what_strangers_send_does_not_disturb_an_admins_verification(house: House) -> None:
    ada = house.ada()
    await house.tell("request", ada.request())
    for kind in ("start", "key", "mac", "done", "cancel"):
        assert await house.tell(kind, {**ada.mark, **START, "from_device": DEVICE}, "@eve:elsewhere") == []
    (_, _), (done, _) = await verify(house, ada, house.tell)
    assert done == "done"


@pytest.mark.parametrize("content", [*HOSTILE, {"transaction_id": "x" * 256}, {"transaction_id": "a\nb"}])
@pytest.mark.parametrize("kind", ["request", "start", "key", "mac", "done", "cancel"])
async def test_malformed_messages_of_an_admin_open_nothing(house: House, kind: str, content: Any) -> None:
    answers = await house.tell(kind, content)
    assert [answer for answer, _ in answers] in ([], ["cancel"])
    assert house.desk.open_count == 0


@pytest.mark.parametrize("methods", [["m.qr_code.scan.v1"], None, "m.sas.v1", {"m.sas.v1": 1}])
async def test_a_request_without_emoji_is_declined(house: House, methods: Any) -> None:
    ((kind, content),) = await house.tell("request", house.ada().request(methods=methods))
    assert (kind, content["code"]) == ("cancel", "m.unknown_method")
    assert house.desk.open_count == 0


async def test_a_step_of_an_unknown_verification_is_told_so_between_devices_only(house: House) -> None:
    ((kind, content),) = await house.tell("key", house.ada().key())
    assert (kind, content["code"]) == ("cancel", "m.unknown_transaction")
    assert [post[1] for post in house.wire.posts] == ["*"]
    assert await house.tell("done", house.ada("t2").done()) == []
    relation = {"m.relates_to": {"rel_type": "m.reference", "event_id": "$other"}}
    assert await house.say(f"{PREFIX}key", {"key": "x", **relation}) == []


@pytest.mark.parametrize(
    "other", [{"to": "@ben:home"}, {"to": None}, {"from_device": None}, {"from_device": 7}, {"from_device": "x" * 300}]
)
async def test_requests_to_others_and_broken_ones_in_rooms_are_left_alone(house: House, other: dict[str, Any]) -> None:
    assert await house.asked_in_room(house.ask_in_room(**other)) == []
    assert house.desk.open_count == 0


async def test_an_old_request_and_what_we_said_ourselves_open_nothing(house: House) -> None:
    assert await house.asked_in_room(house.ask_in_room(age_ms=600_001)) == []
    assert await house.asked_in_room(house.ask_in_room(house.wire.user_id)) == []
    assert [kind for kind, _ in await house.asked_in_room(house.ask_in_room(age_ms=599_000))] == ["ready"]


async def test_a_repeated_request_is_answered_once_also_when_all_is_over(house: House) -> None:
    event = house.ask_in_room()
    assert [kind for kind, _ in await house.asked_in_room(event)] == ["ready"]
    ada = house.ada_in_room(event)
    assert await house.say(f"{PREFIX}cancel", {"code": "m.user", **ada.mark}) == []
    assert house.desk.open_count == 0
    assert await house.asked_in_room(event) == []
    assert house.desk.open_count == 0


async def test_a_verification_ends_by_itself_after_its_time(house: House, tmp_path: Path) -> None:
    desk = VerificationService(house.wire, house.keys, house.own, ADMINS, timeout_s=0.02)
    await desk.take_to_device(ToDevice(ADA, f"{PREFIX}request", house.ada().request()))
    await desk.wait_idle()
    assert desk.open_count == 1
    async with asyncio.timeout(60):
        while desk.open_count:
            await asyncio.sleep(0.01)
    await desk.wait_idle()
    assert house.wire.posts[-1][2:] == ("cancel", house.wire.posts[-1][3])
    assert house.wire.posts[-1][3]["code"] == "m.timeout"
    await desk.close()


async def test_ones_newest_requests_count_and_all_together_are_bounded(house: House) -> None:
    for number in range(MAX_OPEN_PER_USER + 3):
        await house.tell("request", house.ada(f"t{number}").request())
    assert house.desk.open_count == MAX_OPEN_PER_USER
    cancelled = [content["transaction_id"] for _, _, kind, content in house.wire.posts if kind == "cancel"]
    assert cancelled == ["t0", "t1", "t2"]
    for admin in ADMINS[1:]:
        await house.tell("request", house.ada(f"of {admin}").request(), admin)
    assert house.desk.open_count == MAX_OPEN
    assert (await house.tell("request", house.ada("last").request(), ADMINS[-1]))[0][0] == "cancel"


async def test_a_flood_of_steps_is_cut_and_what_is_over_is_forgotten_some_day(house: House) -> None:
    with house.wire.faults.holding("call"):
        for number in range(MAX_QUEUED_STEPS * 3):
            await house.desk.take_to_device(ToDevice(ADA, f"{PREFIX}key", house.ada(f"t{number}").key()))
    await house.desk.wait_idle()
    assert len(house.wire.posts) <= MAX_QUEUED_STEPS + 1
    for number in range(MAX_ENDED * 2):
        await house.tell("key", house.ada(f"u{number}").key())
    assert (await house.tell("key", house.ada("u0").key()))[0][0] == "cancel"


async def test_a_server_that_is_away_for_a_moment_is_asked_again_with_the_same_id(house: House) -> None:
    house.wire.faults.fail("call", TransientFailure("status 502"), 2)
    ada = house.ada()
    assert [kind for kind, _ in await house.tell("request", ada.request())] == ["ready"]
    event = house.ask_in_room()
    house.wire.faults.lose("send", TransientFailure("lost"))
    house.wire.faults.fail("send", RateLimited(0.0))
    assert [kind for kind, _ in await house.asked_in_room(event)] == ["ready"]


@pytest.mark.parametrize(
    "error", [TransientFailure("status 502"), RequestRefused(403, "M_FORBIDDEN", {}), LoggedOut(soft=False)]
)
async def test_a_verification_that_cannot_be_answered_is_forgotten_and_the_desk_goes_on(
    house: House, error: Exception
) -> None:
    house.wire.faults.always("call", error)
    assert await house.tell("request", house.ada().request()) == []
    assert house.desk.open_count == 0
    house.wire.faults.always("call", None)
    assert [kind for kind, _ in await house.tell("request", house.ada("t2").request())] == ["ready"]


async def test_keys_that_cannot_be_asked_for_end_the_verification(house: House) -> None:
    ada = house.ada()
    await house.tell("request", ada.request())
    ((_, accept),) = await house.tell("start", ada.start())
    ada.accepted(accept)
    ((_, key), *_) = await house.tell("key", ada.key())
    ada.keyed(key)
    house.wire.faults.fail("call", RequestRefused(403, "M_FORBIDDEN", {}))
    ((kind, content),) = await house.tell("mac", ada.mac())
    assert (kind, content["code"]) == ("cancel", "m.user")
    assert house.verifiers == []
    assert house.desk.open_count == 0


async def test_a_notice_that_does_not_get_into_the_room_stops_nothing(house: House, caplog: Any) -> None:
    house.wire.faults.always("send", RequestRefused(403, "M_FORBIDDEN", {}))
    ada = house.ada()
    await house.tell("request", ada.request())
    (_, _), (done, _) = await verify(house, ada, house.tell)
    assert done == "done"
    assert "Could not post a sentence about a verification in the room" in caplog.text


async def test_a_full_disk_is_logged_and_the_person_still_counts(house: House, caplog: Any, tmp_path: Path) -> None:
    (tmp_path / "identity.json").unlink()
    (tmp_path / "identity.json").mkdir()
    await verify(house, house.ada(), house.tell)
    assert "Could not store that @ada:home verified Hearth" in caplog.text
    assert house.verifiers == [ADA]


async def test_turns_are_awaited_before_each_event_in_a_room(house: House) -> None:
    turns: list[int] = []

    async def turn() -> None:
        turns.append(len(house.wire.sent))

    house.desk = VerificationService(house.wire, house.keys, house.own, ADMINS, wait_for_turn=turn)
    await house.asked_in_room(house.ask_in_room())
    assert turns == [0]


async def test_closing_in_the_middle_leaves_nothing_behind(house: House) -> None:
    with house.wire.faults.holding("call"):
        await house.desk.take_to_device(ToDevice(ADA, f"{PREFIX}request", house.ada().request()))
        while not house.wire.faults.waiting("call"):
            await asyncio.sleep(0)
        await house.desk.close()
    assert house.desk.open_count == 0
    assert house.wire.posts == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=()), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
KINDS = st.sampled_from(["request", "ready", "start", "accept", "key", "mac", "done", "cancel", "", "x"])
FIELDS = st.sampled_from(
    ["transaction_id", "from_device", "methods", "key", "mac", "keys", "method", "to", "m.relates_to"]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.lists(st.tuples(KINDS, st.dictionaries(FIELDS, JSON), st.booleans(), st.booleans()), max_size=12))
async def test_whatever_an_admin_or_a_stranger_sends_the_desk_goes_on_and_stays_bounded(
    house: House, steps: list[tuple[str, dict[str, Any], bool, bool]]
) -> None:
    valid = house.ada("t").request()
    relation = {"m.relates_to": {"rel_type": "m.reference", "event_id": "$e"}}
    for number, (kind, content, is_admin, is_whole) in enumerate(steps):
        sender = ADA if is_admin else "@eve:elsewhere"
        whole = {**START, **valid, **relation, **content} if is_whole else content
        await house.desk.take_to_device(ToDevice(sender, PREFIX + kind, whole))
        await house.desk.take_room_event(Event(ROOM, f"$e{number}", sender, PREFIX + kind, whole))
        await house.desk.take_room_event(
            Event(ROOM, "$e", sender, "m.room.message", {**whole, "msgtype": f"{PREFIX}request"})
        )
    await house.desk.wait_idle()
    assert house.desk.open_count <= MAX_OPEN_PER_USER
    assert house.verifiers == []
    assert [kind for kind, _ in await house.tell("request", house.ada("after all").request())] in (
        ["ready"],
        ["cancel", "ready"],  # the oldest of her own makes room
    )
    await house.tell("cancel", {"transaction_id": "after all"})
    house.desk._registry._ended.clear()
