"""A scripted engine that keeps what it has read in the real snapshot store, as the llama engine keeps its states."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from pathlib import Path

from models.engine import EngineFailed, Prompt, Sampling, StreamItem
from models.llama.kv_cache.cache_keys import cache_key_of, new_snapshot_name
from models.llama.kv_cache.snapshot_file import SnapshotHeader
from models.llama.kv_cache.snapshot_folder import SnapshotFolder
from models.llama.kv_cache.snapshot_store import SnapshotStore
from tests.fakes.engine import Script, ScriptedEngine

OnPrompt = Callable[[Prompt, str], None]


@dataclass(eq=False)
class _Run:
    key: str
    is_discarded: bool = False


class StateKeepingEngine(ScriptedEngine):
    """As `ScriptedEngine`; the states, system and history of the last prompt of each key, are written at once.

    `on_prompt` is called with each prompt and its key, also with those of warm-ups.
    """

    def __init__(self, folder: Path, script: Script, on_prompt: OnPrompt, capacity: int = 2) -> None:
        super().__init__(script, capacity)
        self._on_prompt = on_prompt
        self._runs: list[_Run] = []
        self.store = SnapshotStore(1 << 24, SnapshotFolder(folder, b"m" * 16, 1 << 30), write_delay_s=0.0)

    async def stream(self, prompt: Prompt, key: str, sampling: Sampling) -> AsyncGenerator[StreamItem, None]:
        self._on_prompt(prompt, key)
        run = _Run(key)
        self._runs.append(run)
        try:
            async for item in super().stream(prompt, key, sampling):
                yield item
        finally:
            self._runs.remove(run)
            if not run.is_discarded:
                self._keep(prompt, key)

    async def warm_up(self, key: str, prompt: Prompt) -> None:
        await super().warm_up(key, prompt)
        self._on_prompt(prompt, key)
        self._keep(prompt, key)

    async def drop_state(self, key: str) -> int:
        for run in self._runs:
            run.is_discarded = run.is_discarded or run.key == key
        loop, dropped = asyncio.get_running_loop(), asyncio.Event()
        sizes: list[int | None] = []

        def on_deleted(size_bytes: int | None) -> None:
            sizes.append(size_bytes)
            loop.call_soon_threadsafe(dropped.set)

        self.store.drop_all_of(cache_key_of(key), on_deleted)
        await dropped.wait()
        if sizes[0] is None:
            raise EngineFailed("A state could not be deleted.")
        return sizes[0]

    async def close(self) -> None:
        await super().close()
        self.store.close(5)

    def _keep(self, prompt: Prompt, key: str) -> None:
        text = "\n".join([prompt.system, *(turn.text for turn in prompt.history)])
        cache_key, state = cache_key_of(key), bytearray(text.encode())
        header = SnapshotHeader(new_snapshot_name(cache_key), cache_key, [ord(each) for each in text], len(state))
        self.store.put_snapshot(header, memoryview(state))
