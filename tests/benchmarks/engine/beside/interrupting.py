"""What a long question does to others: the longest gap in a running reply, and who asks after it was cancelled."""

import asyncio
from pathlib import Path

from tests.benchmarks.engine.beside.client import Client
from tests.benchmarks.engine.beside.comparing import Rounds
from tests.benchmarks.engine.beside.prompts import system, text, user
from tests.benchmarks.engine.beside.servers import both
from tests.benchmarks.figures import Samples
from tests.benchmarks.harness import tell

ROUNDS = 2
LONG_TOKENS, LONGER_TOKENS = 2_000, 3_000
WRITTEN_TOKENS, BEFORE_CANCEL_S = 200, 1.0
STORY = [system(), user("Tell a long story about a dragon.")]


def measure(folder: Path) -> Samples:
    """Both in each round."""
    return asyncio.run(_measure(folder))


async def _measure(folder: Path) -> Samples:
    async with both(folder) as pair:
        gaps, firsts = Rounds(pair), Rounds(pair)
        for number in range(ROUNDS):
            for server in pair.in_turn(number):
                with pair.only(server) as client:
                    gaps.note(server, await _longest_gap_s(client, number))
                    firsts.note(server, await _after_cancel_s(client, number))
            tell(f"interrupting: round {number + 1} of {ROUNDS}")
    return {**gaps.samples("longest_gap_s"), **firsts.samples("first_token_after_cancel_s")}


async def _longest_gap_s(client: Client, number: int) -> float:
    """The longest gap in a reply while another question is read. Raises ValueError when the reply was over before."""
    started = asyncio.Event()
    running = asyncio.create_task(client.ask(STORY, WRITTEN_TOKENS, started))
    await started.wait()
    other = await client.ask([system(), user(text(LONG_TOKENS, number))], 1)
    reply = await running
    if reply.at[-1] < other.at[0]:
        raise ValueError("the reply was over before the other question was read")
    return reply.longest_gap_s


async def _after_cancel_s(client: Client, number: int) -> float:
    """Time to first token of a short question right after a long one was given up."""
    cancelled = asyncio.create_task(client.ask([system(), user(text(LONGER_TOKENS, 100 + number))], 1))
    await asyncio.sleep(BEFORE_CANCEL_S)
    cancelled.cancel()
    await asyncio.gather(cancelled, return_exceptions=True)
    return (await client.ask([system(), user(f"What is {number} and {number}?")], 2)).first_s
