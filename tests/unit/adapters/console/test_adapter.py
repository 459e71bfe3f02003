"""The console adapter with a fake inbox and clients in memory."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from adapters.console.adapter import ANSWER_LOST, ConsoleAdapter
from adapters.console.settings import ConsoleSettings
from bot.core.errors import ReplyFailed
from bot.core.messages import Audience, ConversationId, FinalAnswer, Message, Person
from bot.core.ports import Reply
from tests.fakes.channel import MemoryChannel
from tests.fakes.inbox import FakeInbox

SETTINGS = ConsoleSettings(edit_interval_s=0, attachment_bytes=100)


@asynccontextmanager
async def running(inbox: FakeInbox, home: MemoryChannel | None = None) -> AsyncIterator[ConsoleAdapter]:
    adapter = ConsoleAdapter(SETTINGS, home)
    task = asyncio.create_task(adapter.run(inbox))
    try:
        yield adapter
    finally:
        task.cancel()
        await asyncio.wait([task])


async def ends(condition: Awaitable[object]) -> None:
    async with asyncio.timeout(60):
        await condition


async def test_a_message_is_received_answered_and_finished_in_that_order() -> None:
    home = MemoryChannel()
    home.send({"conversation": "kitchen", "author": "ada", "text": "Where?", "event_id": "e1"})
    home.end()
    async with running(FakeInbox(), home) as adapter:
        await ends(adapter.home_ended.wait())
    kinds = [event["event"] for event in home.events]
    assert kinds[0] == "received"
    assert kinds[-1] == "finished"
    assert all((event["conversation"], event["event_id"]) == ("kitchen", "e1") for event in home.events)


async def test_a_line_becomes_a_message_of_the_console() -> None:
    home, inbox = MemoryChannel(), FakeInbox()
    home.send(
        {"conversation": "kitchen", "author": "ada", "text": "Où ?", "sent_at": 5, "admin": True, "event_id": "e"}
    )
    home.send({"conversation": "hall", "author": "bob", "text": "Hi", "private": False})
    home.send({"conversation": "hall", "author": "bob", "text": "Hi", "private": False, "audience": ["guests"]})
    home.end()
    async with running(inbox, home) as adapter:
        await ends(adapter.home_ended.wait())
    message, room, named = inbox.handled
    assert (message.conversation, message.event_id, message.sent_at) == ("console:kitchen", "e", 5)
    assert message.author == Person("console:ada", "ada", is_admin=True)
    assert message.audience == Audience(frozenset({"console", "console:kitchen", "console:ada"}), private=True)
    assert room.audience == Audience(frozenset({"console:hall"}))
    assert room.event_id != named.event_id
    assert not room.author.is_admin
    assert named.audience == Audience(frozenset({"guests"}))


async def test_a_bad_line_gets_one_error_and_the_others_are_answered() -> None:
    home = MemoryChannel()
    home.send({"text": "one"}, b"{", b"", {"text": "two", "colour": "red"}, {"text": "three"})
    home.end()
    async with running(FakeInbox(), home) as adapter:
        await ends(adapter.home_ended.wait())
    assert [error["line"] for error in home.of("error")] == [2, 4]
    assert "colour" in home.of("error")[1]["sentence"]
    assert sorted(event["text"] for event in home.of("finished")) == ["one", "three"]


async def test_the_end_waits_for_answers_and_not_for_messages_that_get_none() -> None:
    release = asyncio.Event()

    async def slow(message: Message, reply: Reply) -> None:
        await release.wait()
        await reply.finish(FinalAnswer("done"))

    home = MemoryChannel()
    home.send(
        {"text": "one", "event_id": "e1"}, {"text": "one", "event_id": "e1"}, {"text": "aside", "addressed": False}
    )
    home.end()
    async with running(FakeInbox(slow), home) as adapter:
        await home.until("ignored", 2)
        assert len(home.of("received")) == 1
        await asyncio.sleep(0.01)
        assert not adapter.home_ended.is_set()
        release.set()
        await ends(adapter.home_ended.wait())
    assert len(home.of("finished")) == 1


async def test_stop_and_withdraw_reach_the_core() -> None:
    async def endless(message: Message, reply: Reply) -> None:
        await asyncio.Event().wait()

    home, inbox = MemoryChannel(), FakeInbox(endless)
    async with running(inbox, home) as adapter:
        home.send({"conversation": "kitchen", "text": "one", "event_id": "e1"})
        home.send({"conversation": "hall", "text": "two", "event_id": "e2"})
        await home.until("received", 2)
        home.send({"stop": "kitchen"}, {"withdraw": {"conversation": "hall", "event_id": "e2"}})
        home.end()
        await ends(adapter.home_ended.wait())
    assert inbox.stopped == [(ConversationId("console:kitchen"), None)]
    assert inbox.withdrawn == [(ConversationId("console:hall"), "e2")]
    assert home.of("stopped")[0]["count"] == 1
    assert home.of("withdrawn")[0]["was_open"] is True
    assert len(home.of("failed")) == 2


async def test_each_client_gets_the_answers_to_its_own_messages() -> None:
    first, second = MemoryChannel(), MemoryChannel()
    first.send({"text": "first"})
    second.send({"text": "second"})
    first.end()
    second.end()
    async with running(FakeInbox()) as adapter:
        await ends(asyncio.gather(adapter.serve_client(first, Path()), adapter.serve_client(second, Path())))
    assert [event["text"] for event in first.of("finished")] == ["first"]
    assert [event["text"] for event in second.of("finished")] == ["second"]


async def test_what_an_earlier_process_left_is_answered_at_home_before_the_end() -> None:
    home, inbox = MemoryChannel(), FakeInbox()
    conversation = ConversationId("console:kitchen")
    audience = Audience(frozenset({"console"}), private=True)
    inbox.left = [Message(conversation, "old", Person("console:ada", "ada"), "old question", True, audience, 1.0)]
    home.end()
    async with running(inbox, home) as adapter:
        await ends(adapter.home_ended.wait())
    assert next(event["send_id"] for event in home.of("text")) == "old/0"
    assert home.shown() == {"old/0": "old question"}
    assert home.of("finished")[0]["attempt"] == 2


async def test_without_a_home_a_left_message_fails_for_good() -> None:
    inbox = FakeInbox()
    audience = Audience(frozenset({"console"}))
    message = Message(ConversationId("console:a"), "old", Person("console:ada", "ada"), "x", True, audience, 1.0)
    async with running(inbox) as adapter:
        with pytest.raises(ReplyFailed, match="gone"):
            await adapter.reply_to(message).finish(FinalAnswer("x"))


async def test_a_home_that_nobody_reads_ends_the_adapter() -> None:
    home = MemoryChannel()
    home.gone = True
    home.send({"text": "one", "addressed": False})
    with pytest.raises(ReplyFailed):
        await ConsoleAdapter(SETTINGS, home).run(FakeInbox())


async def test_attachments_come_from_paths_and_from_the_line_itself(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_bytes(b"# Notes")
    client, inbox = MemoryChannel(), FakeInbox()
    client.send({"text": "x", "attachments": [{"path": "notes.md"}, {"name": "b.bin", "data": "AAE="}]})
    client.end()
    async with running(inbox) as adapter:
        await ends(adapter.serve_client(client, tmp_path))
    notes, inline = inbox.handled[0].attachments
    assert (notes.name, notes.media_type, notes.data) == ("notes.md", "text/markdown", b"# Notes")
    assert (inline.name, inline.data) == ("b.bin", b"\x00\x01")


def missing(folder: Path) -> dict[str, str]:
    return {"path": str(folder / "missing.txt")}


def too_large(folder: Path) -> dict[str, str]:
    (folder / "large.txt").write_bytes(b"x" * 101)
    return {"path": "large.txt"}


def a_folder(folder: Path) -> dict[str, str]:
    return {"path": "."}


def a_null_byte(folder: Path) -> dict[str, str]:
    return {"path": "a\x00b"}


@pytest.mark.parametrize("make", [missing, too_large, a_folder, a_null_byte])
async def test_an_attachment_that_cannot_be_had_refuses_its_line_only(
    make: Callable[[Path], dict[str, str]], tmp_path: Path
) -> None:
    client, inbox = MemoryChannel(), FakeInbox()
    client.send({"text": "x", "attachments": [make(tmp_path)]}, {"text": "y"})
    client.end()
    async with running(inbox) as adapter:
        await ends(adapter.serve_client(client, tmp_path))
    assert [error["line"] for error in client.of("error")] == [1]
    assert [message.text for message in inbox.handled] == ["y"]


async def test_an_answer_that_is_lost_inside_ends_for_its_client_all_the_same() -> None:
    async def broken(message: Message, reply: Reply) -> None:
        await reply.append("The drive is")

    home = MemoryChannel()
    home.send({"text": "one", "event_id": "e1"})
    home.end()
    async with running(FakeInbox(broken), home) as adapter:
        await ends(adapter.home_ended.wait())
    assert [event["sentence"] for event in home.of("failed")] == [ANSWER_LOST]
