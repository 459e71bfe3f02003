"""What ordinary clients send besides a question, and what goes wrong between them and the endpoint."""

import asyncio
import gzip
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.fakes.core import running_core
from tests.fakes.openai_endpoint import KEYS, Serving, serving
from tests.fakes.until import until

QUESTION = [{"role": "user", "content": "On which shelf is the backup drive?"}]
ASKED = json.dumps({"model": "scripted", "messages": QUESTION}).encode()
HEADERS = {"Authorization": f"Bearer {KEYS['editor']}"}
COMPLETIONS = "/v1/chat/completions"


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Serving]:
    async with running_core(tmp_path) as core, serving(core) as at_work:
        yield at_work


@pytest.fixture
async def program(served: Serving) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(served.url, headers=HEADERS) as session:
        yield session


async def told(response: aiohttp.ClientResponse) -> dict[str, Any]:
    error: dict[str, Any] = (await response.json())["error"]
    assert error["message"].endswith(".")
    return error


async def talk(served: Serving, *sent: bytes, end: bytes = b"") -> bytes:
    """Bytes as they are, and what comes back up to `end`, or until the connection is closed."""
    port = int(served.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.writelines(sent)
        async with asyncio.timeout(60):
            return await (reader.readuntil(end) if end else reader.read())
    finally:
        writer.close()


def head(*lines: str) -> bytes:
    key = f"Authorization: Bearer {KEYS['editor']}"
    return "\r\n".join((f"POST {COMPLETIONS} HTTP/1.1", "Host: localhost", key, *lines, "", "")).encode()


async def test_what_clients_send_by_habit_changes_nothing(served: Serving) -> None:
    by_habit = {
        "stream": None,
        "stream_options": {"include_usage": None},
        "logit_bias": {},
        "n": 1,
        "presence_penalty": 0,
        "frequency_penalty": 0.0,
        "user": "ana",
        "tools": [{"type": "function", "function": {"name": "clock", "parameters": {"type": "object"}}}],
        "tool_choice": "auto",
        "parallel_tool_calls": True,
        "metadata": {"chat": "1"},
        "store": False,
        "seed": None,
        "stop": None,
        "top_p": 0,
        "logprobs": False,
        "response_format": {"type": "text"},
        "max_completion_tokens": 7,
        "reasoning_effort": "low",
        "service_tier": "auto",
    }
    said = [
        {"role": "developer", "content": "Be brief.", "name": "house"},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": None, "refusal": None},
        *QUESTION,
    ]
    answer = await served.client().chat.completions.create(model="scripted", messages=said, extra_body=by_habit)
    assert answer.choices[0].message.content == "The drive is there [1]."
    assert (served.core.engine.samplings[0].max_tokens, served.core.engine.samplings[0].top_p) == (7, 0)
    assert [turn.text for turn in served.core.engine.prompts[0].turns()][:3] == ["Be brief.", "Hello", ""]


async def test_an_address_may_end_in_a_slash(program: aiohttp.ClientSession) -> None:
    for path in ("/v1/models/", "/v1/models/hearth/"):
        async with program.get(path) as response:
            assert response.status == 200
    async with program.post(COMPLETIONS + "/", data=ASKED) as response:
        assert response.status == 200


@pytest.mark.parametrize("path", ["/models", "/v1", "/v1/edits"])
async def test_a_wrong_address_is_told_the_right_ones(program: aiohttp.ClientSession, path: str) -> None:
    async with program.post(path, data=ASKED) as response:
        error = await told(response)
    assert (response.status, error["code"]) == (404, "unknown_url")
    assert path in error["message"]
    assert "ends in /v1" in error["message"]


async def test_a_wrong_method_is_told_the_right_one(program: aiohttp.ClientSession) -> None:
    async with program.get(COMPLETIONS) as response:
        error = await told(response)
    assert (response.status, response.headers["Allow"]) == (405, "POST")
    assert "only POST" in error["message"]


async def test_pages_of_other_sites_are_let_in_by_no_header(program: aiohttp.ClientSession) -> None:
    asked = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "POST"}
    async with program.options(COMPLETIONS, headers=asked) as preflight:
        assert preflight.status == 405
    async with program.post(COMPLETIONS, data=ASKED, headers=asked) as response:
        pass
    names = [*preflight.headers, *response.headers]
    assert not [name for name in names if name.casefold().startswith("access-control")]


async def test_a_foreign_name_is_refused_in_the_clients_words(program: aiohttp.ClientSession) -> None:
    async with program.get("/v1/models", headers={"Host": "elsewhere.example"}) as response:
        assert response.status == 403
        assert "allowed_hosts" in (await told(response))["message"]


async def test_compressed_requests_are_read(program: aiohttp.ClientSession) -> None:
    async with program.post(COMPLETIONS, data=gzip.compress(ASKED), headers={"Content-Encoding": "gzip"}) as response:
        assert response.status == 200


async def test_a_small_request_that_unpacks_to_a_huge_one_is_refused(program: aiohttp.ClientSession) -> None:
    packed = gzip.compress(bytes(30_000_000))
    async with program.post(COMPLETIONS, data=packed, headers={"Content-Encoding": "gzip"}) as response:
        assert response.status == 413
        await told(response)


@pytest.mark.parametrize(
    "malformed",
    [
        head("Content-Encoding: gzip", "Content-Length: 14") + b"diary: barley.",
        head("Transfer-Encoding: chunked") + b"diary: barley.\r\n",
        head("X-Diary: barley\x01", "Content-Length: 0"),
        head("X-Diary: " + "barley" * 4000, "Content-Length: 0"),
        b"diary: barley\r\n\r\n",
    ],
    ids=["no gzip", "no chunk", "control character", "long line", "no HTTP"],
)
async def test_nothing_of_a_malformed_request_reaches_the_log(
    served: Serving, caplog: pytest.LogCaptureFixture, malformed: bytes
) -> None:
    with caplog.at_level(logging.DEBUG):
        answer = await talk(served, malformed)
    assert answer.split(b" ", 2)[1] == b"400"
    assert "Refused a request that is not valid HTTP" in caplog.text
    assert "barley" not in caplog.text
    assert KEYS["editor"] not in caplog.text


async def test_a_body_that_is_not_packed_as_it_says_is_the_requests_fault(program: aiohttp.ClientSession) -> None:
    async with program.post(COMPLETIONS, data=ASKED, headers={"Content-Encoding": "gzip"}) as response:
        assert response.status == 400
        assert "encoded" in (await told(response))["message"]


async def test_a_body_that_does_not_come_is_not_waited_for(served: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.openai.endpoint.BODY_TIMEOUT_S", 0.05)
    answer = await talk(served, head(f"Content-Length: {len(ASKED)}"), ASKED[:20], end=b"did not arrive within 0.05 s.")
    assert answer.startswith(b"HTTP/1.1 408")


async def test_a_body_that_is_announced_is_called_for(served: Serving) -> None:
    announced = head("Expect: 100-continue", "Connection: close", f"Content-Length: {len(ASKED)}")
    answer = await talk(served, announced, ASKED)
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK")


async def test_a_stream_for_an_old_client_ends_with_the_connection(served: Serving) -> None:
    asked = json.dumps({"model": "scripted", "messages": QUESTION, "stream": True}).encode()
    answer = await talk(served, head(f"Content-Length: {len(asked)}").replace(b"HTTP/1.1", b"HTTP/1.0"), asked)
    assert b"Transfer-Encoding" not in answer
    assert answer.endswith(b"data: [DONE]\n\n")


async def test_a_stream_whose_reader_is_gone_leaves_the_queue(
    served: Serving, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("bot.openai.event_stream.KEEP_ALIVE_S", 0.001)
    served.core.engine.gate.clear()
    running = asyncio.create_task(served.client().chat.completions.create(model="scripted", messages=QUESTION))
    await until(lambda: served.core.queue.running_count == 1)
    asked = json.dumps({"model": "scripted", "messages": QUESTION, "stream": True}).encode()
    for _ in range(3):
        port = int(served.url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.writelines((head(f"Content-Length: {len(asked)}"), asked))
        await reader.readuntil(b": waiting\n\n")
        writer.transport.abort()
        await until(lambda: served.core.queue.waiting_count == 0)
    served.core.engine.gate.set()
    await running
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
