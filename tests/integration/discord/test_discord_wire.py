"""The adapter with the real discord.py over HTTP and websockets: what limits, faults and lost connections do to it."""

import asyncio
from collections.abc import Callable

import discord
import pytest

from adapters.delivery import live_reply as reply_module
from adapters.discord.outgoing.rate_limits import DiscordRateLimits
from bot.core.errors import ReplyFailed
from bot.core.messages import FinalAnswer, Message
from bot.core.ports import Reply
from tests.fakes.discord_server import Listener, refusals, running
from tests.fakes.discord_server.limits import MESSAGE, MESSAGES
from tests.fakes.discord_wire import DiscordHarness
from tests.fakes.inbox import TOOK, FakeInbox


def streamed(pieces: int, every_s: float = 0.02) -> Callable[[Message, Reply], object]:
    async def script(message: Message, reply: Reply) -> None:
        text = ""
        for number in range(pieces):
            text += f"Sentence {number}. "
            await reply.append(f"Sentence {number}. ")
            await asyncio.sleep(every_s)
        await reply.finish(FinalAnswer(text))

    return script


async def test_a_mention_is_answered_over_the_wire(wire: DiscordHarness) -> None:
    inbox = FakeInbox()
    async with wire.living(inbox):
        await wire.ask("where is the drive?")
        await wire.until(lambda: wire.shown == ["where is the drive?"])
        await inbox.wait_until_idle()


async def test_a_stream_keeps_to_the_limit_that_the_headers_tell(wire: DiscordHarness) -> None:
    wire.server.limits.set("PATCH", MESSAGE, limit=5, per_s=5.0)
    inbox = FakeInbox(streamed(100, every_s=0.06))
    async with wire.living(inbox):
        await wire.ask("tell me")
        await wire.until(lambda: wire.channel.said_by_bot)
        await inbox.wait_until_idle()
    (message,) = wire.channel.said_by_bot
    assert message.content.strip().endswith("Sentence 99.")
    assert len(message.versions) >= 3
    assert [request.status for request in wire.server.requests if request.status == 429] == []


async def test_a_refused_edit_is_followed_by_the_newest_text_not_by_a_queue(wire: DiscordHarness) -> None:
    wire.server.faults.limit("PATCH", MESSAGE, retry_after_s=1.0, times=3)
    inbox = FakeInbox(streamed(100))
    async with wire.living(inbox):
        await wire.ask("tell me")
        await wire.until(lambda: wire.channel.said_by_bot)
        await inbox.wait_until_idle()
    (message,) = wire.channel.said_by_bot
    assert message.content.strip().endswith("Sentence 99.")
    assert len(message.versions) <= 6


async def test_a_send_whose_answer_is_lost_is_not_posted_twice(wire: DiscordHarness) -> None:
    inbox = FakeInbox()
    async with wire.living(inbox):
        wire.server.faults.lose_answer("POST", MESSAGES)
        await wire.ask("where is the drive?")
        await wire.until(lambda: inbox.parts.get(str(wire.channel.messages[0].id)))
        await inbox.wait_until_idle()
    assert wire.shown == ["where is the drive?"]


async def test_limits_are_learnt_inside_a_bot_that_others_have_built(wire: DiscordHarness) -> None:
    channel = wire.channel
    wire.server.limits.set("PATCH", MESSAGE, limit=3, per_s=60.0)
    rates = DiscordRateLimits()
    async with running(wire.server, Listener()) as client:
        rates.watch_client(client)
        rates.watch_client(client)
        sent = await client.get_partial_messageable(channel.id).send("one")
        await sent.edit(content="two")
        now = asyncio.get_running_loop().time()
        assert rates.limit_for("edit", channel.id).wait_s(now) > 5
        assert rates.limit_for("edit", channel.id + 1).wait_s(now) == 0
        rates.unwatch_client()
        wire.server.limits.set("PATCH", MESSAGE, limit=1000, per_s=1.0)
        await sent.edit(content="three")
        assert rates.limit_for("edit", channel.id).wait_s(now) > 5


@pytest.mark.parametrize("status", [500, 503])
async def test_a_minute_of_500s_delays_an_answer_loses_nothing_and_is_told_once(
    wire: DiscordHarness, status: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(reply_module, "RETRY_AFTER_S", 0.05)
    monkeypatch.setattr(discord.http.asyncio, "sleep", _shortened(asyncio.sleep))
    inbox = FakeInbox(streamed(20))
    async with wire.living(inbox):
        fault = wire.server.faults.fail(status=status, for_s=60.0)
        await wire.ask("tell me")
        await wire.until(lambda: "Delaying the answer" in caplog.text)
        hits = fault.hits
        await wire.until(lambda: fault.hits >= hits + 20)
        assert wire.shown == []
        wire.server.clock.advance(61)
        await wire.until(lambda: wire.shown and wire.shown[0].strip().endswith("Sentence 19."))
        await inbox.wait_until_idle()
    assert len(wire.shown) == 1
    assert caplog.text.count("Delaying the answer") == 1


def _shortened(sleep: Callable[[float], object]) -> Callable[[float], object]:
    """The library waits up to 9 s between its tries."""
    return lambda seconds: sleep(min(seconds, 0.02))


async def test_a_minute_of_429s_on_every_edit_ends_in_the_whole_text(
    wire: DiscordHarness, caplog: pytest.LogCaptureFixture
) -> None:
    inbox = FakeInbox(streamed(100))
    async with wire.living(inbox):
        fault = wire.server.faults.limit("PATCH", MESSAGE, retry_after_s=0.3, for_s=60.0)
        await wire.ask("tell me")
        await wire.until(lambda: fault.hits >= 6)
        (message,) = wire.channel.said_by_bot
        assert message.content.startswith("Sentence 0.")
        wire.server.clock.advance(61)
        await wire.until(lambda: message.content.strip().endswith("Sentence 99."))
        await inbox.wait_until_idle()
    assert wire.channel.said_by_bot == [message]
    assert len(message.versions) <= 6
    assert caplog.text.count("Delaying the answer") <= 1


@pytest.mark.parametrize(
    ("gone", "sentence"),
    [
        (lambda wire: wire.channel.delete(), "The channel no longer exists."),
        (lambda wire: wire.server.guild("Rook Lane").delete(), "The channel no longer exists."),
        (lambda wire: wire.channel.deny("send_messages"), "give it the permissions “Send Messages”"),
        (lambda wire: wire.channel.deny("view_channel"), "give it the permission “View Channel”"),
    ],
    ids=["channel", "guild", "right to write", "right to see"],
)
async def test_what_goes_in_the_middle_of_an_answer_ends_it_with_a_sentence(
    wire: DiscordHarness, gone: Callable[[DiscordHarness], None], sentence: str
) -> None:
    told: list[str] = []

    async def script(message: Message, reply: Reply) -> None:
        gone(wire)
        try:
            await reply.finish(FinalAnswer("Shelf Heron."))
        except ReplyFailed as error:
            told.append(str(error))

    inbox = FakeInbox(script)
    async with wire.living(inbox):
        await wire.ask("where?")
        await wire.until(lambda: told)
        await inbox.wait_until_idle()
    assert sentence in told[0]


async def test_a_question_that_is_deleted_while_it_is_read_is_not_answered(
    wire: DiscordHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, read = asyncio.Event(), asyncio.Event()

    async def reading(file: discord.Attachment, *, use_cached: bool = False) -> bytes:
        begun.set()
        await read.wait()
        return b"# Plan"

    monkeypatch.setattr(discord.Attachment, "read", reading)
    inbox = FakeInbox()
    async with wire.living(inbox):
        question = await wire.ask("one", files={"plan.md": b"# Plan"})
        await begun.wait()
        await wire.channel.remove(question)
        await wire.server.direct(wire.ana).say(wire.ana, "two")  # told after the deletion
        await wire.until(lambda: wire.server.direct(wire.ana).said_by_bot)
        read.set()
        await wire.ask("three")
        await wire.until(lambda: wire.shown == ["three"])
        await inbox.wait_until_idle()
    assert [message.text for message in inbox.handled] == ["two", "three"]


async def test_an_answer_that_automod_blocks_loses_its_button_and_the_person_is_told(wire: DiscordHarness) -> None:
    failures: list[str] = []

    async def script(message: Message, reply: Reply) -> None:
        await reply.working()
        await reply.append("The drive is here. ")
        await wire.until(lambda: wire.shown)
        wire.server.faults.refuse(refusals.automod_blocked(), "PATCH", MESSAGE, times=1)
        try:
            while True:
                await reply.append("It goes back there in the evening. ")
                await asyncio.sleep(0.01)
        except ReplyFailed as error:
            failures.append(str(error))

    inbox = FakeInbox(script)
    async with wire.living(inbox):
        await wire.ask("where?")
        await inbox_answers(wire, inbox)
        (message,) = wire.channel.said_by_bot
        assert message.content.startswith("The drive is here.")
        assert message.buttons == {}
        assert [said.content for said in wire.server.direct(wire.ana).said_by_bot] == [
            f"The server's AutoMod blocked my answer in {wire.channel.mention}, so it ends there."
            " A server manager can exempt me from the rule."
        ]
    assert failures == ["The server's AutoMod blocked the answer."]


async def inbox_answers(wire: DiscordHarness, inbox: FakeInbox) -> None:
    await wire.until(lambda: inbox.handled)
    await inbox.wait_until_idle()


async def test_a_locked_thread_starts_no_answer_and_the_person_is_told_once(wire: DiscordHarness) -> None:
    thread = wire.channel.thread("Boiler")
    inbox = FakeInbox()
    async with wire.living(inbox):
        thread.lock()
        for number in range(3):
            await thread.say(wire.root, f"<@bot> where? {number}")
        direct = wire.server.direct(wire.root)
        await wire.until(lambda: direct.said_by_bot)
        await wire.ask("and here?")
        await wire.until(lambda: wire.shown == ["and here?"])
    assert [message.text for message in inbox.handled] == ["and here?"]
    assert [said.content for said in direct.said_by_bot] == [
        f"{thread.mention} is locked, so I cannot post there. A moderator can unlock it, or let me manage threads."
    ]


async def test_many_questions_where_nothing_may_be_written_get_one_direct_message(wire: DiscordHarness) -> None:
    inbox = FakeInbox()
    hall = wire.server.guild("Rook Lane").channel("hall")
    hall.deny("send_messages")
    async with wire.living(inbox):
        for _ in range(8):
            await hall.say(wire.ana, "<@bot> where?")
        await wire.ask("and here?")
        await wire.until(lambda: wire.shown == ["and here?"])
        await inbox.wait_until_idle()
    assert len(wire.server.direct(wire.ana).said_by_bot) == 1


async def test_who_accepts_no_direct_messages_is_tried_once(wire: DiscordHarness) -> None:
    inbox = FakeInbox()
    hall = wire.server.guild("Rook Lane").channel("hall")
    hall.deny("send_messages")
    wire.ana.user.closed_dms = True
    async with wire.living(inbox):
        for _ in range(3):
            await hall.say(wire.ana, "<@bot> where?")
        await wire.ask("and here?")
        await wire.until(lambda: wire.shown == ["and here?"])
        await inbox.wait_until_idle()
    assert [request.status for request in wire.server.requests].count(403) == 1


async def test_an_edit_that_comes_while_the_question_is_still_read_is_followed(
    wire: DiscordHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, read, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def reading(file: discord.Attachment, *, use_cached: bool = False) -> bytes:
        begun.set()
        await read.wait()
        return b"# Plan"

    async def script(message: Message, reply: Reply) -> None:
        await done.wait()
        await reply.finish(FinalAnswer(message.text, timings=TOOK))

    monkeypatch.setattr(discord.Attachment, "read", reading)
    inbox = FakeInbox(script)
    async with wire.living(inbox):
        question = await wire.ask("one", files={"plan.md": b"# Plan"})
        await begun.wait()
        await wire.channel.edit(question, "<@bot> one more")
        read.set()
        await wire.until(lambda: inbox.revised)
        done.set()
        await inbox.wait_until_idle()
    assert [message.text for message in inbox.handled] == ["one"]
    assert [message.text for message in inbox.revised] == ["one more"]
