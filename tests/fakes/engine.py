"""An engine that answers by a script, for testing what is above it."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

from models.engine import (
    EngineFailed,
    EngineReport,
    FinishReason,
    Prompt,
    PromptTooLong,
    RawPrompt,
    Sampling,
    StreamItem,
    ThinkingText,
    Usage,
)
from models.tool_calls import ToolCallPiece

Script = Callable[[Prompt], Sequence[str | ThinkingText | ToolCallPiece]]


class ScriptedEngine:
    """Fills `Engine`. `script` makes the pieces, one each `piece_s`; `prompts` keeps what was asked; clear `gate` to
    hold answers back; with `keeps_states_with` states cannot be dropped.
    """

    def __init__(
        self, script: Script = lambda _: ["The drive ", "is there [1]."], capacity: int = 1, piece_s: float = 0
    ) -> None:
        self.script = script
        self.capacity = capacity
        self.piece_s = piece_s
        self.name = "scripted"
        self.context_tokens = 2048
        self.prompts: list[Prompt] = []
        self.raw_prompts: list[RawPrompt] = []
        self.samplings: list[Sampling] = []
        self.keys: list[str] = []
        self.prepared: list[Prompt] = []
        self.forgotten: list[str] = []
        self.keeps_states_with: EngineFailed | None = None
        self.running = 0
        self.most_running = 0
        self.fails_with: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.interrupted_by: str | None = None
        self.reported = EngineReport()
        self._closed = False
        self._failed = asyncio.Event()

    def anew(self) -> "ScriptedEngine":
        """The same engine in another process, so to speak."""
        return ScriptedEngine(self.script, self.capacity, self.piece_s)

    async def stream(self, prompt: Prompt, key: str, sampling: Sampling) -> AsyncGenerator[StreamItem, None]:
        if self._closed:
            raise EngineFailed("The engine is closed.")
        tokens = sum(self.count_tokens(turn.text) for turn in prompt.turns())
        if tokens >= self.context_tokens:
            raise PromptTooLong(tokens, self.context_tokens)
        self.prompts.append(prompt)
        self.samplings.append(sampling)
        self.keys.append(key)
        self.running += 1
        self.most_running = max(self.running, self.most_running)
        try:
            pieces = self.script(prompt)
            for piece in pieces:
                await asyncio.sleep(self.piece_s)
                yield piece
                await self.gate.wait()
                if self.fails_with is not None:
                    raise self.fails_with
            thinking = sum(isinstance(piece, ThinkingText) for piece in pieces)
            finish: FinishReason = "tool_calls" if any(isinstance(each, ToolCallPiece) for each in pieces) else "stop"
            yield Usage(tokens, tokens, 0, len(pieces), 0.01, 0.01, finish, thinking_tokens=thinking)
        finally:
            self.running -= 1

    async def complete(self, prompt: RawPrompt, key: str, sampling: Sampling) -> AsyncGenerator[StreamItem, None]:
        """Answer as to the text as a question."""
        self.raw_prompts.append(prompt)
        async with aclosing(self.stream(Prompt("", (), prompt.text), key, sampling)) as items:
            async for item in items:
                yield item

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    async def warm_up(self, key: str, prompt: Prompt) -> None:
        self.prepared.append(prompt)

    async def drop_state(self, key: str) -> int:
        if self.keeps_states_with is not None:
            raise self.keeps_states_with
        self.forgotten.append(key)
        return 2048

    def estimate(self) -> float:
        return 0.0

    @property
    def interruption(self) -> str | None:
        return self.interrupted_by

    def report(self) -> EngineReport:
        return self.reported

    async def wait_failed(self) -> str:
        await self._failed.wait()
        return "The model is gone."

    def fail(self) -> None:
        """Die, as an engine whose thread has ended does."""
        self._failed.set()

    async def close(self) -> None:
        self._closed = True
