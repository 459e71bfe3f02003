"""Async interface of the in-process engine, on top of the inference thread."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from functools import lru_cache
from pathlib import Path

from models.engine import EngineFailed, EngineReport, Prompt, RawPrompt, Sampling, StreamItem
from models.llama.decoding.generation import GenerationRequest
from models.llama.decoding.token_stream import TokenStream
from models.llama.engine_report import build_report
from models.llama.inference_thread import InferenceThread
from models.llama.loading.loader import LoadedModel
from models.llama.native.cancel_flag import CancelFlag
from models.llama.plan.memory_plan import MemoryPlan
from models.llama.scheduling.requests import DropState, Generate, WarmUp
from models.llama.settings import LlamaSettings

_CACHED_COUNTS = 4096
_MAX_CACHED_CHARACTERS = 4096


class LlamaEngine:
    """An `Engine` that runs a GGUF model; prompts beyond its capacity are queued."""

    def __init__(self, inference_thread: InferenceThread, loaded: LoadedModel) -> None:
        """Internal; use `load`."""
        self._thread = inference_thread
        self._loaded = loaded
        self._cached_count = lru_cache(maxsize=_CACHED_COUNTS)(self._count_uncached)

    @classmethod
    async def load(
        cls,
        path: Path,
        settings: LlamaSettings | None = None,
        on_progress: Callable[[float], None] | None = None,
        snapshot_folder: Path | None = None,
        *,
        stateless_on_disk: bool = False,
    ) -> "LlamaEngine":
        """Load a model on a thread of its own; `on_progress` is called on the event loop with the fraction loaded.

        Snapshots of idle conversations are kept in `snapshot_folder` across restarts; without one, in memory only.
        Those of API callers are in memory only unless `stateless_on_disk`.

        Cancelling stops the load. Raises ModelUnusable with a sentence when the model cannot be used.
        """
        loop = asyncio.get_running_loop()

        def report(fraction: float) -> None:
            if on_progress is not None and not loop.is_closed():
                loop.call_soon_threadsafe(on_progress, fraction)

        inference_thread = InferenceThread(
            path, settings or LlamaSettings(), snapshot_folder, report, stateless_on_disk=stateless_on_disk
        )
        inference_thread.start()
        try:
            loaded = await asyncio.wrap_future(inference_thread.loaded)
        except BaseException:
            inference_thread.close()
            raise
        return cls(inference_thread, loaded)

    @property
    def name(self) -> str:
        """The model's name, for people: the stem of its file name."""
        return self._loaded.model.path.stem

    @property
    def capacity(self) -> int:
        """Answers at the same time."""
        return self._loaded.memory_plan.parallel

    @property
    def context_tokens(self) -> int:
        """Context size of one reply in tokens: prompt and generated text together."""
        return self._loaded.memory_plan.context_tokens

    @property
    def memory_plan(self) -> MemoryPlan:
        """The context, parallelism and GPU layers chosen for this machine, and the memory they need."""
        return self._loaded.memory_plan

    def stream(self, prompt: Prompt, key: str, sampling: Sampling) -> AsyncGenerator[StreamItem, None]:
        """Answer a prompt, as the port specifies; queued while all slots are in use."""
        return self._generate(prompt, key, sampling)

    def complete(self, prompt: RawPrompt, key: str, sampling: Sampling) -> AsyncGenerator[StreamItem, None]:
        """Continue a text, as the port specifies; queued while all slots are in use."""
        return self._generate(prompt, key, sampling)

    async def _generate(
        self, prompt: Prompt | RawPrompt, key: str, sampling: Sampling
    ) -> AsyncGenerator[StreamItem, None]:
        cancel_flag = CancelFlag()
        token_stream = TokenStream()
        self._thread.throughput.record_queued()
        try:
            self._thread.requests.add(Generate(prompt, GenerationRequest(key, sampling, token_stream, cancel_flag)))
        except EngineFailed:
            self._thread.throughput.record_abandoned()
            raise
        try:
            async for item in token_stream.items():
                yield item
        finally:
            cancel_flag.set()

    def count_tokens(self, text: str) -> int:
        """Number of tokens of a text in the model's vocabulary; from any thread. Raises EngineFailed once closed."""
        if self._thread.requests.closed:
            raise EngineFailed("The engine was closed.")
        return self._cached_count(text) if len(text) <= _MAX_CACHED_CHARACTERS else self._count_uncached(text)

    def _count_uncached(self, text: str) -> int:
        return len(self._loaded.model.tokenize(text, parse_control=False))

    async def warm_up(self, key: str, prompt: Prompt) -> None:
        """Prefill system and history while idle; returns when done or interrupted."""
        request = WarmUp(key, prompt)
        self._thread.requests.add(request)
        try:
            await asyncio.wrap_future(request.done)
        finally:
            request.cancel_flag.set()

    async def drop_state(self, key: str) -> int:
        """Drop the state of a conversation in the context, in memory and on disk, as the port specifies."""
        self._cached_count.cache_clear()  # its keys are texts
        request = DropState(key)
        try:
            self._thread.requests.add(request)
            return await asyncio.wrap_future(request.done)
        except EngineFailed:
            if not self._thread.requests.closed:
                raise
        await asyncio.wrap_future(self._thread.ended)
        request = DropState(key)
        self._thread.drop_snapshots(request)
        return await asyncio.wrap_future(request.done)

    def estimate(self) -> float:
        """Seconds that a new request would wait for its first token, estimated from recent replies."""
        return self._thread.throughput.estimate_wait_s()

    @property
    def interruption(self) -> str | None:
        """Why nothing is answered at the moment, as a sentence: the model failed and is being started again."""
        return self._thread.interruption

    def report(self) -> EngineReport:
        """How the model runs, from layers on the GPU to the gain of drafts."""
        return build_report(self._loaded, self._thread.settings, self._thread.scheduler)

    async def wait_failed(self) -> str:
        """Wait until the inference thread ends with an error; returns a sentence for the admin."""
        return await asyncio.wrap_future(self._thread.failed)

    async def close(self) -> None:
        """Stop all requests and free the model; running streams end with EngineFailed."""
        self._thread.close()
        await asyncio.wrap_future(self._thread.ended)
