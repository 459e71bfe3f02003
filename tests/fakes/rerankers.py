"""Rerankers for tests: they count words in common, reverse the order, never answer, or fail."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from knowledge.reranking.reranker import RerankingFailed


class WordReranker:
    """The score of a text is the number of the question's words in it."""

    name = "words"

    def __init__(self) -> None:
        self.asked: list[tuple[str, tuple[str, ...]]] = []
        self.is_closed = False

    async def prepare(self) -> None:
        pass

    async def score_passages(self, question: str, texts: Sequence[str]) -> list[float]:
        self.asked.append((question, tuple(texts)))
        words = set(question.lower().split())
        return [float(len(words & set(text.lower().split()))) for text in texts]

    async def close(self) -> None:
        self.is_closed = True


class ReversingReranker(WordReranker):
    """Finds the last text best and the first one worst."""

    name = "reversing"

    async def score_passages(self, question: str, texts: Sequence[str]) -> list[float]:
        return [float(place) for place, _ in enumerate(texts)]


class SilentReranker(WordReranker):
    """Never answers; counts the calls that were cancelled."""

    name = "silent"

    def __init__(self) -> None:
        super().__init__()
        self.cancelled = 0

    async def score_passages(self, question: str, texts: Sequence[str]) -> list[float]:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return []


class BrokenReranker(WordReranker):
    """Counts its calls and fails."""

    name = "broken"

    async def prepare(self) -> None:
        raise RerankingFailed("The model's file is missing.")

    async def score_passages(self, question: str, texts: Sequence[str]) -> list[float]:
        self.asked.append((question, tuple(texts)))
        raise RerankingFailed("The model's file is missing.")


class RerankServer:
    """A /v1/rerank endpoint on loopback, which answers as llama.cpp does unless told otherwise."""

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[dict[str, Any]] = []
        self.authorization: list[str | None] = []
        self.answer: web.StreamResponse | None = None
        self.body: Any = None
        self.gate: asyncio.Event | None = None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        asked = await request.json()
        self.requests.append(asked)
        self.authorization.append(request.headers.get("Authorization"))
        if self.gate is not None:
            await self.gate.wait()
        if self.answer is not None:
            return self.answer
        if self.body is not None:
            return web.json_response(self.body)
        scores = await WordReranker().score_passages(asked["query"], asked["documents"])
        results = [{"index": number, "relevance_score": score} for number, score in enumerate(scores)]
        results.sort(key=lambda result: -result["relevance_score"])
        return web.json_response({"model": asked["model"], "object": "list", "results": results})

    @asynccontextmanager
    async def serve(self) -> AsyncIterator["RerankServer"]:
        """Serve on a free port."""
        application = web.Application()
        application.router.add_post("/v1/rerank", self.handle)
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            (address, *_) = runner.addresses
            self.url = f"http://127.0.0.1:{address[1]}/v1/rerank"
            yield self
        finally:
            if self.gate is not None:
                self.gate.set()
            await runner.cleanup()
