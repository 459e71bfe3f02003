"""The client of a rerank server: what it sends, and what it makes of every answer."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from knowledge.reranking.build import build_reranking
from knowledge.reranking.rerank_server import ServerReranker
from knowledge.reranking.reranker import RerankingFailed
from knowledge.reranking.settings import RerankingSettings
from tests.fakes.rerankers import RerankServer


@pytest.fixture
async def server() -> AsyncIterator[RerankServer]:
    async with RerankServer().serve() as server:
        yield server


async def ask(url: str, key: str = "", time_limit_s: float = 15.0) -> list[float]:
    settings = RerankingSettings(kind="server", url=url, model="bge", time_limit_s=time_limit_s)
    reranker = ServerReranker(settings, key)
    try:
        return await reranker.score_passages("shelf", ["a shelf", "a drive"])
    finally:
        await reranker.close()


async def test_the_request_has_the_shape_of_jina_and_the_key(server: RerankServer) -> None:
    await ask(server.url, "s3cret")
    assert server.requests == [{"model": "bge", "query": "shelf", "documents": ["a shelf", "a drive"], "top_n": 2}]
    assert server.authorization == ["Bearer s3cret"]


async def test_without_a_key_none_is_sent(server: RerankServer) -> None:
    assert await ask(server.url) == [1.0, 0.0]
    assert server.authorization == [None]


@pytest.mark.parametrize(
    "body",
    [
        {"results": [{"index": 1, "relevance_score": 0.25}, {"index": 0, "relevance_score": 2}]},
        [{"index": 0, "score": 2.0}, {"index": 1, "score": 0.25}],
        {"results": [{"index": 0, "relevance_score": 2.0, "document": {"text": "x"}}, {"index": 1, "score": 0.25}]},
    ],
    ids=["jina", "tei", "mixed"],
)
async def test_every_servers_answer_is_understood(server: RerankServer, body: Any) -> None:
    server.body = body
    assert await ask(server.url) == [2.0, 0.25]


@pytest.mark.parametrize(
    "body",
    [
        {"results": [{"index": 0, "relevance_score": 2}]},
        {"results": [{"index": 0, "relevance_score": 2}, {"index": 5, "relevance_score": 1}]},
        {"results": [{"index": 0, "relevance_score": "NaN"}, {"index": 1, "relevance_score": 1}]},
        {"results": [{"index": 0, "relevance_score": None}, {"index": 1, "relevance_score": 1}]},
        {"results": "none"},
        {"error": "no model"},
        [1, 2],
        "text",
        7,
        {"results": [{"index": "9" * 5000, "relevance_score": 1}, {"index": 1, "relevance_score": 1}]},
    ],
)
async def test_an_answer_of_another_shape_is_a_sentence(server: RerankServer, body: Any) -> None:
    server.body = body
    with pytest.raises(RerankingFailed, match="no `results` with an `index`"):
        await ask(server.url)


@pytest.mark.parametrize(
    "text", ["<html>", "", "[" * 100_000, '{"results": [{"index": Infinity, "relevance_score": 1}]}', "\ud800"]
)
async def test_an_answer_that_is_no_json_is_a_sentence(server: RerankServer, text: str) -> None:
    server.answer = web.Response(body=text.encode("utf-8", "surrogatepass"))
    with pytest.raises(RerankingFailed, match="no `results`"):
        await ask(server.url)


async def test_an_answer_without_end_is_a_sentence(server: RerankServer) -> None:
    server.answer = web.Response(text=" " * 2_000_000)
    with pytest.raises(RerankingFailed, match="more than 1000000 bytes"):
        await ask(server.url)


@pytest.mark.parametrize("status", [401, 404, 500, 503])
async def test_an_error_is_told_with_its_status(server: RerankServer, status: int) -> None:
    server.answer = web.Response(status=status)
    with pytest.raises(RerankingFailed, match=f"status {status}"):
        await ask(server.url)


async def test_passages_do_not_follow_a_redirect(server: RerankServer) -> None:
    server.answer = web.Response(status=307, headers={"Location": server.url})
    with pytest.raises(RerankingFailed, match="status 307"):
        await ask(server.url)
    assert len(server.requests) == 1


async def test_a_server_that_is_away_is_a_sentence() -> None:
    async with RerankServer().serve() as server:
        url = server.url
    with pytest.raises(RerankingFailed, match="cannot be used"):
        await ask(url)


async def test_a_server_that_never_answers_is_given_up(server: RerankServer) -> None:
    server.gate = asyncio.Event()
    with pytest.raises(RerankingFailed, match=r"did not answer within 0\.05 s"):
        await ask(server.url, time_limit_s=0.05)


def test_a_missing_key_is_named_and_not_its_value() -> None:
    settings = RerankingSettings(kind="server", url="http://gpu.lan/v1/rerank", api_key_env="RERANK_KEY")
    with pytest.raises(RerankingFailed, match="RERANK_KEY"):
        build_reranking(settings, None, None, {})  # type: ignore[arg-type]


@pytest.mark.parametrize("url", ["http://user:s3cret@gpu.lan/v1/rerank", "gpu.lan/v1/rerank", "ftp://gpu.lan"])
def test_an_address_is_one_of_the_web_without_a_password(url: str) -> None:
    with pytest.raises(ValueError, match="without user name and password"):
        RerankingSettings(kind="server", url=url)


def test_a_server_needs_an_address() -> None:
    with pytest.raises(ValueError, match="needs the address"):
        RerankingSettings(kind="server")
