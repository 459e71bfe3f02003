"""Four questions at once against the same four one after the other: tokens a second, and time to first token."""

import asyncio
import time
from pathlib import Path
from statistics import mean

from models.engine import Prompt
from models.llama.engine import LlamaEngine
from tests.benchmarks.engine.asking import SYSTEM, Asked, ask, bench_settings, demo_engine, text_of
from tests.benchmarks.figures import Samples
from tests.benchmarks.harness import tell

REPLIES, ROUNDS = 4, 5
WRITTEN_TOKENS, READ_TOKENS, ANSWER_TOKENS = 96, 150, 128


def measure(folder: Path) -> Samples:
    """Both ratios in each round."""
    del folder
    return asyncio.run(_measure())


async def _measure() -> Samples:
    one: list[float] = []
    four: list[float] = []
    first: list[float] = []
    # Without guesses, which one answer alone may make and four together may not.
    async with demo_engine(bench_settings(parallel=REPLIES, speculation=False)) as engine:
        for number in range(ROUNDS):
            alone, together = await _written(engine)
            one.append(alone)
            four.append(together)
            first.append(await _read(engine, number))
            tell(f"together: {one[-1]:.1f} and {four[-1]:.1f} tokens/s, first token {first[-1]:.2f} of serial")
    return {
        "four_together_over_one_tokens_per_s": [many / single for many, single in zip(four, one, strict=True)],
        "four_at_once_over_serial_first_token": first,
        "one_tokens_per_s": one,
        "four_tokens_per_s": four,
    }


async def _written(engine: LlamaEngine) -> tuple[float, float]:
    """Tokens a second of one answer, and of four while all four write; in the order one, four, four, one, so that what
    drifts on a shared machine hits both alike.
    """
    prompts = [Prompt(SYSTEM, (), f"Tell a long story about the number {number}.") for number in range(REPLIES)]
    alone = [await _alone(engine, prompts[0]), await _alone(engine, prompts[1])]
    together = [_all_writing(await _at_once(engine, prompts, "write", WRITTEN_TOKENS)) for _ in range(2)]
    alone += [await _alone(engine, prompts[2]), await _alone(engine, prompts[3])]
    return mean(alone), mean(together)


async def _alone(engine: LlamaEngine, prompt: Prompt) -> float:
    return _all_writing([await ask(engine, prompt, "write alone", WRITTEN_TOKENS)])


def _all_writing(answers: list[Asked]) -> float:
    """Tokens a second from when the last answer began until the first one ended."""
    start, end = max(each.came[0] for each in answers), min(each.came[-1] for each in answers)
    pieces = sum(sum(start < moment <= end for moment in each.came) for each in answers)
    # A piece is now and then more than one token: characters of several bytes, and the start of a stop string.
    tokens_in_a_piece = sum(each.usage.generated_tokens for each in answers) / sum(len(each.came) for each in answers)
    return pieces * tokens_in_a_piece / (end - start)


async def _read(engine: LlamaEngine, number: int) -> float:
    """Mean time to first token of four new questions at once, over that of the same asked one after the other."""
    prompts = [Prompt(SYSTEM, (), text_of(engine, READ_TOKENS, 10 * number + place)) for place in range(REPLIES)]
    began = time.perf_counter()
    serial = []
    for place, prompt in enumerate(prompts):
        waited = time.perf_counter() - began
        serial.append(waited + (await ask(engine, prompt, f"serial {number} {place}", ANSWER_TOKENS)).first_s)
    at_once = await _at_once(engine, prompts, f"at once {number}", ANSWER_TOKENS)
    return mean(each.first_s for each in at_once) / mean(serial)


async def _at_once(engine: LlamaEngine, prompts: list[Prompt], key: str, tokens: int) -> list[Asked]:
    return await asyncio.gather(
        *(ask(engine, prompt, f"{key} {place}", tokens) for place, prompt in enumerate(prompts))
    )
