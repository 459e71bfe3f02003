"""Time to first token of 1,000 new tokens on the Q4_K_M slice, next to llama.cpp's own server."""

import asyncio
from pathlib import Path

from tests.benchmarks.engine.beside.comparing import Rounds
from tests.benchmarks.engine.beside.prompts import user
from tests.benchmarks.engine.beside.servers import both
from tests.benchmarks.engine.slices import slice_model
from tests.benchmarks.figures import Samples

ROUNDS = 6
LETTERS = 960
"""The slice's vocabulary has a token for each letter."""


def measure(folder: Path) -> Samples:
    """Seconds of both in each round, and their ratio."""
    return asyncio.run(_measure(folder))


async def _measure(folder: Path) -> Samples:
    async with both(folder, slice_model("Q4_K_M")) as pair:
        await pair.ask(0, [user("Are you there?")], 2)
        rounds = Rounds(pair)
        for number in range(ROUNDS):
            question = f"{number} {number} " + "what is on the shelf in the cellar? " * 60
            for server, heard in (await pair.ask(number, [user(question[:LETTERS])], 1)).items():
                rounds.note(server, heard.first_s)
    return rounds.samples("prefill_first_token_s")
