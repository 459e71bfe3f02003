"""The check of doctor on the reranker, against a server on loopback."""

from typing import Any

import pytest
from aiohttp import web

from bot.cli.reranking_checks import check_reranking
from bot.config.schema import Config
from tests.fakes.rerankers import RerankServer


def config(**reranking: Any) -> Config:
    return Config.model_validate({"knowledge": {"reranking": reranking}})


async def test_a_server_that_answers_is_in_order() -> None:
    async with RerankServer().serve() as server:
        check = await check_reranking(config(kind="server", url=server.url), offline=False)
    assert (check.status, "answers" in check.sentence) == ("ok", True)


async def test_a_server_that_fails_is_a_problem() -> None:
    async with RerankServer().serve() as server:
        server.answer = web.Response(status=503)
        check = await check_reranking(config(kind="server", url=server.url), offline=False)
    assert (check.status, "status 503" in check.sentence) == ("problem", True)


async def test_a_missing_key_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RERANK_KEY", raising=False)
    settings = config(kind="server", url="http://127.0.0.1:9/v1/rerank", api_key_env="RERANK_KEY")
    check = await check_reranking(settings, offline=False)
    assert (check.status, "RERANK_KEY" in check.sentence) == ("problem", True)


@pytest.mark.parametrize("settings", [{}, {"kind": "fastembed"}, {"kind": "server", "url": "http://127.0.0.1:9/x"}])
async def test_no_server_is_asked_unless_there_is_one(settings: dict[str, str]) -> None:
    assert (await check_reranking(config(**settings), offline=True)).status == "ok"
