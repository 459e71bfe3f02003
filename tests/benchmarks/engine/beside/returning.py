"""Time to first token of conversations that come back: while both run, and after both were restarted."""

import asyncio
from pathlib import Path

from tests.benchmarks.engine.beside.client import Message
from tests.benchmarks.engine.beside.comparing import Rounds
from tests.benchmarks.engine.beside.prompts import assistant, system, text, user
from tests.benchmarks.engine.beside.servers import ServerPair, both
from tests.benchmarks.figures import Samples

CONVERSATIONS, ROUNDS = 8, 3
HISTORY_TOKENS, NEW_TOKENS, ANSWER_TOKENS = 1_850, 20, 2

Talks = list[list[Message]]


def measure(folder: Path) -> Samples:
    """One value for each conversation after the restart, and for each conversation and round after that."""
    return asyncio.run(_measure(folder))


async def _measure(folder: Path) -> Samples:
    talks = [
        [system(), user("What is new?"), assistant(text(HISTORY_TOKENS, number + 1))] for number in range(CONVERSATIONS)
    ]
    async with both(folder) as pair:
        # Theirs keeps nothing over a restart: it need not have known the conversations before to begin cold.
        with pair.only(pair.ours) as client:
            for talk in talks:
                await client.ask([*talk, user("Begin.")], ANSWER_TOKENS)
        await pair.restart()
        restarted, warm = Rounds(pair), Rounds(pair)
        await _come_back(pair, talks, 0, restarted)
        for number in range(1, ROUNDS + 1):
            await _come_back(pair, talks, number, warm)
    return {**restarted.samples("restarted_first_token_s"), **warm.samples("warm_first_token_s")}


async def _come_back(pair: ServerPair, talks: Talks, number: int, rounds: Rounds) -> None:
    """Each conversation once, with a new question, on one server and then on the other."""
    for place, talk in enumerate(talks):
        question = [*talk, user(text(NEW_TOKENS, 1000 * (number + 1) + place))]
        for server, heard in (await pair.ask(place + number, question, ANSWER_TOKENS)).items():
            rounds.note(server, heard.first_s)
