import asyncio
import time
from collections.abc import Awaitable, Callable

import aiohttp
import pytest

from deploy.dev.homeserver import Person, SynapseServer
from deploy.dev.homeserver.account import Refused
from deploy.dev.homeserver.contents import message
from tests.homeserver import Capture

Enter = Callable[..., Awaitable[Person]]


async def test_two_people_talk(homeserver: SynapseServer, enter: Enter) -> None:
    ana, ben = await enter(homeserver, "ana"), await enter(homeserver, "ben")
    room = await ana.direct(ben.user_id)
    await ben.until(lambda: ben.invites.get(room) == ana.user_id)
    await ben.join(room)
    question = await ana.say(room, "Is the bin collected today?", mentions=[ben.user_id])
    await ben.shown(room, lambda shown: shown.body == "Is the bin collected today?")
    answer = await ben.say(room, "Tom", reply_to=question)
    await ben.edit(room, answer, "Tomorrow")
    await ana.react(room, answer, "\N{THUMBS UP SIGN}")
    told = await ben.shown(room, lambda shown: shown.reactions)
    assert (told.body, told.bodies, told.reply_to) == ("Tomorrow", ["Tom", "Tomorrow"], question)
    await ana.redact(room, question)
    await ben.until(lambda: [shown.event_id for shown in ben.timeline.shown(room)] == [answer])


async def test_a_file_is_uploaded_and_sent(homeserver: SynapseServer, enter: Enter) -> None:
    ana = await enter(homeserver, "ana")
    room = await ana.create_room("cellar")
    await ana.send_file(room, "manual.txt", b"Turn it off and on again.", caption="Read this")
    shown = await ana.shown(room, lambda shown: shown.kind == "m.file")
    assert (shown.body, shown.content["filename"], shown.content["info"]["size"]) == ("Read this", "manual.txt", 25)


async def test_rooms_are_joined_upgraded_and_left(homeserver: SynapseServer, enter: Enter) -> None:
    ana, ben = await enter(homeserver, "ana"), await enter(homeserver, "ben")
    old = await ana.create_room("kitchen", invite=[ben.user_id])
    await ben.join(old)
    await ana.set_power(old, ben.user_id, 50)
    new = await ana.upgrade(old)
    tombstone = await ben.wait_for(lambda event: event["type"] == "m.room.tombstone")
    assert (tombstone["room_id"], tombstone["content"]["replacement_room"]) == (old, new)
    await ana.kick(old, ben.user_id, "It has moved")
    await ben.until(lambda: ben.members[old][ben.user_id] == "leave")


async def test_people_see_who_types_and_who_has_read(homeserver: SynapseServer, enter: Enter) -> None:
    ana, ben = await enter(homeserver, "ana"), await enter(homeserver, "ben")
    room = await ana.create_room("porch", invite=[ben.user_id])
    await ben.join(room)
    said = await ana.say(room, "Anybody there?")
    await ben.mark_read(room, said)
    await ben.set_typing(room)
    await ana.until(lambda: ana.receipts.get((room, ben.user_id)) == said)
    await ana.until(lambda: ana.typing.get(room) == {ben.user_id})
    await ben.set_typing(room, typing=False)
    await ana.until(lambda: not ana.typing[room])


async def test_a_public_room_fills_with_people(homeserver: SynapseServer, enter: Enter) -> None:
    ana = await enter(homeserver, "ana")
    room = await ana.create_room("market", preset="public_chat")
    await homeserver.crowd(room, 12)
    await ana.until(lambda: list(ana.members[room].values()).count("join") == 13)


async def test_a_message_to_a_device_needs_no_room(homeserver: SynapseServer, enter: Enter) -> None:
    ana, eve = await enter(homeserver, "ana"), await enter(homeserver, "eve")
    await eve.send_to_device(ana.user_id, "m.key.verification.cancel", {"code": "m.user"})
    await ana.until(lambda: ana.to_device)
    assert ana.to_device == [
        {"sender": eve.user_id, "type": "m.key.verification.cancel", "content": {"code": "m.user"}}
    ]


async def test_a_stopped_server_comes_back_with_everything(enter: Enter, homeserver: SynapseServer) -> None:
    ana = await enter(homeserver, "ana")
    room = await ana.create_room("attic")
    await homeserver.stop(kill=True)
    with pytest.raises(aiohttp.ClientError):
        await ana.say(room, "Hello?")
    await homeserver.start()
    await ana.say(room, "Back again")
    assert await ana.shown(room, lambda shown: shown.body == "Back again")


async def test_the_default_limit_lets_ten_messages_pass_and_can_be_lifted_for_one(
    limited_homeserver: SynapseServer, enter: Enter
) -> None:
    ana = await enter(limited_homeserver, "ana")
    room = await ana.create_room("hall")
    # Ten at once and two while they were sent, at the most.
    with pytest.raises(Refused, match="429 M_LIMIT_EXCEEDED") as refused:
        for number in range(30):
            await ana.ask_once("PUT", f"/rooms/{room}/send/m.room.message/n{number}", message(str(number)))
    assert 0 < refused.value.retry_after_ms <= 5000
    await limited_homeserver.lift_limits(ana.user_id)
    for number in range(30):
        await ana.ask_once("PUT", f"/rooms/{room}/send/m.room.message/o{number}", message(str(number)))


async def test_an_old_session_that_is_removed_is_told_so(homeserver: SynapseServer, enter: Enter) -> None:
    ana = await enter(homeserver, "ana")
    await homeserver.log_out(ana.account)
    with pytest.raises(Refused, match="401 M_UNKNOWN_TOKEN"):
        await ana.request("GET", "/account/whoami")
    again = await homeserver.log_in(ana.account, ana.account.device_id)
    assert again.device_id == ana.account.device_id


async def test_a_capture_holds_what_was_sent(capture: Capture, homeserver: SynapseServer, enter: Enter) -> None:
    ana = await enter(homeserver, "ana", capture.url)
    room = await ana.create_room("garage")
    event_id = await ana.say(room, "The car is ready")
    (sent,) = capture.sent(room, "m.room.message")
    assert sent.event == (room, "m.room.message", {"msgtype": "m.text", "body": "The car is ready", "m.mentions": {}})
    assert (sent.status, sent.answer) == (200, {"event_id": event_id})


async def test_faults_strike_the_requests_they_name_and_end(
    capture: Capture, homeserver: SynapseServer, enter: Enter
) -> None:
    ana = await enter(homeserver, "ana", capture.url)
    room = await ana.create_room("garden")
    with capture.faults.limit("/send/", retry_after_s=2.5), pytest.raises(Refused, match="429") as limited:
        await ana.ask_once("PUT", f"/rooms/{room}/send/m.room.message/a", message("a"))
    assert limited.value.retry_after_ms == 2500
    capture.faults.fail("/send/", status=503, times=1)
    with pytest.raises(Refused, match="503"):
        await ana.say(room, "b")
    # For a time, not once: aiohttp by itself tries again when a connection it used before breaks.
    with capture.faults.drop("/send/"), pytest.raises(aiohttp.ClientError):
        await ana.say(room, "c")
    with capture.faults.lose_answer("/send/"), pytest.raises(aiohttp.ClientError):
        await ana.say(room, "d")
    await ana.say(room, "e")
    assert [event["content"]["body"] for event in await ana.history(room) if event["type"] == "m.room.message"] == [
        "d",
        "e",
    ]


async def test_a_held_request_goes_on_when_it_is_released(
    capture: Capture, homeserver: SynapseServer, enter: Enter
) -> None:
    ana = await enter(homeserver, "ana", capture.url)
    room = await ana.create_room("shed")
    with capture.faults.hold("/send/") as held:
        saying = asyncio.create_task(ana.say(room, "Wait for me"))
        await capture.until(lambda: held.held)
        assert not ana.timeline.shown(room)
    await saying
    assert await ana.shown(room, lambda shown: shown.body == "Wait for me")


async def test_a_postponed_request_reaches_the_server_after_its_answer(
    capture: Capture, homeserver: SynapseServer, enter: Enter
) -> None:
    ana = await enter(homeserver, "ana", capture.url)
    room = await ana.create_room("barn")
    with capture.faults.postpone("/send/", {"event_id": "$later"}) as postponed:
        assert await ana.say(room, "Later") == "$later"
        await capture.until(lambda: postponed.held)
        assert [event for event in await ana.history(room) if event["type"] == "m.room.message"] == []
    assert await ana.shown(room, lambda shown: shown.body == "Later")


async def test_answers_are_altered_and_clocks_moved(capture: Capture, homeserver: SynapseServer, enter: Enter) -> None:
    ana, ben = await enter(homeserver, "ana", capture.url), await enter(homeserver, "ben")
    room = await ana.create_room("loft", invite=[ben.user_id])
    await ben.join(room)
    capture.skew_s = 600.0
    capture.faults.alter("/members$", lambda told: {"chunk": []})
    assert await ana.request("GET", f"/rooms/{room}/members") == {"chunk": []}
    await ben.say(room, "What time is it?")
    heard = await ana.wait_for(lambda event: event["content"].get("body") == "What time is it?")
    assert 590 < heard["origin_server_ts"] / 1000 - time.time() < 610
