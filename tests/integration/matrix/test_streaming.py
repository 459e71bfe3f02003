"""Answers while they are written, on a real homeserver: within its limits, through its absence, under its size."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from adapters.delivery import live_reply as reply_module
from adapters.matrix.adapter import FOLDER
from adapters.matrix.client import MatrixClient
from adapters.matrix.credentials import load_credentials
from adapters.matrix.limits import MAX_EDITS
from adapters.matrix.outgoing.rate_limiter import SendRateLimiter
from adapters.matrix.outgoing.replies import MatrixReplyFactory
from bot.core.messages import Attachment, Audience, ConversationId, FinalAnswer, Message, Person, PostedPart, Timings
from deploy.dev.homeserver import Person as Asker
from deploy.dev.homeserver import Shown, SynapseServer
from tests.fakes.matrix_resident import log_in

SENTENCE = "The drive is on the shelf, and this sentence is one of many. "
CLOSING_TIMINGS = Timings(total_s=1.0)
SENTENCES_PER_S = 8

Begin = Callable[..., Awaitable["Desk"]]


def _now() -> float:
    return asyncio.get_running_loop().time()


@dataclass
class Written:
    """How one answer went: seconds from its opening to its first message, and from its end to its last text."""

    first_s: float = 0.0
    final_s: float = 0.0
    parts: list[PostedPart] = field(default_factory=list)


@dataclass
class Desk:
    """Hearth's client in a room with somebody who asks."""

    asker: Asker
    client: MatrixClient
    room: str
    budget: SendRateLimiter
    answers: MatrixReplyFactory

    async def question(self, body: str) -> Message:
        event_id = await self.asker.say(self.room, body)
        return Message(
            conversation=ConversationId(f"matrix:{self.room}"),
            event_id=event_id,
            author=Person(f"matrix:{self.asker.user_id}", "Ana"),
            text=body,
            addressed=True,
            audience=Audience(frozenset()),
            sent_at=0.0,
            platform_data={"room": self.room, "question": event_id, "author": self.asker.user_id},
        )

    async def shown(self, part: PostedPart, is_whole: Callable[[str], bool]) -> Shown:
        """A message of ours as who asked sees it, when its last text is there."""
        return await self.asker.shown(
            self.room, lambda shown: shown.event_id == part.platform_id and is_whole(shown.body)
        )

    async def write(self, question: Message, lasts_s: float, closing: FinalAnswer | None = None) -> Written:
        """An answer as a model writes it: a little text all the time, then the end."""
        written, reply, begun = Written(), self.answers.reply_to(question), _now()

        async def record(part: PostedPart) -> None:
            written.first_s = written.first_s or _now() - begun
            written.parts.append(part)

        await reply.open(1, (), record)
        text = ""
        while _now() < begun + lasts_s:
            await reply.append(SENTENCE)
            text += SENTENCE
            await asyncio.sleep(1 / SENTENCES_PER_S)
        ended = _now()
        await reply.finish(closing or FinalAnswer(text, timings=CLOSING_TIMINGS))
        written.final_s = _now() - ended
        return written


@pytest.fixture
async def begin(enter: Callable[..., Awaitable[Asker]], tmp_path: Path) -> AsyncIterator[Begin]:
    """`await begin(server)`: Hearth's client and somebody in a room with it."""
    async with AsyncExitStack() as stack:

        async def at(server: SynapseServer, *, encrypted: bool = False) -> Desk:
            log_in(tmp_path, server.url, account := await server.register("hearth"))
            client = MatrixClient.open(tmp_path / FOLDER, load_credentials(tmp_path / FOLDER))
            stack.push_async_callback(client.close)
            asker = await enter(server, "ana")
            room = await asker.direct(account.user_id, encrypted=encrypted)
            await client.join_room(room)
            await client.sync("", 0)
            budget = SendRateLimiter()
            answers = MatrixReplyFactory(client, budget)
            stack.push_async_callback(answers.close)
            return Desk(asker, client, room, budget, answers)

        yield at


@pytest.mark.alone
async def test_five_answers_at_once_keep_to_the_default_limit(limited_homeserver: SynapseServer, begin: Begin) -> None:
    desk = await begin(limited_homeserver)
    questions = [await desk.question(f"Question {number}?") for number in range(5)]
    written = await asyncio.gather(*(desk.write(question, 14.0) for question in questions))
    for answer in written:
        assert answer.first_s < 3
        assert answer.final_s < 2
        (part,) = answer.parts
        shown = await desk.shown(part, lambda body: len(body) > 14 * SENTENCES_PER_S / 2 * len(SENTENCE))
        assert 1 <= len(shown.edited_ms) <= 5
    assert not desk.budget.bucket.lifted


@pytest.mark.alone
async def test_an_answer_is_fluent_where_the_limits_are_lifted(homeserver: SynapseServer, begin: Begin) -> None:
    desk = await begin(homeserver)
    written = await desk.write(await desk.question("Where is the drive?"), 18.0)
    assert written.first_s < 2
    assert written.final_s < 1
    assert desk.budget.bucket.lifted
    shown = await desk.shown(written.parts[0], lambda body: len(body) > 18 * SENTENCES_PER_S / 2 * len(SENTENCE))
    assert 10 <= len(shown.edited_ms) <= MAX_EDITS
    assert shown.edited_ms[5] - shown.sent_ms < 8000


async def test_an_answer_goes_on_after_the_homeserver_was_away(
    homeserver: SynapseServer, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reply_module, "RETRY_AFTER_S", 0.3)
    desk = await begin(homeserver)
    writing = asyncio.create_task(
        desk.write(await desk.question("Where is the drive?"), 4.0, FinalAnswer("On the shelf."))
    )
    await desk.asker.shown(desk.room, lambda shown: shown.body.startswith("The drive"))
    await homeserver.stop(kill=True)
    await asyncio.sleep(3)
    await homeserver.start()
    written = await writing
    shown = await desk.asker.shown(desk.room, lambda shown: shown.body == "On the shelf.")
    assert [shown.event_id] == [part.platform_id for part in written.parts]
    assert len(desk.asker.timeline.shown(desk.room, desk.client.user_id)) == 1


@pytest.mark.parametrize("encrypted", [False, True])
async def test_the_largest_messages_are_taken(homeserver: SynapseServer, begin: Begin, encrypted: bool) -> None:
    desk = await begin(homeserver, encrypted=encrypted)
    chart = Attachment("chart.png", "image/png", b"a picture")
    for text in ("\U0001f600" * 9000, "<" * 9000, '\x01\\"' * 3000, "Some **words** here.\n" * 1500):
        question = await desk.question("?")
        written = await desk.write(question, 1.5, FinalAnswer(text, timings=CLOSING_TIMINGS, pictures=(chart,)))
        assert len(written.parts) > 1
        last = written.parts[-1].platform_id
        await desk.asker.until(lambda last=last: any(each["event_id"] == last for each in desk.asker.timeline.events()))
    own = desk.asker.timeline.events(desk.room, sender=desk.client.user_id)
    sent = [event for event in own if event["type"] in ("m.room.message", "m.room.encrypted")]
    assert all(("ciphertext" in event["content"]) == encrypted for event in sent)
