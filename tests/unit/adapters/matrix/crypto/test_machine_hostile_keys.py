"""Whatever others send to the device, nothing raises, nothing grows, and nobody is taken for somebody else."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.matrix.crypto import machine as machine_module
from adapters.matrix.crypto.machine import MAX_STRANGERS, SESSIONS_PER_DEVICE
from tests.fakes.key_exchange import ROOM, Device, KeyExchange

BOT, ANA, EVE = "@bot:home", "@ana:home", "@eve:home"
SAID = {"msgtype": "m.text", "body": "hello"}
KINDS = (
    "m.room.encrypted", "m.room_key", "m.room_key_request", "m.room_key.withheld", "m.forwarded_room_key", "m.dummy",
    "m.secret.request", "m.secret.send", "m.key.verification.request", "m.key.verification.ready",
    "m.key.verification.start", "m.key.verification.accept", "m.key.verification.key", "m.key.verification.mac",
    "m.key.verification.done", "m.key.verification.cancel",
)  # fmt: skip
NAMES = st.sampled_from([
    "algorithm", "sender_key", "ciphertext", "session_id", "room_id", "session_key", "action", "body", "request_id",
    "requesting_device_id", "transaction_id", "from_device", "method", "type", "content", "keys", "mac", "code",
])  # fmt: skip
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["m.olm.v1.curve25519-aes-sha2", "m.megolm.v1.aes-sha2", "A" * 43, "request", "\ud800", "!a:b"])
)
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=6), max_leaves=12
)


@pytest.fixture
def exchange() -> KeyExchange:
    return KeyExchange()


@pytest.fixture
def bot(exchange: KeyExchange, tmp_path: Path) -> Iterator[Device]:
    device = Device(exchange, tmp_path, BOT)
    yield device
    device.held.close()


@pytest.fixture
def ana(exchange: KeyExchange, tmp_path: Path) -> Iterator[Device]:
    device = Device(exchange, tmp_path, ANA)
    yield device
    device.held.close()


@pytest.fixture
def eve(exchange: KeyExchange, tmp_path: Path) -> Iterator[Device]:
    device = Device(exchange, tmp_path, EVE)
    yield device
    device.held.close()


def tell(bot: Device, kind: Any, content: Any, sender: Any = EVE) -> None:
    bot.exchange.inbox.setdefault((bot.user_id, bot.device_id), []).append(
        {"sender": sender, "type": kind, "content": content}
    )


def olm(bot: Device, body: Any, number: Any = 0, sender_key: Any = "A" * 43) -> dict[str, Any]:
    message = {bot.machine.sender_key: {"type": number, "body": body}}
    return {"algorithm": "m.olm.v1.curve25519-aes-sha2", "sender_key": sender_key, "ciphertext": message}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(KINDS), JSON, JSON)
def test_a_sync_of_anything_is_read(bot: Device, kind: str, content: Any, odd: Any) -> None:
    ours = bot.machine.sender_key
    more = olm(bot, content) | {"ciphertext": {ours: odd}}
    for said in (content, more, odd):
        tell(bot, kind, said)
        tell(bot, kind, said, sender=odd)
    timeline = {"timeline": {"events": [content, {"type": kind, "content": odd, "sender": EVE, "event_id": "$1"}]}}
    answer = bot.sync(rooms={"join": {"!r": timeline, "!odd": odd}, "invite": {"!i": odd}, "leave": {"!l": content}})
    assert asyncio.run(bot.reader.read_sync(answer)).token == "s1"
    bot.upkeep.apply_sync(
        {"device_lists": odd, "device_one_time_keys_count": content, "device_unused_fallback_key_types": odd}
    )
    assert not bot.machine.key_verifications and not bot.machine.received_key_requests


@pytest.mark.parametrize("body", ["", "A", "!!", "AwgA" * 20, "\ud800", None, 7, {}, ["A"], "A" * 100_000])
@pytest.mark.parametrize("number", [0, 1, 2, -1, 2**70, "0", None])
async def test_an_olm_message_of_rubbish_is_dropped(body: Any, number: Any, bot: Device) -> None:
    for sender_key in ("A" * 43, "", "?", None, 4, "\ud800"):
        tell(bot, "m.room.encrypted", olm(bot, body, number, sender_key))
    assert (await bot.reader.read_sync(bot.sync())).to_device == ()


async def test_nested_deeper_than_any_stack_is_dropped(bot: Device) -> None:
    deep: Any = {}
    for _ in range(100_000):
        deep = {"algorithm": deep}
    tell(bot, "m.room.encrypted", olm(bot, "A") | {"ciphertext": deep})
    assert (await bot.reader.read_sync(bot.sync())).to_device == ()


async def test_messages_of_made_up_senders_leave_nothing_behind(bot: Device) -> None:
    for number in range(300):
        tell(bot, "m.room.encrypted", olm(bot, "AwgA" * 20, 1, f"key{number}"), sender=f"@user{number}:away")
        tell(bot, "m.room_key_request", {"action": "request", "request_id": str(number), "requesting_device_id": "E"})
    await bot.receive()
    machine = bot.machine
    assert len(machine.session_store._entries) == 0
    assert len(machine.device_store._entries) <= 1
    assert not machine.outgoing_to_device_messages and not machine.wedged_devices
    assert not machine.received_key_requests and not machine.key_requests_waiting_for_session


async def test_a_key_that_is_gone_leads_to_a_new_session(bot: Device, ana: Device) -> None:
    await bot.upkeep.upload_keys()
    await ana.upkeep.upload_keys()
    await bot.sharing.encrypt_event(bot.room(ANA), "m.room.message", SAID)
    await ana.receive()
    [session] = bot.machine.session_store[ana.machine.sender_key]
    session.creation_time = session.creation_time.replace(year=2020)
    tell(bot, "m.room.encrypted", olm(bot, "AwgA" * 20, 1, ana.machine.sender_key), sender=ANA)
    await bot.receive()
    assert len(bot.machine.session_store[ana.machine.sender_key]) == 2
    await ana.receive()
    assert len(ana.machine.session_store[bot.machine.sender_key]) == 2


async def test_one_person_keeps_few_sessions_open(bot: Device, ana: Device) -> None:
    await bot.upkeep.upload_keys()
    await ana.upkeep.upload_keys()
    for _ in range(SESSIONS_PER_DEVICE + 4):
        ana.machine.session_store._entries.clear()
        ana.upkeep = type(ana.upkeep)(ana.machine, ana)
        ana.sharing.drop_session(ROOM)
        ana.sharing = type(ana.sharing)(ana.machine, ana, ana.upkeep)
        await ana.sharing.encrypt_event(ana.room(BOT), "m.room.message", SAID)
        await bot.receive()
    assert len(bot.machine.session_store[ana.machine.sender_key]) == SESSIONS_PER_DEVICE
    bot.restart()
    assert len(bot.machine.session_store[ana.machine.sender_key]) == SESSIONS_PER_DEVICE


async def test_strangers_keep_few_sessions_open(bot: Device, exchange: KeyExchange, tmp_path: Path) -> None:
    await bot.upkeep.upload_keys()
    stranger = Device(exchange, tmp_path, EVE)
    bot.machine._strangers.extend(f"made up {number}" for number in range(MAX_STRANGERS))
    await stranger.upkeep.upload_keys()
    await stranger.sharing.encrypt_event(stranger.room(BOT), "m.room.message", SAID)
    await bot.receive()
    assert len(bot.machine._strangers) == MAX_STRANGERS
    stranger.held.close()


async def test_keys_of_rooms_that_we_are_not_in_are_kept_up_to_a_number(
    bot: Device, eve: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine_module, "MAX_ROOMLESS_KEYS", 3)
    bot.machine.knows_room = lambda room_id: room_id == ROOM
    for device in (bot, eve):
        await device.upkeep.upload_keys()
    rooms = [ROOM, *(f"!{number}" for number in range(6))]
    contents = [await eve.sharing.encrypt_event(eve.room(BOT, room_id=room), "m.room.message", SAID) for room in rooms]
    await bot.receive()
    expected = [True, False, False, False, True, True, True]
    assert [bot.machine.has_room_key(content["session_id"]) for content in contents] == expected
    bot.restart()
    assert [bot.machine.has_room_key(content["session_id"]) for content in contents] == expected


async def test_a_member_cannot_write_under_another_name(bot: Device, ana: Device, eve: Device) -> None:
    for device in (bot, ana, eve):
        await device.upkeep.upload_keys()
    await bot.sharing.encrypt_event(bot.room(ANA, EVE), "m.room.message", SAID)
    content = await eve.sharing.encrypt_event(eve.room(BOT, ANA), "m.room.message", SAID)
    await bot.receive()
    forged, true = bot.read(ANA, content, "$1"), bot.read(EVE, content, "$2")
    assert forged and forged.session_id
    assert true and true.content == SAID
    forged = bot.read(BOT, content, "$3")
    assert forged and forged.session_id


async def test_a_device_that_claims_another_ones_key_cannot_write_for_it(bot: Device, ana: Device, eve: Device) -> None:
    for device in (bot, ana, eve):
        await device.upkeep.upload_keys()
    name = f"curve25519:{eve.device_id}"
    claimed = eve.machine._device_keys()
    claimed["keys"] |= {name: ana.machine.sender_key}
    bot.exchange.devices[EVE][eve.device_id] = eve.machine._with_signature(claimed)
    await bot.upkeep.ensure_sessions({ANA, EVE})
    content = await ana.sharing.encrypt_event(ana.room(BOT, EVE), "m.room.message", SAID)
    await bot.receive()
    forged, true = bot.read(EVE, content, "$1"), bot.read(ANA, content, "$2")
    assert forged and forged.session_id
    assert true and true.content == SAID


async def test_a_message_shown_again_as_another_is_not_read(bot: Device, ana: Device) -> None:
    for device in (bot, ana):
        await device.upkeep.upload_keys()
    content = await ana.sharing.encrypt_event(ana.room(BOT), "m.room.message", SAID)
    await bot.receive()
    first, again, same = (bot.read(ANA, content, name) for name in ("$1", "$2", "$1"))
    assert first and first.content == SAID
    assert again and again.session_id
    assert same and same.content == SAID


async def test_a_key_passed_on_by_others_changes_nothing(bot: Device, ana: Device, eve: Device) -> None:
    for device in (bot, ana, eve):
        await device.upkeep.upload_keys()
    early = await ana.sharing.encrypt_event(ana.room(BOT, EVE), "m.room.message", SAID)
    session = ana.machine.outbound_group_sessions[ROOM]
    later_key = session.session_key
    await bot.receive()
    await eve.receive()
    await eve.upkeep.ensure_sessions({BOT})
    device = eve.machine.device_store[BOT][bot.device_id]
    room_key = {
        "algorithm": "m.megolm.v1.aes-sha2", "room_id": ROOM, "session_id": session.id, "session_key": later_key
    }  # fmt: skip
    for kind, content in (("m.room_key", room_key), ("m.forwarded_room_key", room_key), ("m.room_key", {"room_id": 1})):
        [known] = eve.machine.session_store[device.curve25519]
        tell(bot, "m.room.encrypted", eve.machine._olm_encrypt(known, device, kind, content))
    await bot.receive()
    bot.restart()
    event = bot.read(ANA, early)
    assert event and event.content == SAID


async def test_one_users_broken_devices_hide_nobody_elses(bot: Device, ana: Device, exchange: KeyExchange) -> None:
    for device in (bot, ana):
        await device.upkeep.upload_keys()
    good = json.loads(json.dumps(exchange.devices[ANA][ana.device_id]))
    odd: list[Any] = [None, 7, [], {}, {"keys": []}, {"user_id": EVE, "device_id": "X", "keys": {"ed25519:X": 1}}]
    for part, value in (("keys", {"ed25519:X": "?", "curve25519:X": "?"}), ("signatures", {EVE: 7}), ("user_id", 7)):
        odd.append(good | {"device_id": "X", "user_id": EVE, part: value})
    exchange.devices[EVE] = {f"{number}": device for number, device in enumerate(odd)} | {"X": odd[-3]}
    exchange.devices[ANA]["broken"] = odd[-1]
    content = await bot.sharing.encrypt_event(bot.room(EVE, ANA), "m.room.message", SAID)
    await ana.receive()
    event = ana.read(BOT, content)
    assert event and event.content == SAID


async def test_a_fallback_key_serves_when_all_others_are_used_up(
    bot: Device, ana: Device, exchange: KeyExchange
) -> None:
    for device in (bot, ana):
        await device.upkeep.upload_keys()
    exchange.one_time[BOT, bot.device_id].clear()
    content = await ana.sharing.encrypt_event(ana.room(BOT), "m.room.message", SAID)
    await bot.receive(device_unused_fallback_key_types=[])
    event = bot.read(ANA, content)
    assert event and event.content == SAID
    assert len(exchange.one_time[BOT, bot.device_id]) == 50
    uploads = [body for path, body in exchange.bodies if path == "/v3/keys/upload" and "fallback_keys" in body]
    assert len(uploads) == 3


async def test_keys_whose_upload_failed_are_uploaded_again_not_made_anew(bot: Device, exchange: KeyExchange) -> None:
    exchange.faults.lose("upload", ConnectionError())
    with pytest.raises(ConnectionError):
        await bot.upkeep.upload_keys()
    bot.restart()
    await bot.upkeep.upload_keys()
    first, second = (body for path, body in exchange.bodies if path == "/v3/keys/upload")
    assert first == second
