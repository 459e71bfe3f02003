"""What every Reply keeps to, whatever its platform; each implementation joins with a `Stage` of its own."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

import discord
import pytest

from adapters.console.events import QuestionRef
from adapters.console.reply import ConsoleReply
from adapters.delivery.live_reply import LiveReply
from adapters.delivery.rate_limit import RateLimit, RateLimits
from adapters.discord.outgoing.channel_transport import ChannelTransport, DiscordReplyTarget
from adapters.discord.outgoing.interaction_token import InteractionToken, acknowledge_interaction
from adapters.discord.outgoing.interaction_transport import InteractionTransport
from adapters.discord.outgoing.rate_limits import DiscordRateLimits
from adapters.discord.outgoing.reply_policy import DiscordReplyPolicy
from adapters.discord.outgoing.transport import DiscordTransport
from adapters.matrix.events import Event
from adapters.matrix.homeserver import RequestRefused as RefusedByHomeserver
from adapters.matrix.outgoing.rate_limiter import SendRateLimiter
from adapters.matrix.outgoing.replies import MatrixReplyFactory
from bot.core.errors import ReplyFailed
from bot.core.messages import Audience, ConversationId, FinalAnswer, Message, Person, PostedPart, Source
from bot.core.ports import Reply
from knowledge.passages import PassageLocation
from tests.fakes.channel import MemoryChannel
from tests.fakes.discord_place import MemoryTransport
from tests.fakes.discord_server import DiscordServer, Listener, discord_server, running
from tests.fakes.discord_server.channel import Channel
from tests.fakes.discord_server.message import Message as DiscordMessage
from tests.fakes.discord_server.refusals import Refused
from tests.fakes.reply import FakePlatform, RecordingReply
from tests.fakes.wire import ALICE, ME, ROOM, FakeHomeserver

SOURCE = Source(
    1, "handbook", "disks.md", "Disks", PassageLocation(heading=("Backup",)), "The drive is on shelf Heron.", 0.9
)


class Stage(Protocol):
    """A platform with one question on it."""

    def reply(self) -> Reply:
        """A reply to the question, as the adapter builds it from the message; anew after each restart."""
        ...

    def shown(self) -> list[str]:
        """The texts of all messages that the reply has on the platform now, oldest first."""
        ...

    def refuse(self) -> None:
        """From now on the platform takes nothing more, for good."""
        ...


class RecordingStage:
    """The fake that tests of the core use."""

    def __init__(self) -> None:
        self._platform = FakePlatform()
        self._replies: list[RecordingReply] = []
        self._refusing = False

    def reply(self) -> Reply:
        reply = RecordingReply("question-1", self._platform)
        self._replies.append(reply)
        return reply

    def shown(self) -> list[str]:
        return list(self._platform.parts.values())

    def refuse(self) -> None:
        for reply in self._replies:
            reply.refuses_with = "the room is gone"


class ConsoleStage:
    """The console over a channel in memory, watched by a platform that drops send ids it knows."""

    def __init__(self) -> None:
        self._channel = MemoryChannel()

    def reply(self) -> Reply:
        return ConsoleReply(QuestionRef("kitchen", "question-1"), self._channel, 0.0)

    def shown(self) -> list[str]:
        return list(self._channel.shown().values())

    def refuse(self) -> None:
        self._channel.gone = True


class DiscordStage:
    """Discord's replies over a channel in memory."""

    def __init__(self) -> None:
        self._transport = MemoryTransport()

    def reply(self) -> Reply:
        return discord_reply("1234567890123456789", self._transport)

    def shown(self) -> list[str]:
        return self._transport.texts()

    def refuse(self) -> None:
        self._transport.refuses_with = "the channel is gone"


class InteractionStage:
    """Discord's replies to slash commands, over real requests to a Discord on loopback."""

    def __init__(
        self, client: discord.Client, grant: InteractionToken, server: DiscordServer, channel: Channel
    ) -> None:
        self._client = client
        self._grant = grant
        self._server = server
        self._channel = channel

    def reply(self) -> Reply:
        transport = InteractionTransport(self._client, self._grant, hasty())
        return discord_reply(str(self._grant.interaction_id), transport)

    def shown(self) -> list[str]:
        return [message.content for message in self._channel.said_by_bot if message.content]

    def refuse(self) -> None:
        self._server.faults.refuse(Refused(403, 50001, "Missing Access"), times=None)


class ChannelStage:
    """Discord's replies to messages, over real requests to a Discord on loopback."""

    def __init__(self, client: discord.Client, server: DiscordServer, question: DiscordMessage) -> None:
        self._client = client
        self._server = server
        self._question = question

    def reply(self) -> Reply:
        channel = self._question.channel
        assert channel.guild is not None
        target = DiscordReplyTarget(channel.id, self._question.id, channel.guild.id)
        return discord_reply(str(self._question.id), ChannelTransport(self._client, target, hasty()))

    def shown(self) -> list[str]:
        return [message.content for message in self._question.channel.said_by_bot]

    def refuse(self) -> None:
        self._server.faults.refuse(Refused(403, 50001, "Missing Access"), times=None)


def discord_reply(event_id: str, transport: DiscordTransport | MemoryTransport) -> Reply:
    return LiveReply(event_id, transport, DiscordReplyPolicy(transport.limit_for))


def hasty() -> DiscordRateLimits:
    """Paces that wait for nothing until Discord says so."""
    rates = DiscordRateLimits()
    rates.limits = RateLimits(lambda: RateLimit(0.0, floor_s=0.0))
    return rates


class MatrixStage:
    """Matrix's replies in a room of a homeserver in memory."""

    def __init__(self) -> None:
        self._wire = FakeHomeserver()
        self._wire.add_room()
        question = self._wire.say("Where is the drive?").event_id
        self._question = Message(
            conversation=ConversationId(f"matrix:{ROOM}"),
            event_id=question,
            author=Person(f"matrix:{ALICE}", "Alice"),
            text="Where is the drive?",
            addressed=True,
            audience=Audience(frozenset()),
            sent_at=0.0,
            platform_data={"room": ROOM, "question": question, "author": ALICE},
        )
        self._runs: list[MatrixReplyFactory] = []

    def reply(self) -> Reply:
        self._runs.append(MatrixReplyFactory(self._wire, SendRateLimiter()))
        return self._runs[-1].reply_to(self._question)

    def shown(self) -> list[str]:
        shown: dict[str, str] = {}
        for event in self._wire.rooms[ROOM].events():
            if _is_shown(event):
                relation = event.content["m.relates_to"]
                said = event.content.get("m.new_content", event.content)
                shown[relation.get("event_id", event.event_id)] = said["body"]
        return [body for event_id, body in shown.items() if event_id not in self._wire.redacted]

    def refuse(self) -> None:
        self._wire.faults.always("send", RefusedByHomeserver(403, "M_FORBIDDEN", {}))

    async def close(self) -> None:
        for run in self._runs:
            await run.close()


def _is_shown(event: Event) -> bool:
    """Whether an event is a message of ours, or an edit of one."""
    return event.sender == ME and event.type == "m.room.message" and "body" in event.content


@asynccontextmanager
async def matrix_stage() -> AsyncIterator[Stage]:
    """A stage whose requests under way are ended with it."""
    stage = MatrixStage()
    yield stage
    await stage.close()


class Waiter(Listener):
    """Acknowledges slash commands, and leaves it at that."""

    def __init__(self) -> None:
        super().__init__()
        self.granted: asyncio.Queue[InteractionToken] = asyncio.Queue()

    async def on_interaction(self, interaction: discord.Interaction[discord.Client]) -> None:
        self.granted.put_nowait(await acknowledge_interaction(interaction, ephemeral=False))


@asynccontextmanager
async def interaction_stage() -> AsyncIterator[Stage]:
    """A stage on which somebody has just used a slash command."""
    async with discord_server() as server, running(server, Waiter()) as client:
        home = server.guild("Home")
        kitchen, ana = home.channel("kitchen"), home.member("Ana")
        assert client.application_id is not None
        asking: Any = {"name": "ask", "type": 1, "description": "Ask"}
        await client.http.bulk_upsert_global_commands(client.application_id, [asking])
        await kitchen.command(ana, "ask")
        yield InteractionStage(client, await client.granted.get(), server, kitchen)


@asynccontextmanager
async def channel_stage() -> AsyncIterator[Stage]:
    """A stage on which somebody has just asked by mention."""
    async with discord_server() as server, running(server, Listener()) as client:
        home = server.guild("Home")
        question = await home.channel("kitchen").say(home.member("Ana"), "<@bot> where is the drive?")
        yield ChannelStage(client, server, question)


STAGES: dict[str, Callable[[], Stage]] = {
    "recording": RecordingStage,
    "console": ConsoleStage,
    "discord": DiscordStage,
}


ENDED: dict[str, Callable[[], AbstractAsyncContextManager[Stage]]] = {
    "discord over the wire": channel_stage,
    "discord's interactions over the wire": interaction_stage,
    "matrix": matrix_stage,
}


@pytest.fixture(params=[*STAGES, *ENDED])
async def stage(request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    if request.param in STAGES:
        yield STAGES[request.param]()
        return
    async with ENDED[request.param]() as built:
        yield built


class Journal:
    """Keeps what a reply records."""

    def __init__(self) -> None:
        self.parts: list[PostedPart] = []

    async def record(self, part: PostedPart) -> None:
        self.parts.append(part)


async def opened(stage: Stage, journal: Journal, attempt: int = 1, posted: Sequence[PostedPart] = ()) -> Reply:
    reply = stage.reply()
    await reply.open(attempt, posted, journal.record)
    return reply


async def test_a_finished_reply_shows_exactly_the_closing_text(stage: Stage) -> None:
    reply = await opened(stage, Journal())
    for piece in ["The drive ", "is on ", "shelf"]:
        await reply.append(piece)
    await reply.finish(FinalAnswer("The drive is on shelf Heron [1].", (SOURCE,)))
    assert "".join(stage.shown()).startswith("The drive is on shelf Heron [1].")
    assert len(stage.shown()) == 1


async def test_a_reply_finished_without_pieces_is_posted(stage: Stage) -> None:
    reply = await opened(stage, Journal())
    await reply.finish(FinalAnswer("Shelf Heron."))
    assert stage.shown() == ["Shelf Heron."]


async def test_opening_waiting_and_working_leave_nothing_behind(stage: Stage) -> None:
    reply = await opened(stage, Journal())
    await reply.waiting(3, 12.5, "Third in the queue.")
    await reply.waiting(1, None, "Next in the queue.")
    await reply.working()
    await reply.finish(FinalAnswer("Shelf Heron."))
    assert stage.shown() == ["Shelf Heron."]


async def test_replace_puts_a_new_text_in_place_of_what_was_shown(stage: Stage) -> None:
    reply = await opened(stage, Journal())
    await reply.append("10 of 50 documents")
    await reply.replace("50 of 50 documents")
    await reply.finish(FinalAnswer("Added 50 documents."))
    assert stage.shown() == ["Added 50 documents."]


async def test_a_failure_is_told_below_the_text_already_shown(stage: Stage) -> None:
    reply = await opened(stage, Journal())
    await reply.append("The drive is")
    await reply.fail("The model stopped working.")
    shown = "".join(stage.shown())
    assert shown.startswith("The drive is")
    assert shown.endswith("The model stopped working.")


async def test_a_failure_before_any_text_is_posted(stage: Stage) -> None:
    reply = await opened(stage, Journal())
    await reply.fail("The model stopped working.")
    assert stage.shown() == ["The model stopped working."]


async def test_posted_parts_are_recorded_once_and_numbered_from_0(stage: Stage) -> None:
    journal = Journal()
    reply = await opened(stage, journal)
    await reply.append("Shelf ")
    await reply.finish(FinalAnswer("Shelf Heron."))
    assert [part.number for part in journal.parts] == list(range(len(stage.shown())))
    assert len({part.platform_id for part in journal.parts}) == len(journal.parts)


async def test_a_second_attempt_edits_what_the_first_one_posted(stage: Stage) -> None:
    journal = Journal()
    first = await opened(stage, journal)
    await first.finish(FinalAnswer("A longer first answer."))
    second = await opened(stage, Journal(), attempt=2, posted=journal.parts)
    await second.append("Shelf ")
    await second.finish(FinalAnswer("Shelf Heron."))
    assert stage.shown() == ["Shelf Heron."]


async def test_a_post_that_a_crash_kept_out_of_the_journal_is_not_posted_twice(stage: Stage) -> None:
    first = await opened(stage, Journal())
    await first.finish(FinalAnswer("A first answer."))
    journal = Journal()
    second = await opened(stage, journal, attempt=2, posted=())
    await second.append("Shelf ")
    await second.finish(FinalAnswer("Shelf Heron."))
    assert stage.shown() == ["Shelf Heron."]
    assert len(journal.parts) == 1


async def test_a_failed_second_attempt_leaves_one_message(stage: Stage) -> None:
    first = await opened(stage, Journal())
    await first.finish(FinalAnswer("A first answer."))
    second = await opened(stage, Journal(), attempt=3, posted=())
    await second.fail("The answer failed twice.")
    assert len(stage.shown()) == 1
    assert stage.shown()[0].endswith("The answer failed twice.")


async def test_an_empty_closing_text_ends_the_reply(stage: Stage) -> None:
    reply = await opened(stage, Journal())
    await reply.finish(FinalAnswer("", note="Stopped."))
    assert "".join(stage.shown()) in ("", "Stopped.")


async def test_a_platform_that_refuses_raises_reply_failed(stage: Stage) -> None:
    reply = await opened(stage, Journal())
    stage.refuse()
    with pytest.raises(ReplyFailed):
        await reply.finish(FinalAnswer("Shelf Heron."))


async def test_a_platform_that_refuses_raises_on_failures_too(stage: Stage) -> None:
    reply = await opened(stage, Journal())
    stage.refuse()
    with pytest.raises(ReplyFailed):
        await reply.fail("The model stopped working.")


@pytest.mark.parametrize("text", ["", "You are next in the queue."])
async def test_a_discarded_reply_leaves_nothing_to_read(stage: Stage, text: str) -> None:
    reply = await opened(stage, Journal())
    await reply.waiting(1, None, text or "You are next in the queue.")
    if text:
        await reply.replace(text)
    await reply.discard()
    assert "".join(stage.shown()) == ""


async def test_what_an_earlier_attempt_posted_is_discarded_too(stage: Stage) -> None:
    journal = Journal()
    first = await opened(stage, journal)
    await first.finish(FinalAnswer("A first answer."))
    second = await opened(stage, Journal(), attempt=2, posted=journal.parts)
    await second.discard()
    assert "".join(stage.shown()) == ""
