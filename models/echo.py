"""An engine without a model that repeats the question: for trial setups and load tests."""

import asyncio
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, suppress

from pydantic import BaseModel, ConfigDict, Field

from models.engine import (
    EngineFailed,
    EngineReport,
    NotSupported,
    Prompt,
    PromptTooLong,
    RawPrompt,
    Sampling,
    StreamItem,
    Usage,
)
from models.stop import StopStrings

_TOKEN = re.compile(r"\s*\S{1,4}|\s+")
_PARAGRAPHS = re.compile(r"\n\s*\n")
_MIN_ANSWER_TOKENS = 64
# At very high rates many tokens are due at once: a larger piece would block the event loop.
_MAX_PIECE_TOKENS = 256


class EchoSettings(BaseModel):
    """Settings of the echo engine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tokens_per_s: float = Field(default=20.0, gt=0, description="Tokens per second; a token is about four characters.")
    first_token_s: float = Field(default=0.0, ge=0, description="Delay before the first token, in seconds.")
    capacity: int = Field(default=1, ge=1, description="Answers generated in parallel.")
    context_tokens: int = Field(default=8192, ge=256, description="Context size in tokens, prompt and answer together.")


class EchoEngine:
    """Repeats the question, the last paragraph of the prompt's tail, at a steady rate."""

    def __init__(
        self,
        tokens_per_s: float = 20.0,
        first_token_s: float = 0.0,
        capacity: int = 1,
        context_tokens: int = 8192,
    ) -> None:
        self._tokens_per_s = tokens_per_s
        self._first_token_s = first_token_s
        self._capacity = capacity
        self._context_tokens = context_tokens
        self._slots = asyncio.Semaphore(capacity)
        self._open_requests = 0
        self._closed = asyncio.Event()

    @property
    def name(self) -> str:
        """The engine's name, for people."""
        return "echo"

    @property
    def capacity(self) -> int:
        """Answers at the same time; further prompts are queued."""
        return self._capacity

    @property
    def context_tokens(self) -> int:
        """Tokens of prompt and answer together."""
        return self._context_tokens

    def stream(self, prompt: Prompt, key: str, sampling: Sampling) -> AsyncGenerator[StreamItem, None]:
        """Repeat the last paragraph of the tail. Raises PromptTooLong, or EngineFailed once the engine is closed."""
        del key
        prompt_tokens = sum(self.count_tokens(turn.text) for turn in prompt.turns())
        return self._repeat(_last_paragraph(prompt.tail), prompt_tokens, sampling)

    def complete(self, prompt: RawPrompt, key: str, sampling: Sampling) -> AsyncGenerator[StreamItem, None]:
        """Repeat the last paragraph of the text. Raises as `stream`, and NotSupported for a suffix."""
        del key
        if prompt.suffix is not None:
            raise NotSupported("Nothing is filled in here: the echo engine has no model.", "suffix")
        return self._repeat(_last_paragraph(prompt.text), self.count_tokens(prompt.text), sampling)

    async def _repeat(self, text: str, prompt_tokens: int, sampling: Sampling) -> AsyncGenerator[StreamItem, None]:
        limit = self._context_tokens - min(_MIN_ANSWER_TOKENS, sampling.max_tokens)
        if prompt_tokens > limit:
            raise PromptTooLong(prompt_tokens, limit)
        max_tokens = min(sampling.max_tokens, self._context_tokens - prompt_tokens)
        async with AsyncExitStack() as stack:
            self._open_requests += 1
            stack.callback(self._close_request)
            await stack.enter_async_context(self._slots)
            answer = _EchoAnswer(text, max_tokens, StopStrings(sampling.stop))
            started = time.monotonic()
            async for piece in self._stream_text(answer):
                yield piece
            yield Usage(
                prompt_tokens=prompt_tokens,
                prefilled_tokens=prompt_tokens,
                reused_tokens=0,
                generated_tokens=answer.written,
                prefill_s=self._first_token_s,
                decode_s=max(0.0, time.monotonic() - started - self._first_token_s),
                finish="length" if answer.is_truncated else "stop",
            )

    async def _stream_text(self, answer: "_EchoAnswer") -> AsyncIterator[str]:
        """Pieces of text at the times they are due by the clock, so that a late wake-up does not lower the rate."""
        started = time.monotonic() + self._first_token_s
        await self._pause(started)
        while not answer.is_done:
            await self._pause(started + (answer.written + 1) / self._tokens_per_s)
            due = int((time.monotonic() - started) * self._tokens_per_s) - answer.written
            if piece := answer.next_text(max(1, min(due, _MAX_PIECE_TOKENS))):
                yield piece
        if piece := answer.flush():
            yield piece

    async def _pause(self, deadline: float) -> None:
        """Sleep until the deadline, for one turn of the event loop at least. Raises EngineFailed once closed."""
        await asyncio.sleep(0)
        if (seconds := deadline - time.monotonic()) > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._closed.wait()
        if self._closed.is_set():
            raise EngineFailed("The engine was closed.")

    def _close_request(self) -> None:
        self._open_requests -= 1

    def count_tokens(self, text: str) -> int:
        """Tokens of a text: each word is split into pieces of up to four characters."""
        return len(_TOKEN.findall(text))

    async def warm_up(self, key: str, prompt: Prompt) -> None:
        """Do nothing: there is no state to prefill."""
        del key, prompt

    async def drop_state(self, key: str) -> int:
        """Return 0 bytes: no state is kept."""
        del key
        return 0

    def estimate(self) -> float:
        """Seconds until a slot is free, at the configured rate and 50 tokens an answer, plus the first token's."""
        rounds_ahead = self._open_requests // self._capacity
        return self._first_token_s + rounds_ahead * (self._first_token_s + 50 / self._tokens_per_s)

    @property
    def interruption(self) -> str | None:
        """None: nothing interrupts it."""
        return None

    def report(self) -> EngineReport:
        """Nothing: there is no model."""
        return EngineReport()

    async def wait_failed(self) -> str:
        """Wait for ever: there is no model that could fail."""
        forever: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        return await forever

    async def close(self) -> None:
        """End running streams with EngineFailed."""
        self._closed.set()


class _EchoAnswer:
    """One answer in progress: its tokens, the number written, and whether a stop string or the limit ended it."""

    def __init__(self, text: str, max_tokens: int, stops: StopStrings) -> None:
        self._tokens = _TOKEN.findall(text)
        self._max_tokens = max_tokens
        self._stops = stops
        self.written = 0

    @property
    def is_truncated(self) -> bool:
        """Whether the token limit ended the answer."""
        return not self._stops.stopped and self.written >= self._max_tokens and self.written < len(self._tokens)

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to write."""
        return self._stops.stopped or self.written >= min(self._max_tokens, len(self._tokens))

    def next_text(self, count: int) -> str:
        """The text of the next `count` tokens, up to a stop string."""
        end = min(self.written + count, self._max_tokens)
        piece = self._stops.push_text("".join(self._tokens[self.written : end]))
        self.written = min(end, len(self._tokens))
        return piece

    def flush(self) -> str:
        """The text held back as a possible stop string."""
        return self._stops.flush()


def _last_paragraph(text: str) -> str:
    """The last paragraph, without the label that prompts put in front of a question."""
    return _PARAGRAPHS.split(text.strip())[-1].removeprefix("Question: ")
