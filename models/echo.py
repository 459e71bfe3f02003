"""An engine without a model, which repeats the question: for trying and loading a set-up."""

import asyncio
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, suppress

from pydantic import BaseModel, ConfigDict, Field

from models.engine import EngineFailed, Prompt, PromptTooLong, Sampling, Usage
from models.stop import StopStrings

_TOKEN = re.compile(r"\s*\S{1,4}|\s+")
_PARAGRAPHS = re.compile(r"\n\s*\n")
_LEAST_ANSWER_TOKENS = 64
# At very high rates many tokens are due at once: more than this in one piece would hold up the loop.
_TOKENS_PER_PIECE = 256


class EchoSettings(BaseModel):
    """How the echo engine behaves."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tokens_per_s: float = Field(default=20.0, gt=0, description="Tokens per second; a token is about four characters.")
    first_token_s: float = Field(default=0.0, ge=0, description="Delay before the first token, in seconds.")
    capacity: int = Field(default=1, ge=1, description="Answers generated in parallel.")
    context_tokens: int = Field(default=8192, ge=256, description="Context size in tokens, prompt and answer together.")


class EchoEngine:
    """Answers with the question, the last paragraph of the prompt's tail, at a steady rate."""

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
        self._places = asyncio.Semaphore(capacity)
        self._asked = 0
        self._closed = asyncio.Event()

    @property
    def name(self) -> str:
        """The engine's name, for people."""
        return "echo"

    @property
    def capacity(self) -> int:
        """Answers at the same time; more wait their turn."""
        return self._capacity

    @property
    def context_tokens(self) -> int:
        """Tokens of prompt and answer together."""
        return self._context_tokens

    async def stream(self, prompt: Prompt, key: str, sampling: Sampling) -> AsyncGenerator[str | Usage, None]:
        """Repeat the last paragraph of the tail. Raises PromptTooLong, or EngineFailed once the engine is closed."""
        del key
        prompt_tokens = sum(self.count_tokens(turn.text) for turn in prompt.turns())
        limit = self._context_tokens - min(_LEAST_ANSWER_TOKENS, sampling.max_tokens)
        if prompt_tokens > limit:
            raise PromptTooLong(prompt_tokens, limit)
        room = min(sampling.max_tokens, self._context_tokens - prompt_tokens)
        async with AsyncExitStack() as stack:
            self._asked += 1
            stack.callback(self._leave)
            await stack.enter_async_context(self._places)
            writing = _EchoAnswer(_question(prompt.tail), room, StopStrings(sampling.stop))
            started = time.monotonic()
            async for piece in self._write(writing):
                yield piece
            yield Usage(
                prompt_tokens=prompt_tokens,
                prefilled_tokens=prompt_tokens,
                reused_tokens=0,
                generated_tokens=writing.written,
                prefill_s=self._first_token_s,
                decode_s=max(0.0, time.monotonic() - started - self._first_token_s),
                finish="length" if writing.is_truncated else "stop",
            )

    async def _write(self, writing: "_EchoAnswer") -> AsyncIterator[str]:
        """Pieces at the times they are due by the clock, so that a late wake-up does not slow the whole."""
        began = time.monotonic() + self._first_token_s
        await self._pause(began)
        while not writing.is_done:
            await self._pause(began + (writing.written + 1) / self._tokens_per_s)
            due = int((time.monotonic() - began) * self._tokens_per_s) - writing.written
            if piece := writing.next_text(max(1, min(due, _TOKENS_PER_PIECE))):
                yield piece
        if piece := writing.flush():
            yield piece

    async def _pause(self, until: float) -> None:
        """Sleep until then, at least for one turn of the loop; raise EngineFailed when the engine is closed."""
        await asyncio.sleep(0)
        if (seconds := until - time.monotonic()) > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._closed.wait()
        if self._closed.is_set():
            raise EngineFailed("The engine was closed.")

    def _leave(self) -> None:
        self._asked -= 1

    def count_tokens(self, text: str) -> int:
        """Tokens of a text: pieces of up to four characters that begin at a word."""
        return len(_TOKEN.findall(text))

    async def warm_up(self, key: str, prompt: Prompt) -> None:
        """Nothing to prepare."""
        del key, prompt

    async def drop_state(self, key: str) -> int:
        """Nothing is kept, so nothing is dropped: 0 bytes."""
        del key
        return 0

    def estimate(self) -> float:
        """Seconds until a place is free, by the rate and a typical answer of 50 tokens, and the first token."""
        rounds_ahead = self._asked // self._capacity
        return self._first_token_s + rounds_ahead * (self._first_token_s + 50 / self._tokens_per_s)

    async def close(self) -> None:
        """End running streams with EngineFailed."""
        self._closed.set()


class _EchoAnswer:
    """One answer being written: its tokens, how many are out, and whether a stop string or the limit ended it."""

    def __init__(self, text: str, room: int, stops: StopStrings) -> None:
        self._tokens = _TOKEN.findall(text)
        self._room = room
        self._stops = stops
        self.written = 0

    @property
    def is_truncated(self) -> bool:
        """The limit came before the end."""
        return not self._stops.stopped and self.written >= self._room and self.written < len(self._tokens)

    @property
    def is_done(self) -> bool:
        """Nothing is left to write."""
        return self._stops.stopped or self.written >= min(self._room, len(self._tokens))

    def next_text(self, count: int) -> str:
        """The text of the next tokens, as far as stop strings allow."""
        end = min(self.written + count, self._room)
        piece = self._stops.push_text("".join(self._tokens[self.written : end]))
        self.written = min(end, len(self._tokens))
        return piece

    def flush(self) -> str:
        """What was held back."""
        return self._stops.flush()


def _question(text: str) -> str:
    """The last paragraph, without the label that prompts put before a question."""
    return _PARAGRAPHS.split(text.strip())[-1].removeprefix("Question: ")
