"""What no client would send, as far as a real homeserver takes it, stops nothing: the next question is answered."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Any, TypeVar

import pytest

from deploy.dev.homeserver import Person, SynapseServer
from deploy.dev.homeserver.account import Refused
from deploy.dev.homeserver.contents import Content
from deploy.dev.homeserver.timeline import Event
from models.engine import Prompt
from tests.fakes.engine import ScriptedEngine
from tests.fakes.matrix_resident import MatrixInstance

Enter = Callable[..., Awaitable[Person]]
Taken = TypeVar("Taken")
LARGEST = 2**53 - 1
NOTHINGS: list[Any] = [None, True, 7, -LARGEST, "", "x", "\x00", "\ud800", [], [[]], ["$x:y"], {}, {"a": {"b": []}}]
"""What may stand where something else is expected."""


def deep(levels: int) -> Any:
    """An object in an object in an object."""
    value: Any = "x"
    for _ in range(levels):
        value = {"m.relates_to": value}
    return value


def odd_messages(answer: str, question: str) -> list[tuple[str, Content]]:
    """Events of a room by type; some relate to an answer of Hearth's and its question."""
    said: Content = {"msgtype": "m.text", "body": "x"}
    values = [*NOTHINGS, "$" + "x" * 300, answer, question]
    keys = ("body", "msgtype", "formatted_body", "m.relates_to", "m.mentions", "m.new_content", "file", "url", "info")
    found = [("m.room.message", {**said, key: value}) for key in keys for value in NOTHINGS]
    for value in values:
        found += [("m.room.message", {**said, "m.relates_to": relation}) for relation in relations(value, answer)]
        found.append(("m.room.message", {**said, "m.mentions": {"user_ids": value, "room": value}}))
        edit = {"rel_type": "m.replace", "event_id": question}
        found.append(
            ("m.room.message", {**said, "m.new_content": {"body": value, "msgtype": value}, "m.relates_to": edit})
        )
        found.append(("m.reaction", {"m.relates_to": {"rel_type": "m.annotation", "event_id": answer, "key": value}}))
        found.append(
            ("m.room.encrypted", {"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": value, "session_id": value})
        )
        found.append(("m.room.encrypted", {"algorithm": value, "sender_key": value, "device_id": value}))
        found.append(("m.key.verification.start", {"m.relates_to": value, "method": value, "from_device": value}))
        found.append(
            ("m.room.message", {"msgtype": "m.key.verification.request", "body": "x", "to": value, "methods": value})
        )
    found += [("m.room.message", {**said, "m.relates_to": deep(levels)}) for levels in (50, 300)]
    found += [
        ("m.room.message", {}),
        ("m.reaction", {}),
        ("m.room.redaction", {}),
        ("m.room.redaction", {"redacts": [7]}),
    ]
    return found


def relations(value: Any, answer: str) -> list[Any]:
    """Relations in which this value stands somewhere."""
    return [
        {"rel_type": value, "event_id": value},
        {"m.in_reply_to": value},
        {"m.in_reply_to": {"event_id": value}},
        {"rel_type": "m.thread", "event_id": value, "is_falling_back": value, "m.in_reply_to": {"event_id": answer}},
        {"rel_type": "m.replace", "event_id": value},
    ]


ODD_STATE: list[tuple[str, str, Any]] = [
    ("m.room.name", "", {"name": ["x"]}),
    ("m.room.topic", "", {"topic": 7}),
    ("m.room.canonical_alias", "", {"alt_aliases": "x"}),
    ("m.room.power_levels", "", {"users": {"x": []}, "users_default": None, "events": 7}),
    ("m.room.history_visibility", "", {"history_visibility": ["shared"]}),
    ("m.room.history_visibility", "", {}),
    ("m.room.tombstone", "", {"replacement_room": ["!x"], "body": 7}),
    ("m.room.pinned_events", "x", {"pinned": {}}),
    ("m.room.member", "", {"membership": "join", "displayname": ["x"], "avatar_url": {}}),
]


async def together(requests: Iterable[Awaitable[Taken]]) -> list[Taken]:
    """Make requests, several at a time."""
    turn = asyncio.Semaphore(8)

    async def one(request: Awaitable[Taken]) -> Taken:
        async with turn:
            return await request

    return await asyncio.gather(*map(one, requests))


def nothing_went_wrong(logged: pytest.LogCaptureFixture) -> bool:
    """Whether no error was logged."""
    return not [record for record in logged.records if record.levelname == "ERROR" or record.exc_info]


async def offered(person: Person, room: str, kind: str, content: Content) -> int:
    """1 if the homeserver takes an event."""
    with suppress(Refused, UnicodeEncodeError):
        await person.send_plain(room, content, kind)
        return 1
    return 0


@pytest.fixture
async def house(resident: MatrixInstance) -> MatrixInstance:
    """Hearth at work, which repeats what it is asked."""
    resident.engine = ScriptedEngine(lambda prompt: ["Answer to ", last_line(prompt)])
    await resident.start()
    return resident


def last_line(prompt: Prompt) -> str:
    return prompt.tail.splitlines()[-1]


async def answered(house: MatrixInstance, person: Person, room: str, question: str) -> tuple[str, str]:
    """Ask, and wait for the answer; the ids of both."""
    asked = await person.say(room, question, mentions=[house.user_id])

    def says(event: Event) -> bool:
        content = event["content"].get("m.new_content", event["content"])
        return event["sender"] == house.user_id and str(content.get("body")).endswith(question)

    await person.wait_for(says)
    replies = {"m.in_reply_to": {"event_id": asked}}
    answer = await person.wait_for(
        lambda event: event["sender"] == house.user_id and event["content"].get("m.relates_to") == replies
    )
    return asked, str(answer["event_id"])


async def odd_events_stop_nothing(
    homeserver: SynapseServer, house: MatrixInstance, enter: Enter, logged: pytest.LogCaptureFixture, every: int
) -> None:
    """Send every nth of the odd events, from another place on with every seed, and all of the odd state."""
    ana, ben = await enter(homeserver, "ana"), await enter(homeserver, "ben")
    room = await ana.create_room("kitchen", [house.user_id, ben.user_id])
    await ben.join(room)
    await ana.until(lambda: ana.members[room].get(house.user_id) == "join")
    question, answer = await answered(house, ana, room, "Where is the first drive?")
    first = int(os.environ.get("HEARTH_SEED") or 0) % every
    events = odd_messages(answer, question)[first::every]
    taken = sum(await together(offered(ana, room, kind, content) for kind, content in events))
    for kind, key, content in ODD_STATE:
        with suppress(Refused):
            await ana.set_state(room, kind, content, ana.user_id if kind == "m.room.member" else key)
    assert taken > len(events) // 2
    await answered(house, ben, room, "Where is the second drive?")
    await house.core.inbox.wait_until_idle()
    assert nothing_went_wrong(logged)


async def test_events_of_wrong_shapes_stop_nothing(
    homeserver: SynapseServer, house: MatrixInstance, enter: Enter, caplog: pytest.LogCaptureFixture
) -> None:
    await odd_events_stop_nothing(homeserver, house, enter, caplog, every=5)


@pytest.mark.soak
@pytest.mark.timeout(600)
async def test_all_events_of_wrong_shapes_stop_nothing(
    homeserver: SynapseServer, house: MatrixInstance, enter: Enter, caplog: pytest.LogCaptureFixture
) -> None:
    await odd_events_stop_nothing(homeserver, house, enter, caplog, every=1)


async def test_messages_to_the_device_of_wrong_shapes_stop_nothing(
    homeserver: SynapseServer, house: MatrixInstance, enter: Enter, caplog: pytest.LogCaptureFixture
) -> None:
    ana, eve = await enter(homeserver, "ana"), await enter(homeserver, "eve")
    room = await ana.direct(house.user_id)
    await answered(house, ana, room, "Where is the first drive?")
    kinds = (
        *(
            f"m.key.verification.{step}"
            for step in ("request", "ready", "start", "accept", "key", "mac", "done", "cancel")
        ),
        *("m.room.encrypted", "m.room_key", "m.forwarded_room_key", "m.room_key_request", "m.room_key.withheld"),
        *("m.secret.request", "m.secret.send", "m.dummy", "x" * 100),
    )
    keys = ("transaction_id", "from_device", "methods", "method", "algorithm", "ciphertext", "room_id", "session_id")
    for_all = {"body": 7, "type": "x", "sender": [], "content": None}
    values = ([], "x", LARGEST, {house.account.device_id: for_all})
    messages = [
        (kind, dict.fromkeys(keys, value) | {"sender_key": value, "body": value, "code": value})
        for kind in kinds
        for value in values
    ]
    await together(eve.send_to_device(house.user_id, kind, content) for kind, content in messages)
    await answered(house, ana, room, "Where is the second drive?")
    assert nothing_went_wrong(caplog)
