"""Our client at a real homeserver: what survives a restart, what nobody may see, and what can go wrong in between."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from adapters.delivery.errors import RateLimited, TransientFailure
from adapters.matrix.client import MatrixClient
from adapters.matrix.credentials import Credentials, new_store_key
from adapters.matrix.crypto import store
from adapters.matrix.events import Event
from adapters.matrix.homeserver import LoggedOut, RequestRefused
from deploy.dev.homeserver import Account, SynapseServer
from tests.fakes.wire_rooms import text
from tests.homeserver import Capture

MESSAGE = "m.room.message"
ENCRYPTION = {"type": "m.room.encryption", "state_key": "", "content": {"algorithm": "m.megolm.v1.aes-sha2"}}
SECRET = "the drive is on shelf Heron"


class Device:
    """A device of somebody's account; `client` is its running process, so to speak."""

    def __init__(self, url: str, account: Account, folder: Path) -> None:
        self.account = account
        self.folder = folder
        self.credentials = Credentials(url, account.user_id, account.device_id, account.access_token, new_store_key())
        self.client = MatrixClient(self.credentials, store.create_store(folder, self.credentials), timeout_s=10)

    async def restart(self) -> None:
        """As after a crash: another client on the same store."""
        await self.client.close()
        self.client = MatrixClient.open(self.folder, self.credentials, timeout_s=10)


Start = Callable[..., Awaitable[Device]]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """`await start(server, "ana")`: a device whose keys are on the server."""
    devices: list[Device] = []

    async def begin(server: SynapseServer, name: str, url: str = "") -> Device:
        account = await server.register(name)
        devices.append(Device(url or server.url, account, tmp_path / name))
        await devices[-1].client.publish_keys()
        return devices[-1]

    yield begin
    for device in devices:
        await device.client.close()


async def room_of(bot: MatrixClient, ana: MatrixClient, *state: Any) -> str:
    """A room of both, of which both know."""
    body = {"preset": "trusted_private_chat", "invite": [bot.user_id], "is_direct": True, "initial_state": list(state)}
    room = str((await ana.call_api("POST", "/v3/createRoom", body))["room_id"])
    await bot.join_room(room)
    for client in (bot, ana):
        await client.sync("", 0)
    return room


async def hears(client: MatrixClient, token: str, room: str, count: int = 1) -> tuple[list[Event], str]:
    """What is said in a room after a token, once there is so much of it."""
    heard: list[Event] = []
    for _ in range(20):
        news = await client.sync(token, 2)
        token = news.token
        for timeline in news.joined:
            heard += [
                e for e in timeline.events if timeline.room_id == room and e.type in {MESSAGE, "m.room.encrypted"}
            ]
        if len(heard) >= count:
            break
    return heard, token


async def test_after_a_restart_it_reads_and_writes_as_before(homeserver: SynapseServer, start: Start) -> None:
    bot, ana = await start(homeserver, "bot"), await start(homeserver, "ana")
    room = await room_of(bot.client, ana.client, ENCRYPTION)
    token = (await bot.client.sync("", 0.001)).token
    first = await ana.client.send(room, MESSAGE, text("one"), "1")
    heard, token = await hears(bot.client, token, room)
    assert [event.content["body"] for event in heard] == ["one"]
    fingerprint = bot.client.fingerprint
    await bot.client.close()
    # Said while nobody is there; and a session that began before.
    await ana.client.send(room, MESSAGE, text("two"), "2")
    await bot.restart()
    assert bot.client.fingerprint == fingerprint
    assert bot.client.get_room(room) is None
    with pytest.raises(RequestRefused, match="HEARTH_UNKNOWN_ROOM"):
        await bot.client.send(room, MESSAGE, text(SECRET), "early")
    heard, token = await hears(bot.client, token, room)
    assert [(event.content["body"], event.encrypted) for event in heard] == [("two", True)]
    known = bot.client.get_room(room)
    assert known and (known.member_count, known.encrypted, known.is_direct) == (2, True, True)
    assert known.power_level(bot.client.user_id) > 0
    assert (await bot.client.get_event(room, first)).content["body"] == "one"
    ana_token = (await ana.client.sync("", 0.001)).token
    await bot.client.send(room, MESSAGE, text("answer"), "3")
    heard, _ = await hears(ana.client, ana_token, room)
    assert [event.content["body"] for event in heard] == ["answer"]


async def test_nothing_plain_leaves_for_an_encrypted_room_whatever_the_server_says(
    homeserver: SynapseServer, capture: Capture, start: Start
) -> None:
    bot, ana = await start(homeserver, "bot", capture.url), await start(homeserver, "ana")
    room = await room_of(bot.client, ana.client, ENCRYPTION)
    token = (await bot.client.sync("", 0.001)).token
    await bot.restart()

    def without_encryption(told: Any) -> Any:
        for joined in told.get("rooms", {}).get("join", {}).values():
            for part in ("state", "timeline"):
                events = joined.get(part, {}).get("events", [])
                joined[part]["events"] = [event for event in events if event["type"] != "m.room.encryption"]
        return told

    with capture.faults.alter("/sync$", without_encryption):
        await bot.client.sync(token, 0.001)
        known = bot.client.get_room(room)
        assert known and known.encrypted
        event_id = await bot.client.send(room, MESSAGE, text(SECRET), "1")
        edit = {**text(SECRET), "m.relates_to": {"rel_type": "m.replace", "event_id": event_id}}
        await bot.client.send(room, MESSAGE, edit, "2")
        await bot.client.send(room, "m.reaction", {"m.relates_to": {"rel_type": "m.annotation", "key": "+"}}, "3")
    kinds = [request.event[1] for request in capture.sent(room) if request.event]
    assert kinds == ["m.room.encrypted", "m.room.encrypted", "m.reaction"]
    assert not [request.path for request in capture.requests if "Heron" in json.dumps(request.body, default=str)]
    assert capture.sent(room)[1].body["m.relates_to"] == edit["m.relates_to"]


async def test_its_files_are_private_and_hold_no_text(homeserver: SynapseServer, start: Start) -> None:
    bot, ana = await start(homeserver, "bot"), await start(homeserver, "ana")
    room = await room_of(bot.client, ana.client, ENCRYPTION)
    await bot.client.send(room, MESSAGE, text(SECRET), "1")
    files = list(bot.folder.iterdir())
    assert {oct(file.stat().st_mode & 0o777) for file in files} == {"0o600"}
    assert bot.folder.stat().st_mode & 0o777 == 0o700
    assert not [file for file in files if b"Heron" in file.read_bytes()]


async def test_an_answer_that_is_lost_leads_to_no_second_event(
    homeserver: SynapseServer, capture: Capture, start: Start
) -> None:
    bot, ana = await start(homeserver, "bot", capture.url), await start(homeserver, "ana")
    room = await room_of(bot.client, ana.client, ENCRYPTION)
    token = (await ana.client.sync("", 0.001)).token
    # Twice: what is lost over a connection kept open is repeated once by aiohttp.
    capture.faults.lose_answer("/send/", times=2)
    with pytest.raises(TransientFailure):
        await bot.client.send(room, MESSAGE, text("once"), "same")
    bot_token = (await bot.client.sync("", 0.001)).token
    await bot.restart()
    await bot.client.sync(bot_token, 0.001)
    event_id = await bot.client.send(room, MESSAGE, text("once"), "same")
    await bot.client.send(room, MESSAGE, text("end"), "other")
    heard, _ = await hears(ana.client, token, room, count=2)
    assert [(event.event_id == event_id, event.content["body"]) for event in heard] == [(True, "once"), (False, "end")]


async def test_senders_of_one_room_do_not_hinder_each_other(
    homeserver: SynapseServer, capture: Capture, start: Start
) -> None:
    bot, ana = await start(homeserver, "bot", capture.url), await start(homeserver, "ana")
    room = await room_of(bot.client, ana.client, ENCRYPTION)
    token = (await ana.client.sync("", 0.001)).token
    hold = capture.faults.hold("/sendToDevice/")
    sends = [asyncio.create_task(bot.client.send(room, MESSAGE, text(str(n)), str(n))) for n in range(4)]
    await capture.until(lambda: hold.held)
    sends[0].cancel()
    hold.release()
    done = await asyncio.gather(*sends, return_exceptions=True)
    assert isinstance(done[0], asyncio.CancelledError)
    assert len(set(done[1:])) == 3
    heard, _ = await hears(ana.client, token, room, count=3)
    assert sorted(event.content["body"] for event in heard) == ["1", "2", "3"]


async def test_a_server_that_is_away_is_told_and_waited_for(homeserver: SynapseServer, start: Start) -> None:
    bot, ana = await start(homeserver, "bot"), await start(homeserver, "ana")
    room = await room_of(bot.client, ana.client, ENCRYPTION)
    token = (await bot.client.sync("", 0.001)).token
    polling = asyncio.create_task(bot.client.sync(token, 30))
    await asyncio.sleep(0.2)
    await homeserver.stop()
    with pytest.raises(TransientFailure):
        await polling
    with pytest.raises(TransientFailure):
        await bot.client.send(room, MESSAGE, text("later"), "1")
    await homeserver.start()
    await bot.client.send(room, MESSAGE, text("later"), "1")
    assert (await bot.client.sync(token, 5)).token != token


async def test_a_limit_says_how_long_to_wait(limited_homeserver: SynapseServer, start: Start) -> None:
    bot, ana = await start(limited_homeserver, "bot"), await start(limited_homeserver, "ana")
    room = await room_of(bot.client, ana.client)
    with pytest.raises(RateLimited) as limited:
        for number in range(15):
            await bot.client.send(room, MESSAGE, text(str(number)), str(number))
    assert 0 < limited.value.retry_after_s <= 10


async def test_a_device_that_was_logged_out_says_so(homeserver: SynapseServer, start: Start) -> None:
    bot = await start(homeserver, "bot")
    token = (await bot.client.sync("", 0)).token
    await homeserver.log_out(bot.account)
    with pytest.raises(LoggedOut) as out:
        await bot.client.sync(token, 5)
    assert not out.value.soft


async def test_what_is_nested_as_deep_as_the_server_takes_it_stops_nothing(
    homeserver: SynapseServer, start: Start
) -> None:
    bot, eve = await start(homeserver, "bot"), await start(homeserver, "eve")
    token = (await bot.client.sync("", 0)).token
    taken = 0
    for depth in (50, 100, 200, 400, 600, 700, 800, 850, 900, 925, 950, 960, 970, 980, 990):
        content: Any = 1
        for _ in range(depth):
            content = {"a": content}
        body = {"messages": {bot.client.user_id: {bot.client.device_id: content}}}
        try:
            await eve.client.call_api("PUT", f"/v3/sendToDevice/m.dummy/{depth}", body)
            taken += 1
        except (TransientFailure, RequestRefused, RecursionError):
            break
    assert taken
    news = await bot.client.sync(token, 5)
    assert len(news.to_device) == taken
    assert news.token != token


async def test_somebody_who_comes_reads_what_is_said_from_then_on_and_who_goes_does_not(
    homeserver: SynapseServer, start: Start
) -> None:
    bot, ana, ben = [await start(homeserver, name) for name in ("bot", "ana", "ben")]
    room = await room_of(bot.client, ana.client, ENCRYPTION)
    token = (await bot.client.sync("", 0.001)).token
    sent = [await bot.client.send(room, MESSAGE, text("before"), "1")]
    await ana.client.call_api("POST", f"/v3/rooms/{room}/invite", {"user_id": ben.client.user_id})
    await ben.client.join_room(room)
    token = (await bot.client.sync(token, 5)).token
    sent.append(await bot.client.send(room, MESSAGE, text("with"), "2"))
    ben_token = (await ben.client.sync("", 0.002)).token
    read = [await ben.client.get_event(room, event_id) for event_id in sent]
    assert [event.content.get("body") for event in read] == [None, "with"]
    await ben.client.leave_room(room)
    await bot.client.sync(token, 5)
    after = await bot.client.send(room, MESSAGE, text("after"), "3")
    news = await ben.client.sync(ben_token, 1)
    assert not [message for message in news.to_device if message.type == "m.room_key"]
    await ana.client.sync("", 0.003)
    assert (await ana.client.get_event(room, after)).content["body"] == "after"
