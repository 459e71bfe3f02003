"""The in-process engine as the rest of the program sees it: the async face of the `llama` thread."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from functools import lru_cache
from pathlib import Path

from models.engine import EngineFailed, Prompt, Sampling, Usage
from models.llama.decoding.generation import GenerationRequest
from models.llama.decoding.token_stream import TokenStream
from models.llama.inference_thread import InferenceThread
from models.llama.loading.loader import LoadedModel
from models.llama.native.cancel_flag import CancelFlag
from models.llama.plan.memory_plan import MemoryPlan
from models.llama.scheduling.requests import DropState, Generate, WarmUp
from models.llama.settings import LlamaSettings

_CACHED_COUNTS = 4096
_MAX_CACHED_CHARACTERS = 4096


class LlamaEngine:
    """An Engine on a GGUF model; further prompts than it answers together wait their turn."""

    def __init__(self, worker: InferenceThread, loaded: LoadedModel) -> None:
        """Use `load`."""
        self._thread = worker
        self._loaded = loaded
        self._cached_count = lru_cache(maxsize=_CACHED_COUNTS)(self._count_uncached)

    @classmethod
    async def load(
        cls,
        path: Path,
        settings: LlamaSettings | None = None,
        on_progress: Callable[[float], None] | None = None,
        snapshot_folder: Path | None = None,
    ) -> "LlamaEngine":
        """Load a model on a thread of its own. `on_progress` is called on the event loop with the part loaded, 0 to 1.

        The state of conversations that rest is kept in `snapshot_folder` over restarts; without one in memory alone.

        Cancelling stops the loading. Raises ModelUnusable with a sentence when the model cannot be used.
        """
        loop = asyncio.get_running_loop()

        def tell(part: float) -> None:
            if on_progress is not None and not loop.is_closed():
                loop.call_soon_threadsafe(on_progress, part)

        worker = InferenceThread(path, settings or LlamaSettings(), snapshot_folder, tell)
        worker.start()
        try:
            loaded = await asyncio.wrap_future(worker.loaded)
        except BaseException:
            worker.close()
            raise
        return cls(worker, loaded)

    @property
    def name(self) -> str:
        """The model's name, for people: its file's."""
        return self._loaded.model.path.stem

    @property
    def capacity(self) -> int:
        """Answers at the same time."""
        return self._loaded.memory_plan.parallel

    @property
    def context_tokens(self) -> int:
        """Tokens of prompt and answer together."""
        return self._loaded.memory_plan.context_tokens

    @property
    def memory_plan(self) -> MemoryPlan:
        """How the model was fitted into this machine."""
        return self._loaded.memory_plan

    async def stream(self, prompt: Prompt, key: str, sampling: Sampling) -> AsyncGenerator[str | Usage, None]:
        """Answer a prompt, as the port says; waits its turn when another answer is being made."""
        flag = CancelFlag()
        outbox = TokenStream()
        self._thread.throughput.record_queued()
        try:
            self._thread.requests.add(Generate(prompt, GenerationRequest(key, sampling, outbox, flag)))
        except EngineFailed:
            self._thread.throughput.record_abandoned()
            raise
        try:
            async for item in outbox.items():
                yield item
        finally:
            flag.set()

    def count_tokens(self, text: str) -> int:
        """Tokens of a text, by the model's own vocabulary; from any thread. Raises EngineFailed once closed."""
        if self._thread.requests.closed:
            raise EngineFailed("The engine was closed.")
        return self._cached_count(text) if len(text) <= _MAX_CACHED_CHARACTERS else self._count_uncached(text)

    def _count_uncached(self, text: str) -> int:
        return len(self._loaded.model.tokenize(text, parse_control=False))

    async def warm_up(self, key: str, prompt: Prompt) -> None:
        """Compute system and history ahead; returns when done or given up."""
        job = WarmUp(key, prompt)
        self._thread.requests.add(job)
        try:
            await asyncio.wrap_future(job.done)
        finally:
            job.cancel_flag.set()

    async def drop_state(self, key: str) -> int:
        """Drop what is kept of a conversation, in the context, in memory and on disk; the number of bytes."""
        job = DropState(key)
        self._thread.requests.add(job)
        return await asyncio.wrap_future(job.done)

    def estimate(self) -> float:
        """Seconds somebody new would wait for the first token, by the answers so far."""
        return self._thread.throughput.estimate_wait_s()

    async def close(self) -> None:
        """Stop what is running and free the model."""
        self._thread.close()
        await asyncio.wrap_future(self._thread.ended)
