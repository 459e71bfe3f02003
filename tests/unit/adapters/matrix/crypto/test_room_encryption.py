"""Keys reach whoever may read a room, and nobody else; senders that are cut off leave nothing half done."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.delivery.errors import TransientFailure
from tests.fakes.key_exchange import ROOM, Device, KeyExchange

BOT, ANA, BEN = "@bot:home", "@ana:home", "@ben:home"
SAID = {"msgtype": "m.text", "body": "the drive is on shelf Heron, hélas"}


@pytest.fixture
def exchange() -> KeyExchange:
    return KeyExchange()


@pytest.fixture
def devices(exchange: KeyExchange, tmp_path: Path) -> Iterator[list[Device]]:
    made = [Device(exchange, tmp_path, user) for user in (BOT, ANA, BEN)]
    yield made
    for device in made:
        device.held.close()


async def published(devices: list[Device]) -> list[Device]:
    for device in devices:
        await device.upkeep.upload_keys()
    return devices


async def test_what_is_encrypted_is_read_by_everybody_in_the_room(devices: list[Device]) -> None:
    bot, ana, ben = await published(devices)
    content = await bot.sharing.encrypt_event(bot.room(ANA, BEN), "m.room.message", SAID)
    assert "Heron" not in json.dumps(content)
    for reader in (ana, ben):
        await reader.receive()
        event = reader.read(BOT, content)
        assert event and (event.type, event.content, event.encrypted) == ("m.room.message", SAID, True)


async def test_a_device_that_starts_again_uploads_no_more_keys_until_the_server_asks_for_them(
    exchange: KeyExchange, devices: list[Device]
) -> None:
    bot, _, _ = await published(devices)
    held = exchange.one_time[BOT, bot.device_id]
    for _ in range(12):
        bot.restart()
        await bot.upkeep.upload_keys()
    assert len(held) == 50
    bot.upkeep.apply_sync({"device_one_time_keys_count": {"signed_curve25519": 20}})
    await bot.upkeep.upload_keys()
    assert len(held) == 80


async def test_letters_outside_of_ascii_do_not_swell(devices: list[Device]) -> None:
    bot, _, _ = await published(devices)
    body = {"body": "é" * 3000}
    content = await bot.sharing.encrypt_event(bot.room(ANA), "m.room.message", body)
    assert len(content["ciphertext"]) < 6000 * 4 / 3 + 500


async def test_half_a_surrogate_pair_is_sent_as_something(devices: list[Device]) -> None:
    bot, ana, _ = await published(devices)
    content = await bot.sharing.encrypt_event(bot.room(ANA), "m.room.message", {"body": "half \ud83d"})
    await ana.receive()
    event = ana.read(BOT, content)
    assert event and event.content["body"] == "half ?"


async def test_relations_stand_outside_of_the_ciphertext(devices: list[Device]) -> None:
    bot, _, _ = await published(devices)
    relation = {"rel_type": "m.replace", "event_id": "$first"}
    content = await bot.sharing.encrypt_event(bot.room(ANA), "m.room.message", {**SAID, "m.relates_to": relation})
    assert content["m.relates_to"] == relation


@pytest.mark.parametrize("change", ["joins", "leaves"])
async def test_a_new_session_begins_when_somebody(change: str, devices: list[Device]) -> None:
    bot, ana, ben = await published(devices)
    before, after = ((ANA,), (ANA, BEN)) if change == "joins" else ((ANA, BEN), (ANA,))
    first = await bot.sharing.encrypt_event(bot.room(*before), "m.room.message", SAID)
    second = await bot.sharing.encrypt_event(bot.room(*after), "m.room.message", SAID)
    assert first["session_id"] != second["session_id"]
    for reader in (ana, ben):
        await reader.receive()
    assert ana.machine.has_room_key(second["session_id"])
    knows = [ben.machine.has_room_key(content["session_id"]) for content in (first, second)]
    assert knows == ([False, True] if change == "joins" else [True, False])


async def test_a_session_is_kept_while_nobody_comes_or_goes(devices: list[Device], exchange: KeyExchange) -> None:
    bot, _, _ = await published(devices)
    contents = [await bot.sharing.encrypt_event(bot.room(ANA), "m.room.message", SAID) for _ in range(3)]
    assert len({content["session_id"] for content in contents}) == 1
    assert len([path for path, _ in exchange.bodies if "sendToDevice" in path]) == 1


async def test_a_session_is_renewed_when_it_has_served_as_often_as_the_room_says(devices: list[Device]) -> None:
    bot, _, _ = await published(devices)
    room = bot.room(ANA)
    room.rotation_messages = 2
    contents = [await bot.sharing.encrypt_event(room, "m.room.message", SAID) for _ in range(4)]
    sessions = [content["session_id"] for content in contents]
    assert sessions[0] == sessions[1] != sessions[2] == sessions[3]


async def test_a_new_device_gets_the_key_from_now_on(devices: list[Device], tmp_path: Path) -> None:
    bot, _, _ = await published(devices)
    first = await bot.sharing.encrypt_event(bot.room(ANA), "m.room.message", SAID)
    phone = Device(bot.exchange, tmp_path, ANA, "PHONE")
    await phone.upkeep.upload_keys()
    await bot.receive(device_lists={"changed": [ANA]})
    second = await bot.sharing.encrypt_event(bot.room(ANA), "m.room.message", SAID)
    await phone.receive()
    assert phone.read(BOT, second, "$2") and not phone.read(BOT, second, "$2").session_id  # type: ignore[union-attr]
    unread = phone.read(BOT, first, "$1")
    assert unread and unread.session_id
    phone.held.close()


async def test_a_device_that_is_gone_gets_no_further_key(devices: list[Device], exchange: KeyExchange) -> None:
    bot, ana, _ = await published(devices)
    await bot.sharing.encrypt_event(bot.room(ANA), "m.room.message", SAID)
    exchange.devices[ANA] = {}
    await bot.receive(device_lists={"changed": [ANA]})
    second = await bot.sharing.encrypt_event(bot.room(ANA), "m.room.message", SAID)
    await ana.receive()
    assert not ana.machine.has_room_key(second["session_id"])


async def test_a_sender_that_is_cut_off_while_keys_are_given_hinders_nobody(
    devices: list[Device], exchange: KeyExchange
) -> None:
    bot, ana, _ = await published(devices)
    with exchange.faults.holding("sendToDevice"):
        first = asyncio.create_task(bot.sharing.encrypt_event(bot.room(ANA), "m.room.message", SAID))
        others = [
            asyncio.create_task(bot.sharing.encrypt_event(bot.room(ANA), "m.room.message", SAID)) for _ in range(3)
        ]
        while not exchange.faults.waiting("sendToDevice"):
            await asyncio.sleep(0)
        first.cancel()
        await asyncio.wait([first])
        assert first.cancelled()
    contents = await asyncio.gather(*others)
    await ana.receive()
    events = [ana.read(BOT, content, f"${number}") for number, content in enumerate(contents)]
    assert [event.content if event else None for event in events] == [SAID] * 3


async def test_nothing_is_encrypted_before_the_keys_are_given(devices: list[Device], exchange: KeyExchange) -> None:
    bot, ana, _ = await published(devices)
    exchange.faults.fail("sendToDevice", TransientFailure("503"))
    with pytest.raises(TransientFailure):
        await bot.sharing.encrypt_event(bot.room(ANA), "m.room.message", SAID)
    content = await bot.sharing.encrypt_event(bot.room(ANA), "m.room.message", SAID)
    await ana.receive()
    event = ana.read(BOT, content)
    assert event and event.content == SAID


async def test_somebody_whose_server_is_away_holds_up_nobody(devices: list[Device], exchange: KeyExchange) -> None:
    bot, ana, _ = await published(devices)
    exchange.absent.add(BEN)
    for _ in range(3):
        content = await bot.sharing.encrypt_event(bot.room(ANA, BEN), "m.room.message", SAID)
    await ana.receive()
    assert ana.machine.has_room_key(content["session_id"])
    assert len([path for path, body in exchange.bodies if BEN in body.get("device_keys", {})]) == 1


async def test_a_device_that_had_no_key_to_give_is_not_taken_for_told(
    devices: list[Device], exchange: KeyExchange
) -> None:
    bot, ana, _ = await published(devices)
    keys, fallback = exchange.one_time.pop((ANA, ana.device_id)), exchange.fallback.pop((ANA, ana.device_id))
    await bot.sharing.encrypt_event(bot.room(ANA), "m.room.message", SAID)
    exchange.one_time[ANA, ana.device_id], exchange.fallback[ANA, ana.device_id] = keys, fallback
    bot.now_s += 30
    content = await bot.sharing.encrypt_event(bot.room(ANA), "m.room.message", SAID)
    await ana.receive()
    event = ana.read(BOT, content)
    assert event and event.content == SAID


async def test_a_key_that_comes_late_opens_what_came_before(devices: list[Device]) -> None:
    bot, ana, _ = await published(devices)
    content = await ana.sharing.encrypt_event(ana.room(BOT), "m.room.message", SAID)
    event = bot.read(ANA, content)
    assert event and (event.type, event.session_id) == ("m.room.encrypted", content["session_id"])
    news = await bot.reader.read_sync(bot.sync())
    [key] = news.to_device
    assert (key.type, key.content["session_id"], "session_key" in key.content) == (
        "m.room_key",
        event.session_id,
        False,
    )
    assert bot.reader.decrypt_event(event).content == SAID


async def test_a_restarted_device_reads_what_it_read_and_is_read(devices: list[Device]) -> None:
    bot, ana, _ = await published(devices)
    content = await ana.sharing.encrypt_event(ana.room(BOT), "m.room.message", SAID)
    await bot.receive()
    bot.restart()
    event = bot.read(ANA, content)
    assert event and event.content == SAID
    answer = await bot.sharing.encrypt_event(bot.room(ANA), "m.room.message", SAID)
    await ana.receive()
    read = ana.read(BOT, answer)
    assert read and read.content == SAID


async def test_a_room_that_was_left_is_forgotten(devices: list[Device]) -> None:
    bot, _, _ = await published(devices)
    first = await bot.sharing.encrypt_event(bot.room(ANA), "m.room.message", SAID)
    bot.sharing.drop_session(ROOM)
    second = await bot.sharing.encrypt_event(bot.room(ANA), "m.room.message", SAID)
    assert first["session_id"] != second["session_id"]
