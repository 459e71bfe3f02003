"""Client of a rerank server: the /v1/rerank request of Jina and Cohere, as llama.cpp, vLLM and TEI answer it."""

import json
import math
from collections.abc import Sequence
from typing import Any

import aiohttp

from knowledge.reranking.reranker import RerankingFailed
from knowledge.reranking.settings import RerankingSettings

_MAX_ANSWER_BYTES = 1_000_000


class ServerReranker:
    """Asks the endpoint in the settings. `api_key` goes out as a bearer token; empty for none."""

    def __init__(self, settings: RerankingSettings, api_key: str = "") -> None:
        self._settings = settings
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._session: aiohttp.ClientSession | None = None

    @property
    def name(self) -> str:
        """The model's name in the settings."""
        return self._settings.model

    async def prepare(self) -> None:
        """Does nothing: the server may start after Hearth."""

    async def score_passages(self, question: str, texts: Sequence[str]) -> list[float]:
        """A score for each text. Raises RerankingFailed."""
        body = {"model": self.name, "query": question, "documents": list(texts), "top_n": len(texts)}
        try:
            return _scores(await self._post(body), len(texts))
        except aiohttp.ClientError as error:
            raise self._failed(str(error) or type(error).__name__) from error
        except (ValueError, TypeError, LookupError, ArithmeticError, RecursionError) as error:
            raise self._failed("its answer has no `results` with an `index` and a `relevance_score` each") from error

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _post(self, body: dict[str, Any]) -> Any:
        if self._session is None:
            # Redirects are not followed: passages go to the address in the settings and no other.
            self._session = aiohttp.ClientSession(headers=self._headers)
        limit = aiohttp.ClientTimeout(total=self._settings.time_limit_s)
        try:
            async with self._session.post(
                self._settings.url, json=body, timeout=limit, allow_redirects=False
            ) as response:
                if response.status != 200:
                    raise self._failed(f"it answered with status {response.status}")
                return json.loads(await self._read(response))
        except TimeoutError as error:
            raise self._failed(f"it did not answer within {self._settings.time_limit_s:g} s") from error

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        data = bytearray()
        async for chunk in response.content.iter_any():
            data += chunk
            if len(data) > _MAX_ANSWER_BYTES:
                raise self._failed(f"its answer has more than {_MAX_ANSWER_BYTES} bytes")
        return bytes(data)

    def _failed(self, reason: str) -> RerankingFailed:
        return RerankingFailed(f"The rerank server at {self._settings.url} cannot be used: {reason}.")


def _scores(answer: Any, count: int) -> list[float]:
    """The scores by index. Raises one of Python's errors for an answer of another shape."""
    # TEI answers with a bare list, and says `score`.
    results = answer if isinstance(answer, list) else answer["results"]
    found: dict[int, float] = {}
    for result in results:
        score = float(result["relevance_score"] if "relevance_score" in result else result["score"])
        found[int(result["index"])] = score
    if set(found) != set(range(count)) or not all(map(math.isfinite, found.values())):
        raise ValueError(f"{len(found)} scores for {count} texts")
    return [found[number] for number in range(count)]
