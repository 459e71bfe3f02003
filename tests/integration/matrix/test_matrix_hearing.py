"""What people do in rooms of a real homeserver reaches the core as it was meant, in encrypted rooms too."""

import asyncio
import base64
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from adapters.matrix.account.identity import IdentityFile
from adapters.matrix.account.identity_service import IdentityService
from adapters.matrix.adapter import FOLDER
from adapters.matrix.client import MatrixClient
from adapters.matrix.credentials import load_credentials
from adapters.matrix.incoming.message_handler import MessageHandler
from adapters.matrix.incoming.refusal_notices import RefusalNotices
from adapters.matrix.outgoing.rate_limiter import SendRateLimiter
from adapters.matrix.settings import MatrixSettings
from adapters.matrix.sync.member_lists import MemberLists
from adapters.matrix.sync.notices import NoticeSender
from adapters.matrix.sync.sync_state import SyncState
from bot.core.messages import FinalAnswer, Message
from bot.core.ports import Reply
from deploy.dev.element import Peer
from deploy.dev.homeserver import Person, SynapseServer, contents
from tests.fakes.inbox import FakeInbox
from tests.fakes.matrix_resident import log_in
from tests.fakes.reply import RecordingReply

SETTINGS = MatrixSettings(recent_messages=3)
WITHIN_S = 90.0


@dataclass
class Ear:
    """An account that joins where it is invited and hands all events to an intake; answers last until `done`."""

    client: MatrixClient
    intake: MessageHandler
    inbox: FakeInbox
    done: asyncio.Event = field(default_factory=asyncio.Event)
    heard: set[str] = field(default_factory=set)

    @property
    def user_id(self) -> str:
        return self.client.user_id

    async def listen(self) -> None:
        token, members = "", MemberLists(self.client)
        while True:
            news = await self.client.sync(token, 5)
            token = news.token
            for invitation in news.invited:
                await self.client.join_room(invitation.room_id)
            for timeline in news.joined:
                await members.confirm(timeline.room_id)
                for event in timeline.events:
                    await self.intake.take_event(event)
                    self.heard.add(event.event_id)

    async def hears(self, event_id: str) -> None:
        async with asyncio.timeout(WITHIN_S):
            while event_id not in self.heard:
                await asyncio.sleep(0.02)

    async def message(self, event_id: str) -> Message:
        """The message of an event, as the core got it."""
        await self.hears(event_id)
        return next(message for message in self.inbox.handled if message.event_id == event_id)

    async def answer(self, message: Message, body: str, **more: Any) -> str:
        """Say something in reply, as an answer is said."""
        data = message.platform_data
        replied = {"m.in_reply_to": {"event_id": data["question"]}}
        root = {"rel_type": "m.thread", "event_id": data["thread"], "is_falling_back": True} if "thread" in data else {}
        content = {"msgtype": "m.text", "body": body, "m.mentions": {}, "m.relates_to": {**root, **replied}, **more}
        event_id = await self.client.send(data["room"], "m.room.message", content, f"{message.event_id}{body}")
        await self.hears(event_id)
        return event_id


@pytest.fixture
async def ear(homeserver: SynapseServer, tmp_path: Path) -> AsyncIterator[Ear]:
    log_in(tmp_path, homeserver.url, await homeserver.register("hearth"))
    credentials = load_credentials(tmp_path / FOLDER)
    client = MatrixClient.open(tmp_path / FOLDER, credentials)
    marks = SyncState(tmp_path)
    file = IdentityFile(tmp_path / FOLDER, credentials.user_id, base64.b64decode(credentials.store_key))
    own = await IdentityService.open(client, client, file)
    await client.publish_keys()
    await own.check_signature()

    async def lasting(message: Message, reply: Reply) -> None:
        await ear.done.wait()
        await reply.finish(FinalAnswer("done"))

    inbox = FakeInbox(lasting)
    intake = MessageHandler(
        homeserver=client,
        settings=SETTINGS,
        prefix="!",
        inbox=inbox,
        reply_to=lambda message: RecordingReply(message.event_id),
        threads=marks,
        refusals=RefusalNotices(NoticeSender(client, SendRateLimiter()), lambda user_id: "", "en"),
        end_interrupted=lambda room_id: None,
    )
    ear = Ear(client, intake, inbox)
    listening = asyncio.create_task(ear.listen())
    yield ear
    listening.cancel()
    with suppress(asyncio.CancelledError):
        await listening
    ear.done.set()
    await inbox.wait_until_idle()
    await intake.close()
    await client.close()
    await marks.close()


async def come(person: Person | Peer, ear: Ear, others: Sequence[Person] = (), encrypted: bool = False) -> str:
    """A room of a person's with us and others in it; a direct chat when there are none."""
    if others:
        room = await person.create_room(invite=[ear.user_id, *(each.user_id for each in others)], encrypted=encrypted)
    else:
        room = await person.direct(ear.user_id, encrypted=encrypted)
    for each in others:
        await each.until(lambda each=each: room in each.invites)
        await each.join(room)
    await person.until(lambda: person.members.get(room, {}).get(ear.user_id) == "join")
    async with asyncio.timeout(WITHIN_S):
        while (known := ear.client.get_room(room)) is None or known.member_count != 2 + len(others):
            await asyncio.sleep(0.02)
    return room


async def test_in_a_room_mentions_replies_and_our_threads_are_taken(
    homeserver: SynapseServer, ear: Ear, enter: Any
) -> None:
    ana, ben = await enter(homeserver, "ana"), await enter(homeserver, "ben")
    room = await come(ana, ear, [ben])
    chatter = await ben.say(room, "Did anybody see the key?")
    first = await ear.message(await ana.say(room, "Hearth: where is the key?", mentions=[ear.user_id]))
    assert first.text == "where is the key?"
    assert [said.text for said in first.context] == ["Did anybody see the key?"]
    assert not first.audience.private
    answer = await ear.answer(first, "Und")
    edit = {"msgtype": "m.text", "body": "Under the mat.", "m.mentions": {}}
    relates = {"rel_type": "m.replace", "event_id": answer}
    again = {**edit, "m.new_content": edit, "m.relates_to": relates}
    await ear.hears(await ear.client.send(room, "m.room.message", again, "edit"))
    reply = await ear.message(await ben.say(room, "Which mat?", reply_to=answer))
    assert [said.text for said in reply.context] == ["Did anybody see the key?", "where is the key?", "Under the mat."]
    thread = await ear.message(await ben.say(room, "Are you sure?", thread=answer))
    assert thread.platform_data["thread"] == answer
    assert [said.text for said in thread.context] == ["Under the mat."]
    other = await ana.say(room, "I saw it.", thread=chatter)
    own = await ear.message(await ana.say(room, "Where exactly?", mentions=[ear.user_id], thread=chatter))
    assert [said.text for said in own.context] == ["Did anybody see the key?", "I saw it."]
    assert other not in {message.event_id for message in ear.inbox.handled}


@pytest.mark.parametrize("encrypted", [False, True])
async def test_in_a_direct_chat_files_edits_reactions_and_redactions(
    homeserver: SynapseServer, ear: Ear, enter: Any, enter_encrypted: Any, encrypted: bool
) -> None:
    ana = await (enter_encrypted if encrypted else enter)(homeserver, "ana")
    room = await come(ana, ear, encrypted=encrypted)
    data = b"The key is under the mat."
    if encrypted:
        await ana.send_encrypted_file(room, "notes.txt", data)
    else:
        await ana.send_file(room, "notes.txt", data)
    asked = await ana.say(room, "Whre is the key?")
    question = await ear.message(asked)
    assert [(file.name, file.data) for file in question.attachments] == [("notes.txt", data)]
    assert question.audience.private
    await ear.hears(await ana.edit(room, asked, "Where is the key?"))
    assert [revised.text for revised in ear.inbox.revised] == ["Where is the key?"]
    answer = await ear.answer(question, "Under the mat.")
    await ear.hears(await ana.react(room, answer, "🛑"))
    assert ear.inbox.stopped_answers == [(question.conversation, asked)]
    await ear.inbox.wait_until_idle()
    again = await ear.message(await ana.react(room, answer, "🔁"))
    assert (again.text, again.platform_data["question"]) == ("Where is the key?", asked)
    assert [file.data for file in again.attachments] == [data]
    await ana.redact(room, asked)
    last = await ear.message(await ana.say(room, "And the red one?"))
    assert ear.inbox.withdrawn == [(question.conversation, again.event_id)]
    assert [said.text for said in last.context] == ["[notes.txt]", "Under the mat."]


async def test_what_nobody_would_send_is_nothing(homeserver: SynapseServer, ear: Ear, enter_encrypted: Any) -> None:
    ana = await enter_encrypted(homeserver, "ana")
    room = await come(ana, ear, encrypted=True)
    odd: list[contents.Content] = [  # a homeserver cannot look into these, so it takes them
        {},
        {"msgtype": {"m": "text"}, "body": ["x"]},
        {"msgtype": "m.text", "body": {"a": 1}, "m.mentions": "all"},
        {"msgtype": "m.file", "body": 7, "file": {"url": ["mxc://a/b"], "key": 5}},
        {"msgtype": "m.text", "body": "\u200b", "m.relates_to": {"m.in_reply_to": ["$x"]}},
    ]
    for content in odd:
        await ear.hears(await ana.send(room, content))
    taken = await ear.message(await ana.say(room, "Where is the key?"))
    assert ear.inbox.handled == [taken]
