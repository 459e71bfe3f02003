"""One chat completion as a client of either server hears it: streamed, greedy, with the moment of each piece."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import aiohttp

KEY = "bench"
SILENCE_S = 180

Message = dict[str, str]


@dataclass
class StreamedAnswer:
    """An answer. `at` are the monotonic moments of its pieces with text; tokens are as the server counts them."""

    began: float
    text: str = ""
    at: list[float] = field(default_factory=list)
    prompt_tokens: int = 0
    cached_tokens: int = 0
    written_tokens: int = 0

    @property
    def first_s(self) -> float:
        """Seconds from the question to the first text."""
        return self.at[0] - self.began

    @property
    def total_s(self) -> float:
        """Seconds from the question to the last text."""
        return self.at[-1] - self.began

    @property
    def longest_gap_s(self) -> float:
        """The longest silence between two pieces."""
        return max(later - earlier for earlier, later in pairwise(self.at))

    @property
    def tokens_per_s(self) -> float:
        """Tokens a second from the first to the last."""
        return (self.written_tokens - 1) / (self.at[-1] - self.at[0])


def client_session() -> aiohttp.ClientSession:
    """What requests to both go through. Each has a connection of its own: one that rested while its server stood still
    may be closed by it in the moment when it is used again.
    """
    timeout = aiohttp.ClientTimeout(total=None, sock_read=SILENCE_S)
    return aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(force_close=True))


class Client:
    """Asks one server. The same requests go to both, and each ignores what only the other needs."""

    def __init__(self, url: str, model: str, session: aiohttp.ClientSession) -> None:
        self._url = url
        self._model = model
        self._session = session

    async def ask(
        self, messages: Sequence[Message], tokens: int, started: asyncio.Event | None = None
    ) -> StreamedAnswer:
        """Ask for an answer of `tokens` tokens at most; `started` is set by its first text.

        Cancelling it closes the connection. Raises ValueError for an answer without text or usage.
        """
        heard = StreamedAnswer(time.monotonic())
        async with aclosing(self._chunks(messages, tokens)) as chunks:
            async for chunk in chunks:
                text = "".join(choice["delta"].get("content") or "" for choice in chunk["choices"])
                if text:
                    heard.at.append(time.monotonic())
                    heard.text += text
                    if started:
                        started.set()
                if usage := chunk.get("usage"):
                    heard.prompt_tokens = usage["prompt_tokens"]
                    heard.cached_tokens = usage["prompt_tokens_details"]["cached_tokens"]
                    heard.written_tokens = usage["completion_tokens"]
        if not heard.at or not heard.written_tokens:
            raise ValueError(f"{self._url} answered nothing")
        return heard

    async def _chunks(self, messages: Sequence[Message], tokens: int) -> AsyncIterator[dict[str, Any]]:
        body = {
            "model": self._model,
            "messages": list(messages),
            "max_tokens": tokens,
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        headers = {"Authorization": f"Bearer {KEY}"}
        async with self._session.post(f"{self._url}/v1/chat/completions", json=body, headers=headers) as response:
            if response.status != 200:
                raise ValueError(f"{self._url} answered {response.status}: {await response.text()}")
            async for line in response.content:
                data = line.decode().removeprefix("data:").strip()
                if line.startswith(b"data:") and data != "[DONE]":
                    chunk = json.loads(data)
                    if "choices" not in chunk:
                        raise ValueError(f"{self._url} ended with {data}")
                    yield chunk
