"""Keys that are out of step with a real homeserver or with a real client come right again by themselves."""

import logging
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from adapters.matrix.crypto import store
from deploy.dev.element import Peer
from deploy.dev.homeserver import Account, SynapseServer
from tests.fakes.wire_rooms import text
from tests.integration.matrix.test_matrix_client import ENCRYPTION, MESSAGE, Device, hears, room_of

Start = Callable[..., Awaitable[Device]]
EnterEncrypted = Callable[..., Awaitable[Peer]]


@pytest.fixture
async def start(homeserver: SynapseServer, tmp_path: Path) -> AsyncIterator[Start]:
    """`await start(account)`: a device whose keys are on the server."""
    devices: list[Device] = []

    async def begin(account: Account) -> Device:
        devices.append(Device(homeserver.url, account, tmp_path / account.device_id))
        await devices[-1].client.publish_keys()
        return devices[-1]

    yield begin
    for device in devices:
        await device.client.close()


async def back_up(device: Device) -> Path:
    """A copy of the key store, as a backup of the folder has it."""
    await device.client.close()
    saved = device.folder.with_suffix(".backup")
    shutil.copy(device.folder / store.FILE_NAME, saved)
    await device.restart()
    return saved


async def put_back(device: Device, saved: Path) -> None:
    """Put the copy back and start with it."""
    await device.client.close()
    for ending in ("", "-wal", "-shm"):
        (device.folder / (store.FILE_NAME + ending)).unlink(missing_ok=True)
    shutil.copy(saved, device.folder / store.FILE_NAME)
    await device.restart()


async def use_up(bot: Device, other: Device, count: int) -> None:
    """Another device claims one-time keys."""
    body = {"one_time_keys": {bot.account.user_id: {bot.account.device_id: "signed_curve25519"}}}
    for _ in range(count):
        await other.client.call_api("POST", "/v3/keys/claim", body)


async def test_after_a_restored_backup_the_keys_are_replaced_and_every_new_device_is_understood(
    homeserver: SynapseServer, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    account = await homeserver.register("ana")
    bot, ana = await start(await homeserver.register("bot")), await start(account)
    room = await room_of(bot.client, ana.client, ENCRYPTION)
    token = (await bot.client.sync("", 0.001)).token
    saved = await back_up(bot)
    await use_up(bot, ana, 30)
    token = (await bot.client.sync(token, 0.002)).token
    await put_back(bot, saved)
    await use_up(bot, ana, 30)
    caplog.clear()
    for number in (4, 5, 6):
        token = (await bot.client.sync(token, number / 1000)).token
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warnings) == 1, warnings
    assert "Replaced" in warnings[0]
    for number in range(3):
        phone = await start(await homeserver.log_in(account))
        await phone.client.sync("", number / 1000)
        await phone.client.send(room, MESSAGE, text(f"from phone {number}"), f"p{number}")
        heard, token = await hears(bot.client, token, room)
        assert [event.content.get("body") for event in heard] == [f"from phone {number}"]


async def test_a_device_that_was_given_a_key_lost_with_the_backup_is_understood_from_its_second_message_on(
    homeserver: SynapseServer, start: Start
) -> None:
    account = await homeserver.register("ana")
    bot, ana = await start(await homeserver.register("bot")), await start(account)
    room = await room_of(bot.client, ana.client, ENCRYPTION)
    token = (await bot.client.sync("", 0.001)).token
    saved = await back_up(bot)
    await use_up(bot, ana, 30)
    token = (await bot.client.sync(token, 0.002)).token
    await put_back(bot, saved)
    # The server gives out the oldest first: now those that the backup does not know. There are enough of them.
    await use_up(bot, ana, 20)
    phone = await start(await homeserver.log_in(account))
    phone_token = (await phone.client.sync("", 0.003)).token
    await phone.client.send(room, MESSAGE, text("one"), "1")
    heard, token = await hears(bot.client, token, room)
    assert [event.type for event in heard] == ["m.room.encrypted"]
    await phone.client.sync(phone_token, 5)
    await phone.client.send(room, MESSAGE, text("two"), "2")
    heard, token = await hears(bot.client, token, room)
    assert [event.content.get("body") for event in heard] == ["two"]


async def test_a_client_that_renewed_its_session_gets_the_rooms_key_again(
    homeserver: SynapseServer, start: Start
) -> None:
    bot, ana = await start(await homeserver.register("bot")), await start(await homeserver.register("ana"))
    room = await room_of(bot.client, ana.client, ENCRYPTION)
    bot_token = (await bot.client.sync("", 0.001)).token
    token = (await ana.client.sync("", 0.001)).token
    first = await bot.client.send(room, MESSAGE, text("one"), "1")
    # The message with the key reaches a client that loses it.
    lost = await ana.client.call_api("GET", "/v3/sync", query=[("since", token), ("timeout", "5000")])
    token = str(lost["next_batch"])
    assert (await ana.client.get_event(room, first)).session_id
    keys, machine = ana.client._key_manager, ana.client._machine
    await keys.ensure_sessions({bot.account.user_id})
    machine.wedged_devices.append(machine.device_store[bot.account.user_id][bot.account.device_id])
    await keys.run_pending()
    await bot.client.sync(bot_token, 5)
    await bot.client.send(room, MESSAGE, text("two"), "2")
    heard, token = await hears(ana.client, token, room)
    assert [event.content.get("body") for event in heard] == ["two"]


async def test_a_device_that_was_added_to_an_account_reads_nothing_and_its_client_says_why(
    homeserver: SynapseServer, start: Start, enter_encrypted: EnterEncrypted
) -> None:
    bot = await start(await homeserver.register("bot"))
    ana = await enter_encrypted(homeserver, "ana", isolated=False)
    added = await Peer.enter(homeserver.url, await homeserver.log_in(ana.account), isolated=False, signed=False)
    try:
        room = await ana.direct(bot.account.user_id, encrypted=True)
        await bot.client.join_room(room)
        await bot.client.sync("", 0.001)
        for person in (ana, added):
            await person.until(lambda person=person: person.members.get(room, {}).get(bot.account.user_id) == "join")  # type: ignore[misc]
        sent = await bot.client.send(room, MESSAGE, text("the drive is on shelf Heron"), "1")
        shown = await ana.shown(room, lambda shown: shown.event_id == sent)
        assert shown.body == "the drive is on shelf Heron"
        withheld = await added.wait_for(
            lambda event: event.get("event_id") == sent and "WITHHELD" in event["decryption"]["failure"]
        )
        assert withheld["decryption"]["failure"] == "MEGOLM_KEY_WITHHELD_FOR_UNVERIFIED_DEVICE"
    finally:
        await added.close()
