"""What every `Homeserver` keeps to: one in memory, and our client at a real one, in plain and encrypted rooms."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from adapters.matrix.client import TIMELINE_EVENTS, MatrixClient
from adapters.matrix.credentials import Credentials, new_store_key
from adapters.matrix.crypto import store
from adapters.matrix.events import Event, SyncResponse
from adapters.matrix.homeserver import FileTooLarge, Homeserver, RequestRefused
from deploy.dev.homeserver import SynapseServer
from tests.fakes.wire import ALICE, ROOM, FakeHomeserver
from tests.fakes.wire_rooms import text

MESSAGE = "m.room.message"
ENCRYPTION = {"type": "m.room.encryption", "state_key": "", "content": {"algorithm": "m.megolm.v1.aes-sha2"}}


class Stage(Protocol):
    """A homeserver with a room in which we and somebody else are, and what that person does."""

    wire: Homeserver
    room: str
    other: str
    encrypted: bool

    async def say(self, body: str) -> str:
        """Write in the room; the event's id."""
        ...

    async def tell(self, kind: str, content: dict[str, Any]) -> None:
        """Send us a to-device message."""
        ...

    async def invite(self) -> str:
        """Invite us to a new direct chat; its id."""
        ...

    async def kick(self) -> None:
        """Remove us from the room."""
        ...


class FakeStage:
    encrypted = False

    def __init__(self) -> None:
        self.fake = FakeHomeserver()
        self.wire: Homeserver = self.fake
        self.room, self.other = ROOM, ALICE
        self.fake.add_room()
        self.fake.timeline_limit = TIMELINE_EVENTS

    async def say(self, body: str) -> str:
        return self.fake.say(body).event_id

    async def tell(self, kind: str, content: dict[str, Any]) -> None:
        self.fake.tell(ALICE, kind, content)

    async def invite(self) -> str:
        self.fake.invite("!other:home.example", direct=True)
        return "!other:home.example"

    async def kick(self) -> None:
        self.fake.kick(self.room)


class RealStage:
    def __init__(self, ours: MatrixClient, other: MatrixClient, room: str, encrypted: bool) -> None:
        self.wire: Homeserver = ours
        self.person = other
        self.other, self.room, self.encrypted = other.user_id, room, encrypted
        self._said = 0

    async def say(self, body: str) -> str:
        self._said += 1
        return await self.person.send(self.room, MESSAGE, text(body), f"said{self._said}")

    async def tell(self, kind: str, content: dict[str, Any]) -> None:
        messages = {self.wire.user_id: {self.wire.device_id: content}}
        await self.person.call_api("PUT", f"/v3/sendToDevice/{kind}/t1", {"messages": messages})

    async def invite(self) -> str:
        return await direct_chat(self.person, self.wire.user_id)

    async def kick(self) -> None:
        await self.person.call_api("POST", f"/v3/rooms/{self.room}/kick", {"user_id": self.wire.user_id})


async def direct_chat(person: MatrixClient, user_id: str, *state: Any) -> str:
    body = {"preset": "private_chat", "invite": [user_id], "is_direct": True, "initial_state": list(state)}
    return str((await person.call_api("POST", "/v3/createRoom", body))["room_id"])


@pytest.fixture(scope="module")
def server() -> Iterator[SynapseServer]:
    server = SynapseServer(lifted=True)
    try:
        server.start_now()
        yield server
    finally:
        server.close()


async def device(server: SynapseServer, name: str, folder: Path) -> MatrixClient:
    account = await server.register(name)
    credentials = Credentials(server.url, account.user_id, account.device_id, account.access_token, new_store_key())
    client = MatrixClient(credentials, store.create_store(folder / name, credentials))
    await client.publish_keys()
    return client


@pytest.fixture(params=["memory", "plain", "encrypted"])
async def stage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stage]:
    if request.param == "memory":
        yield FakeStage()
        return
    server: SynapseServer = request.getfixturevalue("server")
    ours, other = await device(server, "hearth", tmp_path), await device(server, "alice", tmp_path)
    encrypted = request.param == "encrypted"
    room = await direct_chat(other, ours.user_id, *([ENCRYPTION] if encrypted else []))
    await ours.join_room(room)
    await other.sync("", 0)
    yield RealStage(ours, other, room, encrypted)
    await ours.close()
    await other.close()


def said(news: SyncResponse, room: str) -> list[Event]:
    return [event for timeline in news.joined if timeline.room_id == room for event in timeline.events]


def bodies(events: Any) -> list[str]:
    return [event.content["body"] for event in events if event.type == MESSAGE]


async def test_a_sync_tells_what_was_said_since_the_last_one(stage: Stage) -> None:
    token = (await stage.wire.sync("", 0)).token
    ids = [await stage.say(body) for body in ("one", "two")]
    news = await stage.wire.sync(token, 5)
    events = said(news, stage.room)
    assert [(event.event_id, event.sender, event.content["body"]) for event in events] == [
        (ids[0], stage.other, "one"),
        (ids[1], stage.other, "two"),
    ]
    assert all(event.encrypted is stage.encrypted and not event.session_id for event in events)
    again = await stage.wire.sync(news.token, 0)
    assert said(again, stage.room) == []


async def test_a_sync_waits_for_news(stage: Stage) -> None:
    token = (await stage.wire.sync("", 0)).token
    waiting = asyncio.create_task(stage.wire.sync(token, 20))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    await stage.say("at last")
    news = await waiting
    if stage.encrypted and not news.joined:
        # The key comes first.
        news = await stage.wire.sync(news.token, 5)
    assert bodies(said(news, stage.room)) == ["at last"]


async def test_a_room_is_known_once_a_sync_has_told_of_it(stage: Stage) -> None:
    await stage.wire.sync("", 0)
    room = stage.wire.get_room(stage.room)
    assert room and (room.member_count, room.is_direct, room.encrypted) == (2, True, stage.encrypted)
    await stage.wire.load_members(stage.room)
    room = stage.wire.get_room(stage.room)
    assert room and room.members_complete and room.is_private
    assert room.members == {stage.wire.user_id, stage.other}
    assert room.may_write(stage.wire.user_id) and not room.is_space
    assert stage.wire.get_room("!elsewhere:home.example") is None


async def test_nothing_is_sent_to_a_room_of_which_no_sync_has_told(stage: Stage) -> None:
    with pytest.raises(RequestRefused) as refused:
        await stage.wire.send("!elsewhere:home.example", MESSAGE, text("hello"), "t1")
    assert refused.value.code == "HEARTH_UNKNOWN_ROOM"


async def test_the_same_transaction_again_gives_the_event_it_gave(stage: Stage) -> None:
    token = (await stage.wire.sync("", 0)).token
    ids = [await stage.wire.send(stage.room, MESSAGE, text("once"), "t1") for _ in range(2)]
    other = await stage.wire.send(stage.room, MESSAGE, text("twice"), "t2")
    assert ids[0] == ids[1] != other
    assert bodies(said(await stage.wire.sync(token, 5), stage.room)) == ["once", "twice"]


async def test_an_event_is_read_as_it_was_sent(stage: Stage) -> None:
    await stage.wire.sync("", 0)
    content = text("é 🦉", **{"m.relates_to": {"m.in_reply_to": {"event_id": "$some"}}, "m.mentions": {}})
    event_id = await stage.wire.send(stage.room, MESSAGE, content, "t1")
    event = await stage.wire.get_event(stage.room, event_id)
    assert (event.event_id, event.type, event.content) == (event_id, MESSAGE, content)
    assert (event.sender, event.room_id, event.state_key) == (stage.wire.user_id, stage.room, None)


async def test_pages_lead_back_to_the_beginning(stage: Stage) -> None:
    await stage.wire.sync("", 0)
    for number in range(7):
        await stage.say(str(number))
    await stage.wire.sync("", 0.001)
    events: list[Event] = []
    page = await stage.wire.get_event_page(stage.room, "", back=True, limit=3)
    events += page.events
    for _ in range(20):
        if not page.end:
            break
        page = await stage.wire.get_event_page(stage.room, page.end, back=True, limit=3)
        events += page.events
    assert not page.end
    assert bodies(events) == ["6", "5", "4", "3", "2", "1", "0"]
    assert len({event.event_id for event in events}) == len(events)


async def test_pages_begin_right_beside_an_event(stage: Stage) -> None:
    await stage.wire.sync("", 0)
    ids = [await stage.say(str(number)) for number in range(4)]
    await stage.wire.sync("", 0.001)
    after = await stage.wire.token_after(stage.room, ids[1])
    before = await stage.wire.token_before(stage.room, ids[2])
    assert bodies((await stage.wire.get_event_page(stage.room, after, back=False, limit=10)).events) == ["2", "3"]
    assert bodies((await stage.wire.get_event_page(stage.room, after, back=True, limit=2)).events) == ["1", "0"]
    assert bodies((await stage.wire.get_event_page(stage.room, before, back=True, limit=2)).events) == ["1", "0"]
    assert bodies((await stage.wire.get_event_page(stage.room, before, back=False, limit=10)).events) == ["2", "3"]


async def test_a_timeline_that_was_cut_is_continued_by_paging_back(stage: Stage) -> None:
    token = (await stage.wire.sync("", 0)).token
    for number in range(TIMELINE_EVENTS + 5):
        await stage.say(str(number))
    news = await stage.wire.sync(token, 5)
    [timeline] = [timeline for timeline in news.joined if timeline.room_id == stage.room]
    assert timeline.limited
    missing = await stage.wire.get_event_page(stage.room, timeline.prev_batch, back=True, limit=5)
    assert bodies(reversed(missing.events)) + bodies(timeline.events) == [str(n) for n in range(TIMELINE_EVENTS + 5)]


async def test_what_was_taken_back_has_no_content(stage: Stage) -> None:
    await stage.wire.sync("", 0)
    event_id = await stage.wire.send(stage.room, MESSAGE, text("wrong"), "t1")
    token = (await stage.wire.sync("", 0)).token
    for _ in range(2):
        await stage.wire.redact_event(stage.room, event_id, "t2")
    event = await stage.wire.get_event(stage.room, event_id)
    assert not event.content and not event.session_id
    redactions = [e for e in said(await stage.wire.sync(token, 5), stage.room) if e.type == "m.room.redaction"]
    assert [redaction.redacts for redaction in redactions] == [event_id]


async def test_an_event_that_nobody_knows_is_refused(stage: Stage) -> None:
    await stage.wire.sync("", 0)
    for ask in (stage.wire.get_event, stage.wire.token_after, stage.wire.token_before):
        with pytest.raises(RequestRefused) as refused:
            await ask(stage.room, "$4Xnobody_knows_this_event_at_all_0000000000")
        assert refused.value.code == "M_NOT_FOUND"


async def test_an_invitation_is_told_and_accepted(stage: Stage) -> None:
    token = (await stage.wire.sync("", 0)).token
    room = await stage.invite()
    news = await stage.wire.sync(token, 5)
    [invitation] = [each for each in news.invited if each.room_id == room]
    assert (invitation.inviter, invitation.direct) == (stage.other, True)
    await stage.wire.join_room(room)
    news = await stage.wire.sync(news.token, 5)
    known = stage.wire.get_room(room)
    assert known and known.member_count == 2
    assert not news.invited
    await stage.wire.send(room, MESSAGE, text("hello"), "t9")


async def test_an_invitation_can_be_declined(stage: Stage) -> None:
    await stage.wire.sync("", 0)
    room = await stage.invite()
    await stage.wire.leave_room(room)
    assert not [each for each in (await stage.wire.sync("", 0.001)).invited if each.room_id == room]
    assert stage.wire.get_room(room) is None


async def test_who_was_removed_is_told_by_whom_and_may_send_no_more(stage: Stage) -> None:
    token = (await stage.wire.sync("", 0)).token
    await stage.kick()
    with pytest.raises(RequestRefused) as refused:
        await stage.wire.send(stage.room, MESSAGE, text("hello"), "t1")
    assert refused.value.code == "M_FORBIDDEN"
    [departure] = (await stage.wire.sync(token, 5)).left
    assert (departure.room_id, departure.sender) == (stage.room, stage.other)
    assert stage.wire.get_room(stage.room) is None


async def test_to_device_messages_come_once(stage: Stage) -> None:
    token = (await stage.wire.sync("", 0)).token
    await stage.tell("m.key.verification.request", {"from_device": "X"})
    news = await stage.wire.sync(token, 5)
    [message] = news.to_device
    assert (message.sender, message.type, message.encrypted) == (stage.other, "m.key.verification.request", False)
    assert message.content["from_device"] == "X"
    assert not (await stage.wire.sync(news.token, 0)).to_device


async def test_a_file_is_fetched_up_to_the_limit(stage: Stage) -> None:
    uri = await stage.wire.upload_file(b"0123456789", "ten é.txt", "text/plain")
    assert uri.startswith("mxc://")
    assert await stage.wire.download_file(uri, 10) == b"0123456789"
    with pytest.raises(FileTooLarge):
        await stage.wire.download_file(uri, 9)
    with pytest.raises(RequestRefused) as refused:
        await stage.wire.download_file(uri + "0", 10)
    assert refused.value.code == "M_NOT_FOUND"


async def test_typing_and_receipts_are_taken(stage: Stage) -> None:
    await stage.wire.sync("", 0)
    event_id = await stage.say("question")
    await stage.wire.set_typing(stage.room, True)
    await stage.wire.send_read_receipt(stage.room, event_id)
    await stage.wire.set_typing(stage.room, False)


async def test_a_request_that_the_server_does_not_know_is_refused(stage: Stage) -> None:
    with pytest.raises(RequestRefused) as refused:
        await stage.wire.call_api("GET", "/v3/nothing/like/this")
    assert (refused.value.status, refused.value.code) == (404, "M_UNRECOGNIZED")
