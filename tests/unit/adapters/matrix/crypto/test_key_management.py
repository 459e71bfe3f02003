"""Keys are asked for until the server has answered, broken sessions are renewed, and one failure stops nothing else."""

import itertools
import logging
from typing import Any

import pytest

from adapters.delivery.errors import RateLimited, TransientFailure
from adapters.matrix.crypto.device_lists import STRANGERS_PER_HOUR
from adapters.matrix.events import Json
from adapters.matrix.homeserver import RequestRefused
from tests.fakes.key_exchange import SAID, Device, KeyExchange, Make

BOT, ANA, BEN = "@bot:home", "@ana:home", "@ben:away"
AWAY = TransientFailure("the homeserver answered with status 503")


@pytest.mark.parametrize("error", [AWAY, RateLimited(2.0), TransientFailure("lost")])
async def test_after_a_claim_that_failed_nothing_is_sent_and_the_next_try_claims_again(
    make: Make, exchange: KeyExchange, error: Exception
) -> None:
    bot, ana = await make(BOT), await make(ANA)
    exchange.faults.fail("claim", error)
    with pytest.raises(TransientFailure):
        await bot.say(ANA)
    assert await ana.reads(await bot.say(ANA))
    assert len(exchange.asked("claim")) == 2
    assert exchange.withheld() == []


async def test_a_claim_whose_answer_was_lost_costs_a_key_and_no_message(make: Make, exchange: KeyExchange) -> None:
    bot, ana = await make(BOT), await make(ANA)
    exchange.faults.lose("claim", AWAY)
    with pytest.raises(TransientFailure):
        await bot.say(ANA)
    assert await ana.reads(await bot.say(ANA))


async def test_a_device_without_keys_is_told_once_and_asked_for_again_after_growing_pauses(
    make: Make, exchange: KeyExchange
) -> None:
    bot, ana = await make(BOT), await make(ANA)
    empty = exchange.one_time.pop((ANA, ana.device_id)), exchange.fallback.pop((ANA, ana.device_id))
    times = []
    for _ in range(400):
        before = len(exchange.asked("claim"))
        content = await bot.say(ANA)
        if len(exchange.asked("claim")) > before:
            times.append(bot.now_s)
        bot.now_s += 1
    assert 10 <= times[1] - times[0] <= 30
    assert all(later > earlier for earlier, later in zip(gaps(times), gaps(times)[1:], strict=False))
    assert exchange.withheld() == [(ana.device_id, "m.no_olm")]
    [notice] = exchange.inbox[ANA, ana.device_id]
    assert not {"room_id", "session_id"} & notice["content"].keys()
    exchange.one_time[ANA, ana.device_id], exchange.fallback[ANA, ana.device_id] = empty
    bot.now_s += 1000
    content = await bot.say(ANA)
    assert await ana.reads(content)


def gaps(times: list[float]) -> list[float]:
    return [later - earlier for earlier, later in itertools.pairwise(times)]


async def test_a_notice_that_cannot_be_sent_delays_no_message_and_comes_with_the_next(
    make: Make, exchange: KeyExchange
) -> None:
    bot, ana = await make(BOT), await make(ANA)
    exchange.one_time.pop((ANA, ana.device_id))
    exchange.fallback.pop((ANA, ana.device_id))
    exchange.faults.fail("sendToDevice", AWAY)
    await bot.say(ANA)
    assert ANA not in {user for user, _ in exchange.inbox}
    await bot.say(ANA)
    assert [message["type"] for message in exchange.inbox[ANA, ana.device_id]] == ["m.room_key.withheld"]


async def test_a_broken_session_stays_marked_until_it_is_renewed(make: Make, exchange: KeyExchange) -> None:
    bot, ana = await make(BOT), await make(ANA)
    await bot.say(ANA)
    await ana.receive()
    break_session(bot, ana)
    for name in ("claim", "sendToDevice"):
        exchange.faults.fail(name, AWAY)
    for _ in range(4):
        await bot.receive()
    assert not bot.machine.wedged_devices
    assert not bot.machine.outgoing_to_device_messages
    await ana.receive()
    assert len(ana.machine.session_store[bot.machine.sender_key]) == 2


def break_session(bot: Device, ana: Device) -> None:
    """Ana's device sends what the bot's cannot decrypt; their session is an old one."""
    for session in bot.machine.session_store[ana.machine.sender_key]:
        session.creation_time = session.creation_time.replace(year=2020)
    bot.exchange.inbox.setdefault((BOT, bot.device_id), []).append(rubbish(bot, ana.user_id, ana.machine.sender_key))


def rubbish(bot: Device, sender: str, sender_key: str) -> dict[str, Any]:
    content = {
        "algorithm": "m.olm.v1.curve25519-aes-sha2",
        "sender_key": sender_key,
        "ciphertext": {bot.machine.sender_key: {"type": 1, "body": "AwgA" * 20}},
    }
    return {"sender": sender, "type": "m.room.encrypted", "content": content}


async def test_a_device_that_is_not_known_yet_is_queried_and_gets_a_new_session(
    make: Make, exchange: KeyExchange
) -> None:
    bot, ana = await make(BOT), await make(ANA)
    await ana.sharing.encrypt_event(ana.room(BOT), "m.room.message", SAID)
    exchange.inbox.clear()
    break_session(bot, ana)
    await bot.receive()
    await ana.receive()
    # Two sessions: the one that ana began, and the one that she was told of.
    assert len(ana.machine.session_store[bot.machine.sender_key]) == 2
    assert not bot.machine.unknown_senders


async def test_strangers_cannot_make_the_bot_query_without_end(make: Make, exchange: KeyExchange) -> None:
    bot = await make(BOT)
    for number in range(10):
        exchange.inbox[BOT, bot.device_id] = [
            rubbish(bot, f"@{number}.{index}:away", f"{index:043}") for index in range(100)
        ]
        await bot.receive()
    queried = {user for body in exchange.asked("query") for user in body["device_keys"]}
    assert len(queried) <= STRANGERS_PER_HOUR
    assert len(bot.machine.device_store._entries) <= 1


async def test_a_user_whose_server_did_not_answer_is_asked_again_after_growing_pauses_or_when_told_of_a_change(
    make: Make, exchange: KeyExchange
) -> None:
    bot, ben = await make(BOT), await make(BEN)
    exchange.absent.add(BEN)
    times = []
    for _ in range(400):
        before = len(exchange.asked("query"))
        await bot.say(BEN)
        if len(exchange.asked("query")) > before:
            times.append(bot.now_s)
        bot.now_s += 1
    assert 10 <= times[1] - times[0] <= 30
    assert all(later > earlier for earlier, later in zip(gaps(times), gaps(times)[1:], strict=False))
    exchange.absent.clear()
    bot.now_s = times[-1] + 30
    await bot.receive(device_lists={"changed": [BEN]})
    assert await ben.reads(await bot.say(BEN))


async def test_a_renewed_session_gets_the_rooms_key_again(make: Make, exchange: KeyExchange) -> None:
    bot, ana, ben = await make(BOT), await make(ANA), await make(BEN)
    first = await bot.say(ANA, BEN)
    del exchange.inbox[ANA, ana.device_id]  # the message with the key is lost
    assert not await ana.reads(first, "$1")
    # Her client begins a new session, and says so.
    await renew(ana, bot)
    await bot.receive()
    shared = len(exchange.inbox[BEN, ben.device_id])
    second = await bot.say(ANA, BEN)
    assert second["session_id"] == first["session_id"]
    assert await ana.reads(second, "$2")
    assert len(exchange.inbox[BEN, ben.device_id]) == shared


async def renew(ana: Device, bot: Device) -> None:
    """A new Olm session, and an empty message in it."""
    await ana.upkeep.devices.query_unknown([BOT])
    device = ana.machine.device_store[BOT][bot.device_id]
    claimed = ana.exchange.claim({"one_time_keys": {BOT: {bot.device_id: "signed_curve25519"}}})
    ana.machine.wedged_devices.append(device)
    assert ana.machine.begin_session(BOT, bot.device_id, claimed["one_time_keys"][BOT][bot.device_id])
    await ana.upkeep.run_pending()


async def test_a_session_renewed_while_a_key_is_being_sent_gets_it_again(make: Make, exchange: KeyExchange) -> None:
    bot, ana = await make(BOT), await make(ANA)
    await ana.upkeep.devices.query_unknown([BOT])
    send = bot.call_api

    async def renewing(method: str, path: str, body: Json | None = None, *more: Any, **other: Any) -> dict[str, Any]:
        answer = await send(method, path, body, *more, **other)
        if "sendToDevice" in path:
            bot.call_api = send  # type: ignore[method-assign]
            exchange.inbox.pop((ANA, ana.device_id))
            await renew(ana, bot)
            await bot.reader.read_sync(bot.sync())
        return answer

    bot.call_api = renewing  # type: ignore[method-assign]
    await bot.say(ANA)
    assert await ana.reads(await bot.say(ANA), "$2")


async def test_after_a_restored_backup_new_keys_are_uploaded_and_the_unknown_ones_taken_back(
    make: Make, exchange: KeyExchange, caplog: pytest.LogCaptureFixture
) -> None:
    bot, ana = await make(BOT), await make(ANA)
    await bot.say(ANA)
    await ana.receive()
    saved = bot.back_up()
    use_up(exchange, bot)
    await bot.receive()
    use_up(exchange, bot)
    bot.restore(saved)
    caplog.clear()
    for _ in range(3):
        await bot.receive(device_unused_fallback_key_types=["signed_curve25519"])
    assert len([record for record in caplog.records if record.levelno >= logging.WARNING]) == 1
    held = exchange.one_time[BOT, bot.device_id]
    assert len(held) == 50
    # Whatever key of ours a new device is given, the fallback key included, we can read what it sends.
    while len(held) > 3:
        held.popleft()
    for number in range(len(held) + 1):
        phone = await make(ANA, f"PHONE{number}")
        content = await phone.sharing.encrypt_event(phone.room(BOT), "m.room.message", SAID)
        exchange.faults.fail("upload", AWAY)
        await bot.receive()
        event = bot.read(ANA, content, f"${number}")
        assert event is not None
        assert event.content == SAID


async def test_after_a_restored_backup_a_conversation_goes_on_whose_key_came_after_it(
    make: Make, exchange: KeyExchange
) -> None:
    bot, ana = await make(BOT), await make(ANA)
    await bot.say(ANA)
    await ana.receive()
    saved = bot.back_up()
    before = await ana.say(BOT)
    assert await bot.reads(before, "$1", ANA)
    use_up(exchange, bot)
    await bot.receive()
    use_up(exchange, bot)
    bot.restore(saved)
    await bot.receive()
    await ana.receive()
    after = await ana.say(BOT)
    assert after["session_id"] == before["session_id"]
    assert await bot.reads(after, "$2", ANA)


def use_up(exchange: KeyExchange, device: Device) -> None:
    """Other devices claim half of a device's one-time keys."""
    keys = exchange.one_time[device.user_id, device.device_id]
    for _ in range(30):
        keys.popleft()


@pytest.mark.parametrize("name", ["upload", "query", "claim", "sendToDevice"])
@pytest.mark.parametrize("error", [AWAY, RequestRefused(400, "M_UNKNOWN", {}), ValueError("unforeseen")])
async def test_a_request_that_fails_for_good_stops_none_of_the_others_and_is_said_once(
    make: Make, exchange: KeyExchange, caplog: pytest.LogCaptureFixture, name: str, error: Exception
) -> None:
    bot, ana, ben = await make(BOT), await make(ANA), await make(BEN)
    await bot.say(ANA)
    await ana.receive()
    exchange.faults.always(name, error)
    exchange.bodies.clear()
    caplog.clear()
    for _ in range(3):
        use_up(exchange, bot) if len(exchange.one_time[BOT, bot.device_id]) > 30 else None
        bot.upkeep.mark_outdated(BEN)
        break_session(bot, ana)
        await bot.receive()
        bot.now_s += 2000
    for other in {"upload", "query", "claim"} - {name}:
        assert exchange.asked(other), other
    warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
    # A query or claim that is refused is an answer, as if the server knew no devices or had no keys.
    is_answer = name in ("query", "claim") and isinstance(error, RequestRefused)
    assert len(warnings) == (0 if is_answer else 1), [record.getMessage() for record in warnings]
    assert ben.device_id in bot.machine.device_store[BEN] or name == "query"


async def test_one_user_whom_the_server_refuses_costs_the_others_nothing(make: Make, exchange: KeyExchange) -> None:
    bot, ana, ben = await make(BOT), await make(ANA), await make(BEN)
    exchange.disliked.add(BEN)
    assert await ana.reads(await bot.say(ANA, BEN), "$1")
    exchange.disliked.clear()
    bot.now_s += 30
    await bot.upkeep.devices.query_unknown([BEN])
    exchange.disliked.add(BEN)
    phone = await make(ANA, "PHONE")
    await bot.receive(device_lists={"changed": [ANA]})
    assert await phone.reads(await bot.say(ANA, BEN), "$2")
    exchange.disliked.clear()
    bot.now_s += 30
    assert await ben.reads(await bot.say(ANA, BEN), "$3")
