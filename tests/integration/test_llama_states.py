"""States of real contexts: taken apart, written to files that grow, read back, and continued by later prompts."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import date
from pathlib import Path

import numpy
import pytest

from models.engine import STATELESS_PREFIX, Prompt, Sampling, Turn, Usage
from models.llama.engine import LlamaEngine
from models.llama.kv_cache.cache_keys import cache_key_of
from models.llama.kv_cache.slots import Slot
from models.llama.kv_cache.snapshot_file import SnapshotHeader, read_snapshot, write_snapshot
from models.llama.kv_cache.state_layout import recognise_layout
from models.llama.kv_cache.state_pieces import NO_CACHE, StatePiece, take_apart
from models.llama.loading.loader import LoadedModel, load_model
from models.llama.settings import LlamaSettings
from tests.fakes.tiny_gguf import Kind, write_tiny_model

_KEY = cache_key_of("room")
_API = STATELESS_PREFIX + "api:editor"
_GREEDY = Sampling(temperature=0.0, repeat_penalty=1.0, max_tokens=12)
_MODEL = b"m" * 16


@contextmanager
def _loaded(path: Path, **changes: object) -> Iterator[LoadedModel]:
    settings = LlamaSettings.model_validate({"context_tokens": 1024, "threads": 1, "parallel": 2, **changes})
    loaded = load_model(path, settings, lambda fraction: True)
    try:
        yield loaded
    finally:
        loaded.context.free()
        loaded.model.free()


def _tokens(count: int) -> list[int]:
    return [5 + number * number % 89 for number in range(count)]


def _cells(state: memoryview) -> list[StatePiece]:
    content = numpy.frombuffer(state, numpy.uint8)
    return [piece for piece in take_apart(content, recognise_layout(content), ()) if piece.cache != NO_CACHE]


_LAYOUTS: list[tuple[Kind, dict[str, object]]] = [
    ("attention", {"flash_attention": "off"}),
    ("attention", {"flash_attention": "on"}),
    ("attention", {"kv_cache_type": "q8_0"}),
    ("window", {"flash_attention": "off", "batch_tokens": 64}),
    ("window", {"flash_attention": "on", "batch_tokens": 64}),
    ("recurrent", {}),
]


@pytest.mark.parametrize(("kind", "changes"), _LAYOUTS)
def test_a_state_that_was_taken_apart_goes_on_as_the_one_that_was_saved(
    tmp_path: Path, kind: Kind, changes: dict[str, object]
) -> None:
    path, tokens = tmp_path / "state.kv", _tokens(600)
    with _loaded(write_tiny_model(tmp_path / "model.gguf", kind), **changes) as loaded:
        slot, other = (Slot(loaded.context, sequence) for sequence in (0, 1))
        for start in range(0, 600, 50):
            slot.prefill(tokens[start : start + 50])
            state = slot.save_state()
            header = SnapshotHeader(_KEY.digest, _KEY, list(slot.tokens), len(state))
            write_snapshot(path, _MODEL, header, state)
            assert read_snapshot(path, _MODEL) == (header, state)
        caches = {"attention": 1, "window": 2, "recurrent": 0}[kind]
        assert len(recognise_layout(numpy.frombuffer(state, numpy.uint8)).caches) == caches
        slot.prefill([7])
        expected = loaded.context.get_logits(-1).copy()
        assert other.restore_state(tokens, read_snapshot(path, _MODEL)[1])
        assert _cells(other.save_state()) == _cells(state)
        other.prefill([7])
        assert numpy.allclose(loaded.context.get_logits(-1), expected, atol=1e-4)


def test_twenty_turns_with_pauses_write_little_more_than_their_new_cells(tmp_path: Path, chat_model_path: Path) -> None:
    path, tokens = tmp_path / "state.kv", _tokens(1000)
    written_bytes = 0
    with _loaded(chat_model_path, threads=2) as loaded:
        slot = Slot(loaded.context, 0)
        for start in range(0, 1000, 50):
            slot.prefill(tokens[start : start + 50])
            state = slot.save_state()
            header = SnapshotHeader(_KEY.digest, _KEY, list(slot.tokens), len(state))
            written_bytes += write_snapshot(path, _MODEL, header, state)
    print(f"{written_bytes / len(state):.3f} bytes written for each byte of the state")
    assert written_bytes < 1.1 * len(state)


@asynccontextmanager
async def _engine(path: Path, *, parallel: int = 1, snapshot_folder: Path | None = None) -> AsyncIterator[LlamaEngine]:
    settings = LlamaSettings(context_tokens=1024, threads=1, batch_tokens=64, parallel=parallel)
    engine = await LlamaEngine.load(path, settings, snapshot_folder=snapshot_folder)
    try:
        yield engine
    finally:
        await engine.close()


async def _ask(engine: LlamaEngine, prompt: Prompt, key: str = _API) -> tuple[str, Usage]:
    *pieces, usage = [item async for item in engine.stream(prompt, key, _GREEDY)]
    assert isinstance(usage, Usage)
    return "".join(map(str, pieces)), usage


_TITLE = Prompt("", (), "Write a title of three words for this conversation about the ladder and the paint.")


@pytest.mark.parametrize("kind", ["attention", "window", "recurrent"])
@pytest.mark.parametrize("parallel", [1, 2])
async def test_a_chat_over_the_api_reads_only_what_is_new_with_title_requests_between(
    tmp_path: Path, kind: Kind, parallel: int
) -> None:
    path = write_tiny_model(tmp_path / "model.gguf", kind)
    history: tuple[Turn, ...] = ()
    prefilled, lengths, answers, prompts = 0, [], [], []
    async with _engine(path, parallel=parallel) as engine:
        for turn in range(6):
            prompt = Prompt("Be brief.", history, f"Question {turn}: where is thing {turn * 7} of the house now?")
            answer, usage = await _ask(engine, prompt)
            await _ask(engine, _TITLE)
            answers.append(answer)
            prompts.append(prompt)
            history = (*history, Turn("user", prompt.tail), Turn("assistant", answer or "…"))
            prefilled += usage.prefilled_tokens
            lengths.append(usage.prompt_tokens)
    async with _engine(path, parallel=1) as engine:
        for prompt, answer in zip(prompts, answers, strict=True):
            await engine.drop_state(_API)
            again, _ = await _ask(engine, prompt)
            assert again == answer
    read_again = (prefilled - lengths[0]) / (lengths[-1] - lengths[0])
    print(f"{kind}, {parallel} at a time: {read_again:.2f} tokens read for each new one")
    assert read_again <= 1.2


_DATED = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% if loop.first %}Today is {{ strftime_now('%d %b %Y') }}.\n"
    "{% endif %}{{ m['content'] }}<|im_end|>\n{% endfor %}<|im_start|>assistant\n"
)


@pytest.mark.parametrize("key", ["kitchen", _API])
async def test_a_conversation_goes_on_from_its_state_after_midnight(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    path = write_tiny_model(tmp_path / "model.gguf", "attention", chat_template=_DATED)

    class Tomorrow(date):
        @classmethod
        def today(cls) -> "Tomorrow":
            return cls.fromordinal(date.today().toordinal() + 1)

    history = (Turn("user", "Where is the ladder? " * 5), Turn("assistant", "Behind the shed."))
    async with _engine(path, snapshot_folder=tmp_path / "states") as engine:
        await _ask(engine, Prompt("Be brief.", (), history[0].text), key)
        await _ask(engine, Prompt("Be brief.", history, "And the paint?"), key)
        longer = (*history, Turn("user", "And the paint?"), Turn("assistant", "In the cellar."))
        monkeypatch.setattr("models.llama.kv_cache.dated_prompts.date", Tomorrow)
        _, usage = await _ask(engine, Prompt("Be brief.", longer, "And the brush?"), key)
        _, other = await _ask(engine, Prompt("Be brief.", longer, "And the brush?"), "another")
    assert usage.reused_tokens > 150
    assert other.reused_tokens < 60
    if key != _API:
        async with _engine(path, snapshot_folder=tmp_path / "states") as engine:
            _, usage = await _ask(engine, Prompt("Be brief.", longer, "And the brush?"), key)
        assert usage.reused_tokens > 150


async def test_conversations_share_the_state_of_their_system_prompt_on_disk_and_nothing_else(tmp_path: Path) -> None:
    path, folder = write_tiny_model(tmp_path / "model.gguf", "attention"), tmp_path / "states"
    system = "You know where everything in the house is. " * 8
    histories = {
        name: (Turn("user", f"Where is the {name}? " * 4), Turn("assistant", "Here.")) for name in ("ladder", "brush")
    }
    async with _engine(path, parallel=2, snapshot_folder=folder) as engine:
        for name, history in histories.items():
            await _ask(engine, Prompt(system, history, "And now?"), name)
    sizes = {file.stem: file.stat().st_size for file in folder.glob("*.kv")}
    keys = [cache_key_of(name).digest.hex() for name in histories]
    (shared,) = set(sizes) - set(keys)
    assert all(sizes[key] < sizes[shared] for key in keys)
    async with _engine(path, parallel=2, snapshot_folder=folder) as engine:
        for name, history in histories.items():
            _, usage = await _ask(engine, Prompt(system, history, "And then?"), name)
            assert usage.reused_tokens > 400
        await engine.drop_state("ladder")
        _, usage = await _ask(engine, Prompt(system, histories["brush"], "And then?"), "brush")
        assert usage.reused_tokens > 400
    assert keys[0] not in {file.stem for file in folder.glob("*.kv")}
