"""Encrypted chats with a client on Element's own crypto library, which deals with cross-signed devices only."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from adapters.matrix.sync import undecryptable
from deploy.dev.element import Peer
from deploy.dev.homeserver import Shown, SynapseServer
from tests.fakes.matrix_resident import MatrixInstance, log_in
from tests.homeserver import Capture

Enter = Callable[..., Awaitable[Peer]]
ANSWER = "The drive is there [1]."


async def chat(ana: Peer, resident: MatrixInstance) -> str:
    """An encrypted direct chat in which Hearth is."""
    room = await ana.direct(resident.user_id, encrypted=True)
    await ana.until(lambda: ana.members[room].get(resident.user_id) == "join")
    return room


def texts(ana: Peer, resident: MatrixInstance, room: str) -> list[Shown]:
    """What Hearth answered, as Ana's client reads it."""
    return [shown for shown in ana.timeline.shown(room, resident.user_id) if shown.kind == "m.text"]


async def answered(ana: Peer, resident: MatrixInstance, room: str, count: int = 1) -> None:
    """Wait for so many whole answers."""
    await ana.until(lambda: [shown.body for shown in texts(ana, resident, room)] == [ANSWER] * count)


async def test_an_encrypted_chat_is_answered_and_nothing_of_it_is_sent_in_plain(
    homeserver: SynapseServer, resident: MatrixInstance, enter_encrypted: Enter, capture: Capture
) -> None:
    log_in(resident.folder / "through the proxy", capture.url, resident.account)
    resident.folder /= "through the proxy"
    await resident.start()
    ana = await enter_encrypted(homeserver, "ana")
    room = await chat(ana, resident)
    await ana.say(room, "Where is the drive?")
    await answered(ana, resident, room)
    await ana.shown(room, lambda shown: "!help" in shown.body)
    assert {request.event[1] for request in capture.sent(room) if request.event} == {"m.room.encrypted"}
    whole = repr([request.body for request in capture.requests])
    assert "drive" not in whole
    assert "documents" not in whole
    shields = [
        event["decryption"]["shield"]
        for event in ana.timeline.events(room, sender=resident.user_id)
        if "decryption" in event
    ]
    assert set(shields) == {"none"}


async def test_after_restarts_the_same_chat_goes_on(
    homeserver: SynapseServer, resident: MatrixInstance, enter_encrypted: Enter
) -> None:
    await resident.start()
    ana = await enter_encrypted(homeserver, "ana")
    room = await chat(ana, resident)
    await ana.say(room, "Where is the drive?")
    await answered(ana, resident, room)
    await resident.stop()
    await ana.say(room, "While you were away?")
    await resident.start()
    await answered(ana, resident, room, 2)
    await ana.say(room, "And now?")
    await answered(ana, resident, room, 3)
    assert await resident.adapter.health("en") == [
        "Matrix: my device is signed by its owner.",
        "Matrix: nobody has verified me yet.",
        "Matrix: messages I could not decrypt since I started: 0.",
    ]


async def test_a_message_whose_key_comes_late_is_told_of_once_and_answered_then(
    homeserver: SynapseServer,
    resident: MatrixInstance,
    enter_encrypted: Enter,
    capture: Capture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(undecryptable, "GRACE_S", 0.5)
    await resident.start()
    ana = await enter_encrypted(homeserver, "ana", capture.url)
    room = await chat(ana, resident)
    late: Any = capture.faults.postpone("/sendToDevice/m.room.encrypted")
    await ana.say(room, "Where is the drive?")
    await ana.say(room, "And the other one?")
    await ana.shown(room, lambda shown: "key has not reached me" in shown.body)
    assert not texts(ana, resident, room)
    late.release()
    await answered(ana, resident, room, 2)
    notices = [shown for shown in ana.timeline.shown(room) if "key has not reached me" in shown.body]
    assert len(notices) == 1


async def test_a_room_in_which_hearth_is_mentioned_is_answered_encrypted(
    homeserver: SynapseServer, resident: MatrixInstance, enter_encrypted: Enter
) -> None:
    await resident.start()
    ana, ben = await enter_encrypted(homeserver, "ana"), await enter_encrypted(homeserver, "ben")
    room = await ana.create_room("kitchen", [resident.user_id, ben.user_id], encrypted=True)
    await ben.join(room)
    await ana.until(lambda: ana.members[room].get(resident.user_id) == "join")
    await ana.say(room, "Nothing for you.")
    await ben.say(room, "Where is the drive?", mentions=[resident.user_id])
    for person in (ana, ben):
        await answered(person, resident, room)
