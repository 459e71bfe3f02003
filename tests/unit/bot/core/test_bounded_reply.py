"""A platform that keeps the core waiting is taken for one that refuses the reply."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from bot.core.bounded_reply import BoundedReply
from bot.core.errors import ReplyFailed
from bot.core.messages import FinalAnswer
from bot.core.ports import Reply
from tests.fakes.reply import RecordingReply

CALLS: dict[str, Callable[[Reply], Awaitable[None]]] = {
    "open": lambda reply: reply.open(1, (), cast(Any, None)),
    "waiting": lambda reply: reply.waiting(1, None, "You are next."),
    "working": lambda reply: reply.working(),
    "append": lambda reply: reply.append("piece"),
    "replace": lambda reply: reply.replace("text"),
}


class StuckReply:
    """Fills `Reply` and never returns."""

    def __getattr__(self, name: str) -> Any:
        async def wait(*arguments: Any) -> None:
            await asyncio.Event().wait()

        return wait


@pytest.mark.parametrize("name", CALLS)
async def test_a_call_that_does_not_return_counts_as_refused(name: str) -> None:
    reply = BoundedReply(cast(Reply, StuckReply()), open_within_s=0.01, return_within_s=0.01)
    async with asyncio.timeout(60):
        with pytest.raises(ReplyFailed, match=r"did not .* within 0\.01 s"):
            await CALLS[name](reply)


async def test_the_calls_reach_the_reply_in_their_order() -> None:
    inner = RecordingReply()
    reply = BoundedReply(inner, open_within_s=60)

    async def record(part: object) -> None: ...

    await reply.open(1, (), record)
    await reply.waiting(2, 3.0, "You are number 2.")
    await reply.working()
    await reply.append("piece")
    await reply.replace("text")
    await reply.finish(FinalAnswer("answer"))
    assert [name for name, _ in inner.calls] == ["open", "waiting", "working", "append", "replace", "finish"]


@pytest.mark.parametrize("ending", ["fail", "discard"])
async def test_the_last_call_may_take_its_time(ending: str) -> None:
    reply = BoundedReply(cast(Reply, StuckReply()), open_within_s=0.01, return_within_s=0.01)
    waiting = asyncio.ensure_future(reply.fail("Sorry.") if ending == "fail" else reply.discard())
    done, _ = await asyncio.wait({waiting}, timeout=0.05)
    assert not done
    waiting.cancel()
