"""Which devices get the keys: those that their owners have signed, and of too many the newest."""

from typing import Any

import pytest

from adapters.matrix.crypto.device_lists import MAX_DEVICES
from tests.fakes.key_exchange import SAID, Device, KeyExchange, Make

BOT, ANA = "@bot:home", "@ana:home"


async def test_of_too_many_devices_the_newest_get_the_key(make: Make, exchange: KeyExchange) -> None:
    bot, ana = await make(BOT), await make(ANA)
    copy_devices(exchange, ana, MAX_DEVICES - 1)
    await bot.upkeep.devices.query_unknown([ANA])
    assert len(list(bot.upkeep.devices.recipients([ANA]))) == MAX_DEVICES
    phone = await make(ANA, "PHONE")
    await bot.receive(device_lists={"changed": [ANA]})
    assert (ANA, "PHONE") in set(bot.upkeep.devices.recipients([ANA]))
    assert await phone.reads(await bot.say(ANA), "$1")
    # The oldest made room; when it writes, it is among the newest again.
    await bot.receive(device_lists={"changed": [ANA]})
    assert (ANA, ana.device_id) not in set(bot.upkeep.devices.recipients([ANA]))
    await ana.sharing.encrypt_event(ana.room(BOT), "m.room.message", SAID)
    await bot.receive(device_lists={"changed": [ANA]})
    assert await ana.reads(await bot.say(ANA), "$2")


def copy_devices(exchange: KeyExchange, device: Device, count: int) -> None:
    """More devices of a device's user, all with its keys."""
    for number in range(count):
        name = f"OLD{number:03}"
        keys = device.machine._device_keys()
        keys |= {"device_id": name, "keys": {
            f"curve25519:{name}": f"{number:03}" + "A" * 40, f"ed25519:{name}": device.machine.fingerprint,
        }}  # fmt: skip
        signature = device.machine.sign_json(keys)
        exchange.devices[device.user_id][name] = {
            **keys, "signatures": {device.user_id: {f"ed25519:{name}": signature}}
        }  # fmt: skip


async def test_a_device_that_its_owner_has_not_signed_gets_no_key_and_is_told_why(
    make: Make, exchange: KeyExchange
) -> None:
    bot, ana, added = await make(BOT), await make(ANA), await make(ANA, "ADDED")
    exchange.sign(ANA, ana.device_id)
    content = await bot.say(ANA)
    assert await ana.reads(content)
    assert not await added.reads(content)
    assert exchange.withheld() == [("ADDED", "m.unverified")]
    # Once its owner has verified it, it is like any other.
    exchange.sign(ANA, ana.device_id, "ADDED")
    await bot.receive(device_lists={"changed": [ANA]})
    assert await added.reads(await bot.say(ANA), "$2")
    # What it sends is read in either case: who may do what is vouched for by the homeserver.
    question = await added.sharing.encrypt_event(added.room(BOT), "m.room.message", SAID)
    await bot.receive()
    assert bot.read(ANA, question, "$3").content == SAID  # type: ignore[union-attr]


async def test_keys_to_sign_with_cannot_be_hidden_once_they_were_seen(
    make: Make, exchange: KeyExchange, caplog: pytest.LogCaptureFixture
) -> None:
    bot, ana, added = await make(BOT), await make(ANA), await make(ANA, "ADDED")
    exchange.sign(ANA, ana.device_id)
    await bot.say(ANA)
    del exchange.owners[ANA]
    bot.restart()
    content = await bot.say(ANA)
    assert await ana.reads(content, "$1")
    assert not await added.reads(content, "$1")
    exchange.sign(ANA, "ADDED", seed=2)
    await bot.receive(device_lists={"changed": [ANA]})
    assert "identity of @ana:home has changed" in caplog.text


@pytest.mark.parametrize("how", ["no keys", "switched off", "broken chain"])
async def test_all_devices_get_the_key_where_signatures_say_nothing(
    make: Make, exchange: KeyExchange, how: str
) -> None:
    bot, ana = await make(BOT, signed_devices_only=how != "switched off"), await make(ANA)
    if how != "no keys":
        exchange.sign(ANA)
    if how == "broken chain":
        exchange.owners[ANA]["self_signing_keys"]["signatures"] = {ANA: {}}
    assert await ana.reads(await bot.say(ANA))
    assert exchange.withheld() == []


@pytest.mark.parametrize("odd", [None, 7, [], {}, {"keys": 7}, {"keys": {"ed25519:A": "A"}, "signatures": 7}])
async def test_malformed_cross_signing_keys_hide_no_device(make: Make, exchange: KeyExchange, odd: Any) -> None:
    bot, ana = await make(BOT), await make(ANA)
    exchange.owners[ANA] = {"master_keys": odd, "self_signing_keys": odd}
    assert await ana.reads(await bot.say(ANA))
