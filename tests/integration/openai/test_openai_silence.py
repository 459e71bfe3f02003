"""A stream in which nothing comes for a while says that it lives, between whole events, and ends with its reader."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from bot.openai import event_stream
from models.engine import EngineFailed
from tests.fakes.core import running_core
from tests.fakes.openai_endpoint import KEYS, Serving, serving
from tests.fakes.until import until

ASKED = {"model": "scripted", "messages": [{"role": "user", "content": "Where is it?"}], "stream": True}


@pytest.fixture
async def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Serving]:
    monkeypatch.setattr("bot.openai.event_stream.KEEP_ALIVE_S", 0.05)
    async with running_core(tmp_path) as core, serving(core) as at_work:
        yield at_work


@asynccontextmanager
async def asked(served: Serving) -> AsyncIterator[aiohttp.ClientResponse]:
    headers = {"Authorization": f"Bearer {KEYS['editor']}"}
    async with (
        aiohttp.ClientSession(served.url, headers=headers) as session,
        session.post("/v1/chat/completions", json=ASKED) as response,
    ):
        yield response


async def test_a_model_that_pauses_in_the_middle_is_heard_of_again_and_again(served: Serving) -> None:
    served.core.engine.gate.clear()
    async with asked(served) as response:
        begun = b"".join([await response.content.readuntil(event_stream.KEEP_ALIVE) for _ in range(3)])
        served.core.engine.gate.set()
        events = (begun + await response.content.read()).decode().split("\n\n")
    assert all(event.startswith("data: ") for event in events if event not in ("", ": waiting"))
    said = [event for event in events if event != ": waiting"]
    assert [text in said[place] for place, text in enumerate(("assistant", "The drive ", "is there"))] == [True] * 3
    assert said[-2:] == ["data: [DONE]", ""]


async def test_a_stream_in_which_pieces_come_says_nothing_else(
    served: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.openai.event_stream.KEEP_ALIVE_S", 1.0)
    served.core.engine.script = lambda _: ["word "] * 30
    served.core.engine.piece_s = 0.05
    async with asked(served) as response:
        assert event_stream.KEEP_ALIVE not in await response.content.read()


async def test_a_keep_alive_opens_the_stream_so_that_a_later_fault_comes_as_an_event(served: Serving) -> None:
    served.core.engine.piece_s = 0.3
    served.core.engine.fails_with = EngineFailed("The engine is gone.")
    async with asked(served) as response:
        assert response.status == 200
        events = (await response.content.read()).split(b"\n\n")
    assert b'"role":"assistant"' in events[0]
    assert events[1] == b": waiting"
    assert b"The engine is gone." in events[-2]


async def test_a_keep_alive_that_reaches_nobody_stops_the_model(
    served: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = web.StreamResponse.write

    async def lost(response: web.StreamResponse, data: bytes) -> None:
        if data == event_stream.KEEP_ALIVE:
            raise ConnectionResetError
        await write(response, data)

    monkeypatch.setattr(web.StreamResponse, "write", lost)
    served.core.engine.gate.clear()
    async with asked(served):
        await until(lambda: served.core.engine.most_running and not served.core.engine.running)
        await until(lambda: served.core.queue.running_count == 0)
    assert served.core.observer.outcomes == ["cancelled"]
