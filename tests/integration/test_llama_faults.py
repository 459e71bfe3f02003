"""A request that cannot be answered ends itself alone; a thread that dies all the same is told at once."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from models.engine import EngineFailed, Prompt, Sampling, SchemaRefused, Turn, Usage
from models.llama.engine import LlamaEngine
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


async def test_a_thread_that_dies_fails_what_is_open_and_says_so(
    engine: LlamaEngine, caplog: pytest.LogCaptureFixture
) -> None:
    failed = asyncio.create_task(engine.wait_failed())
    await answer(engine)
    assert not failed.done()
    engine._thread.requests._new.append(Generate(QUESTION, None))  # type: ignore[arg-type]
    engine._thread.requests.wake_thread()
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
