"""Tokens a second of one reply and of four at once, and the first tokens of eight questions at once."""

import asyncio
from pathlib import Path
from statistics import mean

from tests.benchmarks.engine.beside.client import Client, Message, StreamedAnswer
from tests.benchmarks.engine.beside.comparing import Rounds
from tests.benchmarks.engine.beside.prompts import system, text, user
from tests.benchmarks.engine.beside.servers import both
from tests.benchmarks.figures import Samples

ROUNDS = 3
WRITTEN_TOKENS = 96
READ_TOKENS, ANSWER_TOKENS = 100, 32
STORIES = [[system(), user(f"Tell a long story about the number {number}.")] for number in range(4)]


def measure(folder: Path) -> Samples:
    """All three in each round."""
    return asyncio.run(_measure(folder))


async def _measure(folder: Path) -> Samples:
    async with both(folder) as pair:
        one, four, eight = Rounds(pair), Rounds(pair), Rounds(pair)
        for number in range(ROUNDS + 1):
            questions = [[system(), user(text(READ_TOKENS, 100 * number + place))] for place in range(8)]
            for server in pair.in_turn(number):
                with pair.only(server) as client:
                    alone = await client.ask(STORIES[number % 4], WRITTEN_TOKENS)
                    together = await _at_once(client, STORIES, WRITTEN_TOKENS)
                    asked = await _at_once(client, questions, ANSWER_TOKENS)
                if number:  # the first round only warms
                    one.note(server, alone.tokens_per_s)
                    four.note(server, _rate(together))
                    eight.note(server, mean(each.first_s for each in asked))
    return {
        **one.samples("stream_tokens_per_s"),
        **four.samples("four_at_once_tokens_per_s"),
        **eight.samples("eight_at_once_first_token_s"),
    }


async def _at_once(client: Client, questions: list[list[Message]], tokens: int) -> list[StreamedAnswer]:
    return await asyncio.gather(*(client.ask(question, tokens) for question in questions))


def _rate(together: list[StreamedAnswer]) -> float:
    """Tokens a second of all replies, from the moment when they were asked to the last token."""
    took = max(each.at[-1] for each in together) - min(each.began for each in together)
    return sum(each.written_tokens for each in together) / took
