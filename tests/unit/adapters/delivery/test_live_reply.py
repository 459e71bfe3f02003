"""Live replies over the transports of both platforms in memory."""

import asyncio
from typing import Any

import pytest

from adapters.delivery import live_reply
from adapters.delivery.errors import TransientFailure
from adapters.delivery.live_reply import LiveReply
from adapters.discord.outgoing.reply_policy import DiscordReplyPolicy
from adapters.matrix.outgoing.rate_limiter import ReplyQuota, SendRateLimiter
from adapters.matrix.outgoing.reply_policy import MatrixReplyPolicy
from bot.core.errors import ReplyFailed
from bot.core.messages import FinalAnswer, PostedPart
from tests.fakes.discord_place import MemoryTransport
from tests.fakes.matrix_place import MemoryRoom


class Stage:
    """One platform, over restarts."""

    def __init__(self, transport: MemoryTransport | MemoryRoom, words: int) -> None:
        """So many `words` need more than one message."""
        self.transport = transport
        self.words = words
        self.open_replies: set[LiveReply[Any]] = set()
        self.parts: list[PostedPart] = []

    async def record(self, part: PostedPart) -> None:
        self.parts.append(part)

    async def opened(self, attempt: int = 1) -> LiveReply[Any]:
        reply = self.build()
        await reply.open(attempt, tuple(self.parts), self.record)
        return reply

    def build(self) -> LiveReply[Any]:
        if isinstance(self.transport, MemoryTransport):
            policy = DiscordReplyPolicy(self.transport.limit_for)
            return LiveReply("1234567890123456789", self.transport, policy, open_replies=self.open_replies)
        limiter = SendRateLimiter()
        limiter.bucket.lifted = True
        matrix_policy = MatrixReplyPolicy(ReplyQuota(limiter))
        return LiveReply("$question", self.transport, matrix_policy, open_replies=self.open_replies)

    def forget_request_ids(self) -> None:
        """The platform takes the next requests for new ones."""
        ids = self.transport.nonces if isinstance(self.transport, MemoryTransport) else self.transport.transactions
        ids.clear()


@pytest.fixture(params=["discord", "matrix"])
def stage(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.setattr(live_reply, "RETRY_AFTER_S", 0.0)
    monkeypatch.setattr("adapters.matrix.outgoing.rate_limiter.EDIT_GAP_S", 1e-9)
    monkeypatch.setattr("adapters.matrix.outgoing.rate_limiter.LONG_ANSWER_S", 1e-9)
    return Stage(MemoryTransport(), 1100) if request.param == "discord" else Stage(MemoryRoom(), 9000)


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_only_the_newest_text_is_sent_however_many_pieces_come(stage: Stage) -> None:
    reply = await stage.opened()
    for number in range(500):
        await reply.append(f"Line {number}.\n")
    await reply.finish(FinalAnswer("All said."))
    assert stage.transport.texts() == ["All said."]
    assert stage.transport.requests.count("edit") <= 2


async def test_what_does_not_reach_the_platform_for_a_while_is_sent_in_the_end(stage: Stage) -> None:
    reply = await stage.opened()
    stage.transport.failures = [TransientFailure("status 500") for _ in range(5)]
    await reply.append("The key is here. ")
    await settled()
    await reply.finish(FinalAnswer("The key is here."))
    assert stage.transport.texts() == ["The key is here."]


async def test_a_long_answer_goes_on_in_further_messages_and_shrinks_again(stage: Stage) -> None:
    reply = await stage.opened()
    long = "word " * stage.words
    await reply.finish(FinalAnswer(long))
    assert "".join(stage.transport.texts()).split() == long.split()
    assert len(stage.transport.parts) == len(stage.parts) >= 3
    again = await stage.opened(attempt=2)
    await again.finish(FinalAnswer("Short."))
    assert stage.transport.texts() == ["Short."]


async def test_what_was_posted_is_found_even_when_it_cannot_be_looked_for_at_once(stage: Stage) -> None:
    first = await stage.opened()
    await first.finish(FinalAnswer("The first."))
    stage.forget_request_ids()
    stage.parts.clear()
    stage.transport.failures = [TransientFailure("status 500"), TransientFailure("status 500")]
    again = await stage.opened(attempt=2)
    await again.finish(FinalAnswer("The second."))
    assert stage.transport.texts() == ["The second."]


async def test_a_reply_that_failed_is_open_no_longer(stage: Stage) -> None:
    reply = await stage.opened()
    assert stage.open_replies == {reply}
    stage.transport.refuses_with = "The channel does not exist any more."
    with pytest.raises(ReplyFailed):
        await reply.finish(FinalAnswer("Shelf Heron."))
    assert stage.open_replies == set()


async def test_starting_over_keeps_the_message(stage: Stage) -> None:
    reply = await stage.opened()
    await reply.append("The first. ")
    await settled()
    await reply.replace("")
    await reply.working()
    await settled()
    await reply.append("The second.")
    await reply.finish(FinalAnswer("The second."))
    assert stage.transport.texts() == ["The second."]
    assert stage.transport.requests.count("send") == 1


@pytest.mark.parametrize("in_the_middle", [True, False])
async def test_of_a_refused_answer_what_was_taken_stays_with_a_sentence_below(
    stage: Stage, in_the_middle: bool
) -> None:
    reply = await stage.opened()
    await reply.append("The drive is here. ")
    await settled()
    stage.transport.refuses_with = "The server's filter refuses the text."
    if in_the_middle:
        await reply.replace("The drive is on a shelf.")
        await settled()
    with pytest.raises(ReplyFailed):
        if in_the_middle:
            await reply.append("More.")
        else:
            await reply.finish(FinalAnswer("The drive is on a shelf.", note="Cut."))
    stage.transport.refuses_with = ""
    await reply.fail("This answer was refused here.")
    (text,) = stage.transport.texts()
    assert text.startswith("The drive is here.")
    assert text.endswith("This answer was refused here.")
    assert "shelf" not in text


async def test_a_refused_first_text_is_replaced_by_the_sentence(stage: Stage) -> None:
    reply = await stage.opened()
    await reply.waiting(2, None, "You are number 2 in the queue.")
    await settled()
    stage.transport.refuses_with = "The server's filter refuses the text."
    with pytest.raises(ReplyFailed):
        await reply.finish(FinalAnswer("The drive is on a shelf.", note="Cut."))
    stage.transport.refuses_with = ""
    await reply.fail("This answer was refused here.")
    assert stage.transport.texts() == ["This answer was refused here."]


async def test_a_discarded_reply_waits_for_a_post_on_its_way_and_takes_it_back(stage: Stage) -> None:
    reply = await stage.opened()
    await reply.waiting(1, None, "You are next in the queue.")
    await reply.discard()
    await settled()
    assert stage.transport.texts() == []
    assert stage.open_replies == set()
