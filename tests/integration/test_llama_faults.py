"""A request that cannot be answered ends itself alone; a thread that dies all the same is told at once."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from models.engine import EngineFailed, Prompt, Sampling, SchemaRefused, Turn, Usage
from models.llama import inference_thread
from models.llama.engine import LlamaEngine
from models.llama.native.context import LlamaContext
from models.llama.scheduling.requests import Generate
from models.llama.settings import LlamaSettings
from tests.fakes.tiny_gguf import write_tiny_model

QUESTION = Prompt("", (), "Where is the drive?")


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[LlamaEngine]:
    path = write_tiny_model(tmp_path / "tiny.gguf", "attention")
    engine = await LlamaEngine.load(path, LlamaSettings(context_tokens=256, threads=1, parallel=2))
    yield engine
    await engine.close()


async def answer(engine: LlamaEngine, prompt: Prompt = QUESTION, schema: dict[str, Any] | None = None) -> Usage:
    sampling = Sampling(temperature=0, max_tokens=8, json_schema=schema)
    *_, usage = [item async for item in engine.stream(prompt, "room", sampling)]
    assert isinstance(usage, Usage)
    return usage


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "minLength": 10**30},
        {"type": "string", "maxLength": 1_000_000_000},
        {"type": "array", "items": {}, "maxItems": 10_000_000},
        {"type": "string", "pattern": "^((a{900}){900}){900}$"},
    ],
)
async def test_a_schema_that_would_take_all_memory_is_refused_and_the_next_request_answered(
    engine: LlamaEngine, schema: dict[str, Any]
) -> None:
    beside = asyncio.create_task(answer(engine))
    with pytest.raises(SchemaRefused):
        await answer(engine, schema=schema)
    assert (await beside).generated_tokens
    assert (await answer(engine)).generated_tokens


async def test_what_nobody_foresaw_fails_the_request_and_not_the_model(
    engine: LlamaEngine, caplog: pytest.LogCaptureFixture
) -> None:
    beside = asyncio.create_task(answer(engine))
    # Python refuses to write so large a number, and no text is no text: neither is an error of the schema's making.
    with pytest.raises(EngineFailed, match="failed on this request"):
        await answer(engine, schema={"const": 10**5000})
    with pytest.raises(EngineFailed, match="failed on this request"):
        await answer(engine, Prompt("", (Turn("user", None),), "and?"))  # type: ignore[arg-type]
    await engine.warm_up("room", Prompt("", (Turn("user", None),), ""))  # type: ignore[arg-type]
    assert (await beside).generated_tokens
    assert (await answer(engine)).generated_tokens
    assert "Could not answer a request: ValueError in " in caplog.text
    assert "Traceback" not in caplog.text


def poison(engine: LlamaEngine) -> None:
    """Hand the thread what nobody foresaw."""
    engine._thread.requests._new.append(Generate(QUESTION, None))  # type: ignore[arg-type]
    engine._thread.requests.wake_thread()


class FailingOnce:
    """Replaces the steps of a scheduler: fails in the first one, and tells what `interruption` says then."""

    def __init__(self, engine: LlamaEngine) -> None:
        self.thread = engine._thread
        assert self.thread.scheduler is not None
        self.thread.scheduler._batcher.run_step = self  # type: ignore[assignment,method-assign]

    def __call__(self, running: object) -> None:
        raise RuntimeError("nobody foresaw this")


async def test_after_an_unforeseen_error_the_thread_goes_on_with_what_waits(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_tiny_model(tmp_path / "tiny.gguf", "attention", context_tokens=8192)
    engine = await LlamaEngine.load(path, LlamaSettings(context_tokens=8192, threads=1, parallel=1))
    failed = asyncio.create_task(engine.wait_failed())
    running = engine.stream(QUESTION, "room", Sampling(temperature=0, max_tokens=8000))
    await anext(running)
    waiting = [asyncio.create_task(answer(engine)) for _ in range(3)]
    forgotten = asyncio.create_task(anext(engine.stream(QUESTION, "forgotten", Sampling(max_tokens=8))))
    await asyncio.sleep(0)
    assert await engine.drop_state("forgotten") == 0
    FailingOnce(engine)
    async with asyncio.timeout(60):
        with pytest.raises(EngineFailed, match=r"failed while it answered\. Ask again"):
            async for _ in running:
                pass
        assert [usage.generated_tokens for usage in await asyncio.gather(*waiting)] == [8, 8, 8]
        with pytest.raises(EngineFailed, match="Ask again"):
            await forgotten
    assert engine.interruption is None
    assert not failed.done()
    assert "failed and starts again: RuntimeError in test_llama_faults.py" in caplog.text
    failed.cancel()
    await engine.close()


async def test_while_a_failed_model_starts_again_the_engine_says_so(
    engine: LlamaEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str | None] = []

    class Watched(LlamaContext):
        def __init__(self, *arguments: Any) -> None:
            told.append(engine.interruption)
            super().__init__(*arguments)

    monkeypatch.setattr(inference_thread, "LlamaContext", Watched)
    assert engine.interruption is None
    poison(engine)
    assert (await answer(engine)).generated_tokens
    assert len(told) == 1
    assert "started again" in str(told[0])
    assert engine.interruption is None


async def test_a_thread_that_fails_twice_fails_what_is_open_and_says_so(
    engine: LlamaEngine, caplog: pytest.LogCaptureFixture
) -> None:
    failed = asyncio.create_task(engine.wait_failed())
    poison(engine)
    await answer(engine)
    assert not failed.done()
    poison(engine)
    async with asyncio.timeout(60):
        assert "Restart" in await failed
    with pytest.raises(EngineFailed, match="inference thread ended"):
        await answer(engine)
    assert "The inference thread ended: AttributeError in scheduler.py" in caplog.text


async def test_a_model_that_is_closed_has_not_failed(engine: LlamaEngine) -> None:
    failed = asyncio.create_task(engine.wait_failed())
    await engine.close()
    await asyncio.sleep(0)
    assert not failed.done()
    failed.cancel()


async def test_the_report_after_a_restart_is_that_of_the_new_context(engine: LlamaEngine) -> None:
    assert engine._thread.scheduler is not None
    before = engine._thread.scheduler
    poison(engine)
    await answer(engine)
    after = engine._thread.scheduler
    assert after is not None
    assert after is not before
    after._loaded.context._thread_count = 77
    assert engine.report().threads == 77
