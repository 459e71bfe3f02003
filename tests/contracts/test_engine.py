"""Contract of every `Engine`, tested on the echo engine and on the real one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from models.echo import EchoEngine
from models.engine import (
    Engine,
    EngineFailed,
    NotSupported,
    Prompt,
    PromptTooLong,
    RawPrompt,
    ReasoningEffort,
    Sampling,
    ThinkingText,
    Turn,
    Usage,
)
from models.llama.engine import LlamaEngine
from models.llama.settings import LlamaSettings

_CONTEXT = 1024
_SYSTEM = "You are the assistant of a house. Answer in full sentences."
_TEXT = " ".join(f"The box number {number} stands on shelf {number + 1} of the cellar." for number in range(8))
_PROMPT = Prompt(_SYSTEM, (), f"Repeat this text.\n\n{_TEXT}")
_GREEDY = Sampling(temperature=0.0, max_tokens=48)

pytestmark = pytest.mark.asyncio(loop_scope="module")


@asynccontextmanager
async def _engine(request: pytest.FixtureRequest) -> AsyncIterator[Engine]:
    made: Engine
    if request.param == "echo":
        made = EchoEngine(tokens_per_s=200.0, capacity=1, context_tokens=_CONTEXT)
    else:
        path: Path = request.getfixturevalue("chat_model_path")
        made = await LlamaEngine.load(path, LlamaSettings(context_tokens=_CONTEXT, deterministic=True))
    yield made
    await made.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["echo", "llama"])
async def engine(request: pytest.FixtureRequest) -> AsyncIterator[Engine]:
    """One engine for all tests that do not close it."""
    async with _engine(request) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module", params=["echo", "llama"])
async def engine_to_close(request: pytest.FixtureRequest) -> AsyncIterator[Engine]:
    async with _engine(request) as made:
        yield made


async def _answer(
    engine: Engine, prompt: Prompt = _PROMPT, key: str = "room", sampling: Sampling = _GREEDY
) -> tuple[str, Usage]:
    items = [item async for item in engine.stream(prompt, key, sampling)]
    usages = [item for item in items if isinstance(item, Usage)]
    assert items[-1:] == usages
    return "".join(item for item in items if isinstance(item, str)), usages[0]


async def test_a_stream_is_pieces_of_text_and_then_one_usage(engine: Engine) -> None:
    pieces = [item async for item in engine.stream(_PROMPT, "room", _GREEDY)]
    usage = pieces.pop()
    assert isinstance(usage, Usage)
    assert len(pieces) > 1
    assert all(isinstance(piece, str) and piece for piece in pieces)
    assert usage.prompt_tokens == usage.prefilled_tokens + usage.reused_tokens
    assert usage.prompt_tokens > engine.count_tokens(_TEXT)
    assert usage.decode_s > 0


@pytest.mark.parametrize("effort", ["none", "high"])
async def test_an_effort_is_taken_by_every_engine_and_thinking_precedes_the_answer(
    engine: Engine, effort: ReasoningEffort
) -> None:
    prompt = replace(_PROMPT, reasoning_effort=effort)
    items = [item async for item in engine.stream(prompt, "room", Sampling(temperature=0.0, max_tokens=8))]
    kinds = [type(item) for item in items]
    assert kinds == sorted(kinds, key=[ThinkingText, str, Usage].index)
    assert str in kinds
    usage = items[-1]
    assert isinstance(usage, Usage)
    assert usage.generated_tokens >= usage.thinking_tokens >= 0


async def test_max_tokens_ends_an_answer_by_length(engine: Engine) -> None:
    text, usage = await _answer(engine, sampling=Sampling(temperature=0.0, max_tokens=7))
    assert usage.finish == "length"
    assert usage.generated_tokens == 7
    assert text


async def test_a_stop_string_ends_an_answer_and_is_not_part_of_it(engine: Engine) -> None:
    whole, _ = await _answer(engine)
    stop = whole[20:26]
    text, usage = await _answer(engine, sampling=Sampling(temperature=0.0, max_tokens=48, stop=("never said", stop)))
    assert text == whole[: whole.index(stop)]
    assert usage.finish == "stop"


async def test_the_same_question_has_the_same_greedy_answer_again(engine: Engine) -> None:
    first, _ = await _answer(engine)
    second, _ = await _answer(engine)
    assert first == second


async def test_closing_a_stream_frees_the_engine_for_the_next(engine: Engine) -> None:
    async with aclosing(engine.stream(_PROMPT, "room", _GREEDY)) as stream:
        assert await anext(stream)
    text, _ = await asyncio.wait_for(_answer(engine, key="other"), 100)
    assert text


async def test_cancelling_the_reader_frees_the_engine_for_the_next(engine: Engine) -> None:
    started = asyncio.Event()

    async def read() -> None:
        async for _ in engine.stream(_PROMPT, "room", _GREEDY):
            started.set()

    reader = asyncio.create_task(read())
    await started.wait()
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    text, _ = await asyncio.wait_for(_answer(engine, key="other"), 100)
    assert text


async def test_a_prompt_that_leaves_no_room_is_refused_with_both_figures(engine: Engine) -> None:
    with pytest.raises(PromptTooLong) as failure:
        await _answer(engine, Prompt(_SYSTEM, (), _TEXT * 20))
    assert failure.value.prompt_tokens > engine.context_tokens > failure.value.limit_tokens
    assert (await _answer(engine))[0]


async def test_more_questions_than_places_are_answered_one_after_the_other(engine: Engine) -> None:
    alone, _ = await _answer(engine)
    answers = await asyncio.gather(*(_answer(engine, key=f"room {number}") for number in range(3)))
    assert [text for text, _ in answers] == [alone] * 3


async def test_a_question_that_is_cancelled_while_it_waits_is_never_answered(engine: Engine) -> None:
    first = asyncio.create_task(_answer(engine))
    await asyncio.sleep(0.05)
    waiting = asyncio.create_task(_answer(engine, key="other"))
    await asyncio.sleep(0.05)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert (await first)[0]


async def test_an_empty_question_is_answered_or_not_but_ends(engine: Engine) -> None:
    _, usage = await _answer(engine, Prompt("", (), ""), sampling=Sampling(temperature=0.0, max_tokens=4))
    assert usage.generated_tokens <= 4


async def test_a_raw_prompt_is_continued_without_a_template(engine: Engine) -> None:
    sampling = Sampling(temperature=0.0, max_tokens=16)
    answers = []
    for _ in range(2):
        *pieces, usage = [item async for item in engine.complete(RawPrompt(_TEXT), "program", sampling)]
        assert isinstance(usage, Usage)
        assert pieces
        assert all(isinstance(piece, str) and piece for piece in pieces)
        assert engine.count_tokens(_TEXT) <= usage.prompt_tokens <= engine.count_tokens(_TEXT) + 1
        assert usage.generated_tokens <= 16
        answers.append("".join(map(str, pieces)))
    assert answers[0] == answers[1]


async def test_a_suffix_is_filled_in_or_refused_by_name(engine: Engine) -> None:
    with pytest.raises(NotSupported) as refused:  # neither engine of these tests has marks for it
        _ = [item async for item in engine.complete(RawPrompt("def add", "return"), "program", _GREEDY)]
    assert refused.value.field == "suffix"
    assert refused.value.reason.endswith(".")


async def test_a_raw_prompt_that_leaves_no_room_is_refused(engine: Engine) -> None:
    with pytest.raises(PromptTooLong) as failure:
        _ = [item async for item in engine.complete(RawPrompt(_TEXT * 20), "program", _GREEDY)]
    assert failure.value.prompt_tokens > engine.context_tokens > failure.value.limit_tokens


async def test_history_and_preparing_change_no_answer(engine: Engine) -> None:
    history = (Turn("user", "Where is the ladder?"), Turn("assistant", "Behind the shed."))
    prompt = Prompt(_SYSTEM, history, _PROMPT.tail)
    plain, _ = await _answer(engine, prompt)
    assert await engine.drop_state("room") >= 0
    await engine.warm_up("room", prompt)
    assert (await _answer(engine, prompt))[0] == plain


async def test_forgetting_an_unknown_conversation_drops_nothing(engine: Engine) -> None:
    assert await engine.drop_state("nobody") == 0


async def test_the_estimate_grows_with_those_who_wait(engine: Engine) -> None:
    await _answer(engine)
    idle = engine.estimate()
    waiting = [asyncio.create_task(_answer(engine, key=str(number))) for number in range(engine.capacity + 2)]
    await asyncio.sleep(0.05)
    assert engine.estimate() > idle >= 0
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_closing_ends_running_and_waiting_streams_and_refuses_new_ones(engine_to_close: Engine) -> None:
    running = asyncio.create_task(_answer(engine_to_close))
    waiting = asyncio.create_task(_answer(engine_to_close, key="other"))
    await asyncio.sleep(0.1)
    await asyncio.wait_for(engine_to_close.close(), 30)
    for task in (running, waiting):
        with pytest.raises(EngineFailed):
            await asyncio.wait_for(task, 30)
    with pytest.raises(EngineFailed):
        await _answer(engine_to_close)
    with pytest.raises(EngineFailed):
        _ = [item async for item in engine_to_close.complete(RawPrompt("The box"), "program", _GREEDY)]


async def test_closing_twice_does_no_harm(engine_to_close: Engine) -> None:
    await engine_to_close.close()
    await engine_to_close.close()


async def test_counting_follows_the_length_of_a_text(engine: Engine) -> None:
    assert engine.count_tokens("") == 0
    assert 0 < engine.count_tokens("a box") < engine.count_tokens(_TEXT)
    assert engine.name
    assert engine.capacity >= 1


async def test_a_model_that_works_has_not_failed(engine: Engine) -> None:
    failed = asyncio.create_task(engine.wait_failed())
    await _answer(engine)
    assert not failed.done()
    failed.cancel()
    await asyncio.wait([failed])
    assert failed.cancelled()


async def test_a_model_that_works_is_not_interrupted_and_reports_how_it_runs(engine: Engine) -> None:
    await _answer(engine)
    assert engine.interruption is None
    report = engine.report()
    assert report.gpu_layers <= report.all_layers
    assert 0 <= report.kv_used_bytes <= report.kv_bytes
    assert bool(report.build) == bool(report.all_layers)
