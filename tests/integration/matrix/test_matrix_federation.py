"""Hearth on one of two federating homeservers, people on the other: invitations, joins, answers and upgrades."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from deploy.dev.element import Peer
from deploy.dev.homeserver import Person, Shown, SynapseServer, federated_servers
from deploy.dev.homeserver.client import Client
from tests.fakes.matrix_resident import MatrixInstance

ANSWER = "The drive is there [1]."
ACROSS_S = 180.0
"""Longest wait for anything that crosses the servers: a busy machine starts both at once."""

Servers = tuple[SynapseServer, SynapseServer]


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with federated_servers() as both:
        yield both


@pytest.fixture
async def resident(servers: Servers, tmp_path: Path) -> AsyncIterator[MatrixInstance]:
    """Hearth at work on the first server."""
    resident = await MatrixInstance.registered_at(servers[0], tmp_path)
    await resident.start()
    yield resident
    await resident.stop()


@pytest.fixture
async def people(servers: Servers) -> AsyncIterator[tuple[Person, Person]]:
    """Two people on the second server."""
    async with await servers[1].person("ana") as ana, await servers[1].person("ben") as ben:
        yield ana, ben


def memberships(person: Client, resident: MatrixInstance, room: str) -> list[str]:
    """What has become of Hearth in a room, in order."""
    events = person.timeline.events(room, "m.room.member")
    return [str(event["content"]["membership"]) for event in events if event["state_key"] == resident.user_id]


async def joined(person: Client, resident: MatrixInstance, room: str) -> None:
    await person.until(lambda: "join" in memberships(person, resident, room), ACROSS_S)


async def answered(person: Client, resident: MatrixInstance, room: str, question: str) -> Shown:
    """Wait for the whole answer to a question."""

    def is_answer(shown: Shown) -> bool:
        replied = shown.first.get("m.relates_to", {}).get("m.in_reply_to", {}).get("event_id")
        return (shown.sender, shown.body, replied) == (resident.user_id, ANSWER, question)

    return await person.shown(room, is_answer, ACROSS_S)


async def room_of(people: tuple[Person, Person], resident: MatrixInstance) -> str:
    """A named room of both people, into which Hearth has been invited over federation."""
    ana, ben = people
    room = await ana.create_room("kitchen", [ben.user_id])
    await ben.until(lambda: room in ben.invites)
    await ben.join(room)
    await ana.invite(room, resident.user_id)
    await joined(ana, resident, room)
    return room


async def test_hearth_stays_in_a_named_room_of_another_server_and_answers_there(
    people: tuple[Person, Person], resident: MatrixInstance
) -> None:
    ana, ben = people
    room = await room_of(people, resident)
    for person in people:
        asked = await person.say(room, "Where is the drive?", mentions=[resident.user_id])
        await answered(person, resident, room, asked)
    # It was no direct chat at any time: what is said to nobody there is not answered.
    unasked = await ben.say(room, "Who took the drive?")
    asked = await ana.say(room, "Hearth, where is it?", mentions=[resident.user_id])
    await answered(ana, resident, room, asked)
    assert memberships(ana, resident, room) == ["invite", "join"]
    replied = [shown.first.get("m.relates_to", {}) for shown in ana.timeline.shown(room, resident.user_id)]
    assert unasked not in str(replied)
    (greeting,) = [shown.body for shown in ana.timeline.shown(room, resident.user_id) if shown.kind == "m.notice"]
    assert "Mention me" in greeting


async def test_a_named_chat_with_one_person_of_another_server_is_direct_and_private(
    people: tuple[Person, Person], resident: MatrixInstance
) -> None:
    ana, _ = people
    await resident.stop()
    (resident.folder / "documents" / "accounts").mkdir(parents=True)
    (resident.folder / "documents" / "accounts" / "bank.txt").write_text(
        "The bank is on shelf Quince.", encoding="utf-8"
    )
    resident.core_settings = {"readers": [f"matrix:user:{ana.user_id}"]}
    await resident.start()
    room = await ana.create_room("Hearth and me", [resident.user_id], direct=True)
    await joined(ana, resident, room)
    await ana.say(room, "Where is the bank?")
    await ana.shown(room, lambda shown: "[1] bank (accounts)" in shown.body, ACROSS_S)
    assert memberships(ana, resident, room) == ["invite", "join"]


async def test_hearth_follows_an_upgraded_room_of_another_server_and_stays(
    people: tuple[Person, Person], resident: MatrixInstance
) -> None:
    ana, ben = people
    room = await room_of(people, resident)
    new = await ana.upgrade(room)
    await ana.invite(new, ben.user_id)
    await ben.join(new)
    await ana.invite(new, resident.user_id)
    await joined(ana, resident, new)
    asked = await ana.say(new, "Where is the drive?", mentions=[resident.user_id])
    await answered(ana, resident, new, asked)
    assert memberships(ana, resident, new) == ["invite", "join"]


async def test_an_encrypted_chat_crosses_the_servers(
    servers: Servers, resident: MatrixInstance, _client_library: None
) -> None:
    async with await Peer.enter(servers[1].url, await servers[1].register("kim")) as kim:
        room = await kim.direct(resident.user_id, encrypted=True)
        await joined(kim, resident, room)
        await kim.know(resident.user_id, resident.account.device_id)
        await answered(kim, resident, room, await kim.say(room, "Where is the drive?"))
        assert memberships(kim, resident, room) == ["invite", "join"]
