import asyncio
import time

from models.echo import EchoEngine
from models.engine import Prompt, Sampling, Usage


async def _pieces(engine: EchoEngine, tail: str, sampling: Sampling | None = None) -> list[str | Usage]:
    return [item async for item in engine.stream(Prompt("system", (), tail), "room", sampling or Sampling())]


async def test_the_last_paragraph_of_the_tail_is_repeated() -> None:
    *pieces, usage = await _pieces(EchoEngine(1e6), "A passage.\n\nAnother.\n\nWhere is the ladder?")
    assert "".join(map(str, pieces)) == "Where is the ladder?"
    assert isinstance(usage, Usage)
    assert usage.finish == "stop"


async def test_an_answer_takes_the_time_its_rate_says() -> None:
    started = time.monotonic()
    *pieces, usage = await _pieces(EchoEngine(tokens_per_s=10, first_token_s=0.1), "one two six ten")
    # A wake-up that is a whole word late gives two words in one piece: the words are far apart here, for busy machines.
    assert len(pieces) == 4
    assert time.monotonic() - started >= 0.5
    assert isinstance(usage, Usage)
    assert usage.generated_tokens == 4


async def test_at_a_very_high_rate_the_loop_still_turns() -> None:
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count_turns())
    *pieces, _ = await _pieces(EchoEngine(1e6, context_tokens=100_000), "word " * 20_000, Sampling(max_tokens=20_000))
    counting.cancel()
    assert turns >= 20
    assert len("".join(map(str, pieces))) == len("word " * 20_000) - 1


async def test_as_many_answers_as_the_capacity_are_written_at_once_and_no_more() -> None:
    engine = EchoEngine(tokens_per_s=1e6, capacity=2)
    streams = [engine.stream(Prompt("", (), "four words are here"), "room", Sampling()) for _ in range(3)]
    assert await anext(streams[0])
    assert await anext(streams[1])
    third = asyncio.ensure_future(anext(streams[2]))
    await asyncio.sleep(0.05)
    assert not third.done()
    await streams[0].aclose()
    assert await asyncio.wait_for(third, 10)
    for stream in streams:
        await stream.aclose()
