"""A program's answer is given up when the model falls silent, and not when the program reads slowly."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from bot.core.api_completions import CompletionRequest, CompletionResult, CompletionService
from bot.core.queue import TooManyWaiting
from bot.core.retrieval_prompt import RetrievalPromptBuilder
from bot.core.settings import CoreSettings
from models.engine import EngineFailed, Sampling, ThinkingText, Turn
from tests.fakes.core import Core, running_core
from tests.fakes.until import until

SILENCE_S = 0.2
ASKED = CompletionRequest("editor", (Turn("user", "Hello"),), False, Sampling())


@pytest.fixture
async def core(tmp_path: Path) -> AsyncIterator[Core]:
    async with running_core(tmp_path) as at_work:
        yield at_work


def completer(core: Core) -> CompletionService:
    prompt_builder = RetrievalPromptBuilder(core.engine, core.library, CoreSettings(), core.observer)
    return CompletionService(core.engine, core.queue, prompt_builder, core.observer, SILENCE_S)


async def test_a_model_that_falls_silent_in_the_middle_is_given_up_and_stopped(core: Core) -> None:
    core.engine.gate.clear()
    answers = completer(core)
    async with aclosing(answers.stream_answer(ASKED, answers.take_ticket(ASKED))) as answer:
        assert await anext(answer) == "The drive "
        with pytest.raises(TimeoutError):
            await anext(answer)
    assert (core.engine.most_running, core.engine.running) == (1, 0)
    assert (core.queue.running_count, core.observer.outcomes) == (0, ["failed"])


async def test_a_model_that_never_begins_is_given_up(core: Core) -> None:
    core.engine.piece_s = 60
    answers = completer(core)
    async with aclosing(answers.stream_answer(ASKED, answers.take_ticket(ASKED))) as answer:
        with pytest.raises(TimeoutError):
            await anext(answer)


async def test_the_time_that_a_program_takes_to_read_is_no_silence_of_the_model(core: Core) -> None:
    answers, read = completer(core), []
    async with aclosing(answers.stream_answer(ASKED, answers.take_ticket(ASKED))) as answer:
        async for item in answer:
            await asyncio.sleep(1.5 * SILENCE_S)
            read.append(item)
    assert read[:-1] == ["The drive ", "is there [1]."]
    assert isinstance(read[-1], CompletionResult)
    assert core.observer.outcomes == ["answered"]


async def test_an_answer_may_take_longer_than_the_model_may_be_silent(core: Core) -> None:
    core.engine.script = lambda _: ["word "] * 8
    core.engine.piece_s = SILENCE_S / 4
    answers = completer(core)
    async with aclosing(answers.stream_answer(ASKED, answers.take_ticket(ASKED))) as answer:
        assert len([item async for item in answer]) == 9


async def test_a_program_that_does_not_read_frees_the_model_and_keeps_its_open_request(core: Core) -> None:
    answers = completer(core)
    ticket = answers.take_ticket(replace(ASKED, open_limit=1))
    async with aclosing(answers.stream_answer(ASKED, ticket)) as answer:
        assert await anext(answer) == "The drive "
        await until(lambda: core.queue.running_count == 0)
        with pytest.raises(TooManyWaiting):
            answers.take_ticket(replace(ASKED, open_limit=1))
        rest = [item async for item in answer]
    assert rest[0] == "is there [1]."
    assert isinstance(rest[1], CompletionResult)
    assert core.observer.outcomes == ["answered"]
    answers.release_ticket(answers.take_ticket(replace(ASKED, open_limit=1)))


async def test_more_unread_text_than_memory_is_meant_for_ends_the_answer(core: Core) -> None:
    core.engine.script = lambda _: ["x" * 300_000] * 9
    answers = completer(core)
    read = []
    with pytest.raises(EngineFailed, match="1000000 characters"):
        async with aclosing(answers.stream_answer(ASKED, answers.take_ticket(ASKED))) as answer:
            read.append(await anext(answer))
            await until(lambda: core.queue.running_count == 0)
            async for item in answer:
                read.append(item)  # noqa: PERF401 (kept when the stream fails)
    assert len(read) >= 3
    assert core.engine.running == 0


async def test_a_program_that_leaves_stops_the_model(core: Core) -> None:
    core.engine.gate.clear()
    answers = completer(core)
    async with aclosing(answers.stream_answer(ASKED, answers.take_ticket(ASKED))) as answer:
        await anext(answer)
        assert core.engine.running == 1
    assert (core.engine.running, core.queue.running_count, core.observer.outcomes) == (0, 0, ["cancelled"])


async def test_a_model_that_thinks_is_not_silent_and_its_thinking_is_no_answer(core: Core) -> None:
    core.engine.script = lambda _: [*[ThinkingText("hm ")] * 6, "Yes."]
    core.engine.piece_s = SILENCE_S / 3
    answers = completer(core)
    async with aclosing(answers.stream_answer(ASKED, answers.take_ticket(ASKED))) as answer:
        assert [item async for item in answer if isinstance(item, str)] == ["Yes."]
    assert core.observer.outcomes == ["answered"]
