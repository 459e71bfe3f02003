"""Many conversations on one engine: batched, restored from snapshots and cancelled, each is answered as if alone.

Bit for bit where the engine is deterministic, and but for rounding otherwise.
"""

import asyncio
import json
import logging
import os
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.engine import STATELESS_PREFIX, EngineFailed, Prompt, Sampling, Turn, Usage
from models.llama.engine import LlamaEngine
from models.llama.kv_cache.cache_keys import cache_key_of
from models.llama.settings import LlamaSettings
from tests.fakes.tiny_gguf import Kind, write_tiny_model

_SYSTEM = "You are the assistant of a house and know where everything is."
_GREEDY = Sampling(temperature=0.0, repeat_penalty=1.0, max_tokens=12)
_KINDS: tuple[Kind, ...] = ("attention", "window", "recurrent")

Answer = tuple[str, Usage]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Kind], Path]:
    folder = tmp_path_factory.mktemp("tiny")
    paths = {kind: write_tiny_model(folder / f"{kind}.gguf", kind) for kind in _KINDS}
    return paths.__getitem__


@asynccontextmanager
async def _engine(path: Path, folder: Path | None = None, **changes: object) -> AsyncIterator[LlamaEngine]:
    settings = LlamaSettings.model_validate({"context_tokens": 1024, "threads": 1, "deterministic": True, **changes})
    engine = await LlamaEngine.load(path, settings, snapshot_folder=folder)
    try:
        yield engine
    finally:
        await engine.close()


async def _ask(engine: LlamaEngine, prompt: Prompt, key: str = "room", sampling: Sampling = _GREEDY) -> Answer:
    *pieces, usage = [item async for item in engine.stream(prompt, key, sampling)]
    assert isinstance(usage, Usage)
    return "".join(map(str, pieces)), usage


class _Talk:
    """A conversation: its history, and its next question with passages that change."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.history: tuple[Turn, ...] = ()
        self._random = random.Random(name)

    def next(self) -> Prompt:
        passages = " ".join(f"{self._random.randrange(999)} is in {self.name}." for _ in range(4))
        return Prompt(_SYSTEM, self.history, f"{passages}\n\nQuestion {len(self.history)} of {self.name}?")

    def answered(self, text: str) -> None:
        question = Turn("user", f"Question {len(self.history)} of {self.name}?")
        self.history = (*self.history, question, Turn("assistant", text or "…"))

    async def turn(self, engine: LlamaEngine) -> Answer:
        answer = await _ask(engine, self.next(), self.name)
        self.answered(answer[0])
        return answer


async def _alone(path: Path, name: str, turns: int) -> list[str]:
    """The answers to a conversation on an engine of its own without cached state."""
    answers = []
    async with _engine(path, parallel=1, kv_cache_memory_bytes=0) as engine:
        talk = _Talk(name)
        for _ in range(turns):
            await engine.drop_state(name)
            answers.append((await talk.turn(engine))[0])
    return answers


@pytest.mark.parametrize("kind", _KINDS)
async def test_answers_made_together_are_those_made_one_after_the_other(
    tiny: Callable[[Kind], Path], kind: Kind
) -> None:
    async with _engine(tiny(kind), parallel=4) as engine:
        prompts = {name: _Talk(name).next() for name in ("a", "bb", "ccc", "dddd")}
        serial = [await _ask(engine, prompt, name) for name, prompt in prompts.items()]
        for name in prompts:
            await engine.drop_state(name)
        together = await asyncio.gather(*(_ask(engine, prompt, name) for name, prompt in prompts.items()))
    assert [text for text, _ in together] == [text for text, _ in serial]


@pytest.mark.parametrize("parallel", [4, 8])
async def test_the_default_model_answers_together_what_it_answers_one_after_the_other(
    chat_model_path: Path, parallel: int
) -> None:
    things = ("brush", "cup", "bike", "map", "blue shirt", "lamp", "coin")[: parallel - 1]
    prompts = [Prompt(_SYSTEM, (), f"Where would you look for a {thing}?") for thing in things]
    prompts.append(Prompt(_SYSTEM, (Turn("user", "Hello!"), Turn("assistant", "Hello.")), "Who are you, and where?"))
    settings = LlamaSettings(context_tokens=512, parallel=parallel, deterministic=True)
    engine = await LlamaEngine.load(chat_model_path, settings)
    sampling = Sampling(temperature=0.0, max_tokens=16)
    serial = [await _ask(engine, prompt, str(number), sampling) for number, prompt in enumerate(prompts)]
    together = await asyncio.gather(
        *(_ask(engine, prompt, f"again {number}", sampling) for number, prompt in enumerate(prompts))
    )
    await engine.close()
    assert [text for text, _ in together] == [text for text, _ in serial]


@pytest.mark.parametrize("kind", _KINDS)
async def test_conversations_that_take_turns_in_one_sequence_are_answered_as_alone(
    tiny: Callable[[Kind], Path], kind: Kind
) -> None:
    names = ("kitchen", "cellar", "garden")
    async with _engine(tiny(kind), parallel=1) as engine:
        talks = [_Talk(name) for name in names]
        rounds = [[await talk.turn(engine) for talk in talks] for _ in range(3)]
    for index, name in enumerate(names):
        assert [each[index][0] for each in rounds] == await _alone(tiny(kind), name, 3)
    for _, usage in rounds[-1]:
        # System and the older history are cached; the newest question and answer, and the passages, are new.
        assert usage.reused_tokens > 100


@pytest.mark.parametrize("kind", _KINDS)
async def test_a_restored_conversation_whose_history_changed_goes_on_from_what_is_still_right(
    tiny: Callable[[Kind], Path], kind: Kind
) -> None:
    said = [Turn("user", "The ladder is behind the shed. " * 4), Turn("assistant", "I see."), Turn("user", "And?")]
    whole = Prompt(_SYSTEM, (*said, Turn("assistant", "The paint is in the cellar. " * 4)), "What else?")
    changed = Prompt(_SYSTEM, (*said, Turn("assistant", "Nothing.")), "What else?")
    async with _engine(tiny(kind), parallel=1) as engine:
        for key in ("kitchen", "cellar", "kitchen"):
            await _ask(engine, whole, key)
        restored, _ = await _ask(engine, changed, "kitchen")
    async with _engine(tiny(kind), parallel=1) as engine:
        assert (await _ask(engine, changed, "kitchen"))[0] == restored


@pytest.mark.parametrize("kind", _KINDS)
async def test_a_prepared_turn_is_not_computed_again(tiny: Callable[[Kind], Path], kind: Kind) -> None:
    async with _engine(tiny(kind), parallel=1) as engine:
        talk = _Talk("kitchen")
        await talk.turn(engine)
        prompt = talk.next()
        await engine.warm_up(talk.name, prompt)
        _, usage = await _ask(engine, prompt, talk.name)
    assert usage.prefilled_tokens < len(prompt.tail) + 40


@pytest.mark.parametrize("kind", _KINDS)
async def test_after_a_restart_conversations_go_on_from_the_disk(
    tiny: Callable[[Kind], Path], kind: Kind, tmp_path: Path
) -> None:
    names = ("kitchen", "cellar", "garden")
    talks = [_Talk(name) for name in names]
    async with _engine(tiny(kind), tmp_path, parallel=2) as engine:
        for talk in talks:
            await talk.turn(engine)
    async with _engine(tiny(kind), tmp_path, parallel=2) as engine:
        answers = [await talk.turn(engine) for talk in talks]
    for name, (text, usage) in zip(names, answers, strict=True):
        assert usage.reused_tokens > 60
        assert text == (await _alone(tiny(kind), name, 2))[1]


def _truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-10])


def _flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 4
    file.write_bytes(content)


def _make_unreadable(file: Path) -> None:
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize("damage", [_truncate, _flip, _make_unreadable])
async def test_damaged_files_are_computed_again_with_a_line_in_the_log(
    tiny: Callable[[Kind], Path],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    damage: Callable[[Path], None],
) -> None:
    talk = _Talk("kitchen")
    async with _engine(tiny("attention"), tmp_path) as engine:
        await talk.turn(engine)
    for file in tmp_path.glob("*.kv"):
        damage(file)
    with caplog.at_level(logging.INFO, "models.llama"):
        async with _engine(tiny("attention"), tmp_path) as engine:
            text, usage = await talk.turn(engine)
    assert text == (await _alone(tiny("attention"), "kitchen", 2))[1]
    assert usage.reused_tokens == 0
    assert any("computed again" in record.message for record in caplog.records)


@pytest.mark.parametrize(
    "changes", [{"kv_cache_type": "q8_0"}, {"parallel": 3}, {"flash_attention": "on"}, {"deterministic": True}]
)
async def test_states_of_other_settings_are_dropped(
    tiny: Callable[[Kind], Path], tmp_path: Path, changes: dict[str, object]
) -> None:
    talk = _Talk("kitchen")
    before: dict[str, object] = {"parallel": 2, "deterministic": False}
    async with _engine(tiny("attention"), tmp_path, **before) as engine:
        await talk.turn(engine)
    async with _engine(tiny("attention"), tmp_path, **{**before, **changes}) as engine:
        _, usage = await talk.turn(engine)
    assert usage.reused_tokens == 0


async def test_states_of_another_model_are_dropped(tiny: Callable[[Kind], Path], tmp_path: Path) -> None:
    talk = _Talk("kitchen")
    async with _engine(tiny("attention"), tmp_path / "parked") as engine:
        await talk.turn(engine)
    other = write_tiny_model(tmp_path / "other.gguf", "attention", seed=2)
    async with _engine(other, tmp_path / "parked") as engine:
        _, usage = await talk.turn(engine)
    assert usage.reused_tokens == 0


def _replace(path: Path) -> None:
    write_tiny_model(path.with_name("new.gguf"), "attention", seed=2).replace(path)


def _cut_short(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(1000)


@pytest.mark.parametrize("change", [_replace, _cut_short])
async def test_a_model_file_that_changes_under_the_program_changes_no_answer(
    tiny: Callable[[Kind], Path], tmp_path: Path, change: Callable[[Path], None]
) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(tiny("attention").read_bytes())
    async with _engine(path) as engine:
        before, _ = await _ask(engine, _Talk("a").next())
        change(path)
        assert (await _ask(engine, _Talk("a").next(), "b"))[0] == before


async def test_a_mapped_model_file_overwritten_under_the_program_is_noticed(
    tiny: Callable[[Kind], Path], tmp_path: Path
) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(tiny("attention").read_bytes())
    async with _engine(path, mmap=True) as engine:
        with path.open("r+b") as file:
            file.write(b"GGUF")
        with pytest.raises(EngineFailed, match="overwritten"):
            await _ask(engine, _Talk("a").next())


@pytest.mark.parametrize("deterministic", [False, True])
async def test_nothing_of_a_conversation_serves_another_but_the_system_prompt(
    tiny: Callable[[Kind], Path], tmp_path: Path, deterministic: bool
) -> None:
    prompt = Prompt(_SYSTEM, (Turn("user", "My secret is 4711."), Turn("assistant", "Fine.")), "What is my secret?")
    async with _engine(tiny("attention"), tmp_path, parallel=2, deterministic=deterministic) as engine:
        _, first = await _ask(engine, prompt, "discord:1")
        _, other = await _ask(engine, prompt, "discord:2")
        _, again = await _ask(engine, prompt, "discord:1")
        _, stranger = await _ask(engine, prompt, STATELESS_PREFIX + "key 1")
        system = engine.count_tokens(_SYSTEM)
    assert first.reused_tokens == 0
    assert system <= other.reused_tokens <= system + 40
    assert again.reused_tokens > other.reused_tokens + 30
    assert stranger.reused_tokens == 0


async def test_callers_without_conversations_go_on_from_their_own_longest_beginning(
    tiny: Callable[[Kind], Path], tmp_path: Path
) -> None:
    def prompt(turns: int) -> Prompt:
        pairs = [(Turn("user", f"Say {number}."), Turn("assistant", f"I say {number}.")) for number in range(turns)]
        return Prompt(_SYSTEM, tuple(turn for pair in pairs for turn in pair), f"Say {turns}.")

    async with _engine(tiny("attention"), tmp_path, parallel=1) as engine:
        mine, yours = STATELESS_PREFIX + "my key", STATELESS_PREFIX + "your key"
        for turns in range(3):
            await _ask(engine, prompt(turns), mine)
        await _ask(engine, Prompt("Another system.", (), "Something else."), mine)
        _, back = await _ask(engine, prompt(3), mine)
        _, theirs = await _ask(engine, prompt(3), yours)
        assert await engine.drop_state(mine) > 0
        _, forgotten = await _ask(engine, prompt(3), mine)
    assert back.prefilled_tokens < 60
    assert theirs.reused_tokens == 0
    assert forgotten.reused_tokens == 0


async def test_forgetting_reaches_the_disk(tiny: Callable[[Kind], Path], tmp_path: Path) -> None:
    talk = _Talk("kitchen")
    async with _engine(tiny("attention"), tmp_path) as engine:
        await talk.turn(engine)
    async with _engine(tiny("attention"), tmp_path) as engine:
        assert await engine.drop_state("kitchen") > 0
        left = list(tmp_path.glob("*.kv"))
        assert len(left) == 1  # the system prompt's
        assert await engine.drop_state("kitchen") == 0
    async with _engine(tiny("attention"), tmp_path) as engine:
        _, usage = await talk.turn(engine)
    assert usage.reused_tokens <= 90


async def test_a_conversation_forgotten_while_it_is_answered_leaves_nothing(tiny: Callable[[Kind], Path]) -> None:
    async with _engine(tiny("attention")) as engine:
        long = Sampling(temperature=0.0, max_tokens=300, stop=("never",))
        answering = asyncio.create_task(_ask(engine, _Talk("kitchen").next(), "kitchen", long))
        await asyncio.sleep(0.05)
        await engine.drop_state("kitchen")
        await answering
        assert await engine.drop_state("kitchen") == 0


def _snapshots(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.kv"))


@pytest.mark.parametrize("kind", _KINDS)
async def test_a_conversation_forgotten_while_it_is_answered_or_waits_leaves_nothing_on_disk(
    tiny: Callable[[Kind], Path], tmp_path: Path, kind: Kind
) -> None:
    long = Sampling(temperature=0.0, max_tokens=200, stop=("never",))
    async with _engine(tiny(kind), tmp_path, parallel=1) as engine:
        talk = _Talk("kitchen")
        await talk.turn(engine)
        first = engine.stream(talk.next(), "kitchen", long)
        await anext(first)
        waiting = [asyncio.create_task(_ask(engine, talk.next(), name)) for name in ("kitchen", "hall")]
        await asyncio.sleep(0)
        await engine.drop_state("kitchen")
        async for _ in first:
            pass
        await asyncio.gather(*waiting)
        assert await engine.drop_state("kitchen") == 0
    kept = _snapshots(tmp_path)
    assert cache_key_of("kitchen").digest.hex() not in kept
    assert cache_key_of("hall").digest.hex() in kept


async def test_a_closed_engine_still_forgets(tiny: Callable[[Kind], Path], tmp_path: Path) -> None:
    async with _engine(tiny("attention"), tmp_path) as engine:
        await _Talk("kitchen").turn(engine)
        await _Talk("hall").turn(engine)
    assert cache_key_of("kitchen").digest.hex() in _snapshots(tmp_path)
    assert await engine.drop_state("kitchen") > 0
    assert cache_key_of("kitchen").digest.hex() not in _snapshots(tmp_path)
    assert cache_key_of("hall").digest.hex() in _snapshots(tmp_path)


async def test_without_a_disk_budget_the_states_of_earlier_runs_are_deleted(
    tiny: Callable[[Kind], Path], tmp_path: Path
) -> None:
    async with _engine(tiny("attention"), tmp_path) as engine:
        await _Talk("kitchen").turn(engine)
    assert _snapshots(tmp_path)
    async with _engine(tiny("attention"), tmp_path, kv_cache_disk_bytes=0):
        pass
    assert list(tmp_path.iterdir()) == []


async def test_what_an_api_caller_asks_is_never_on_disk_and_all_of_it_can_be_dropped(
    tiny: Callable[[Kind], Path], tmp_path: Path
) -> None:
    key = STATELESS_PREFIX + "api:editor"
    async with _engine(tiny("attention"), tmp_path, parallel=2, kv_cache_memory_bytes=0) as engine:
        await _ask(engine, _Talk("mine").next(), key)
        await _ask(engine, _Talk("other").next(), key)
        assert await engine.drop_state(STATELESS_PREFIX) > 0
        _, usage = await _ask(engine, _Talk("mine").next(), key)
        assert usage.reused_tokens == 0
    assert list(tmp_path.iterdir()) == []


async def test_a_hundred_questions_at_once_are_all_answered_by_two_sequences(tiny: Callable[[Kind], Path]) -> None:
    async with _engine(tiny("attention"), parallel=2) as engine:
        asked = [_ask(engine, _Talk(f"room {number % 60}").next(), f"room {number % 60}") for number in range(100)]
        answers = await asyncio.wait_for(asyncio.gather(*asked), 60)
    by_room = {number % 60: text for number, (text, _) in enumerate(answers)}
    assert [text for text, _ in answers] == [by_room[number % 60] for number in range(100)]


async def test_each_of_several_replies_has_its_own_schema_sampling_and_stop_strings(
    tiny: Callable[[Kind], Path],
) -> None:
    prompts = [_Talk(name).next() for name in ("a", "b", "c", "d")]
    async with _engine(tiny("attention"), parallel=4) as engine:
        whole = (await _ask(engine, prompts[2]))[0]
        samplings = [
            Sampling(temperature=0.0, max_tokens=60, json_schema={"const": "the cellar"}),
            Sampling(temperature=1.5, seed=7, max_tokens=12),
            Sampling(temperature=0.0, repeat_penalty=1.0, max_tokens=12, stop=(whole[4:6],)),
            Sampling(temperature=0.0, max_tokens=60, json_schema={"enum": ["shed", "attic"]}),
        ]
        asked = list(zip(prompts, "abcd", samplings, strict=True))
        serial = [(await _ask(engine, *each))[0] for each in asked]
        together = await asyncio.gather(*(_ask(engine, *each) for each in asked))
    assert [text for text, _ in together] == serial
    assert json.loads(serial[0]) == "the cellar"
    assert serial[2] == whole[: whole.index(whole[4:6])]
    assert json.loads(serial[3]) in ("shed", "attic")


async def test_a_schema_that_is_no_grammar_fails_its_own_reply_alone(tiny: Callable[[Kind], Path]) -> None:
    async with _engine(tiny("attention"), parallel=2) as engine:
        expected = (await _ask(engine, _Talk("a").next()))[0]
        broken = _ask(engine, _Talk("b").next(), "b", Sampling(json_schema={"type": "no such type"}))
        kept, failed = await asyncio.gather(_ask(engine, _Talk("a").next()), broken, return_exceptions=True)
    assert isinstance(failed, EngineFailed)
    assert isinstance(kept, tuple)
    assert kept[0] == expected


@pytest.mark.parametrize("deterministic", [False, True])
async def test_a_running_reply_goes_on_while_a_long_prompt_is_read(
    tiny: Callable[[Kind], Path], deterministic: bool
) -> None:
    long = Prompt("", (), "shelf " * 140)
    async with _engine(tiny("attention"), parallel=2, max_decode_pause_s=0.0001, deterministic=deterministic) as engine:
        written = 0
        between: list[int] = []

        async def read() -> None:
            before = written
            between.extend([written - before async for _ in engine.stream(long, "long", _GREEDY)])

        reading: asyncio.Task[None] | None = None
        async for _ in engine.stream(_Talk("a").next(), "a", Sampling(temperature=0.0, max_tokens=400)):
            written += 1
            if written == 5:
                reading = asyncio.create_task(read())
        assert reading is not None
        await reading
    # With chunks of 8 tokens there are a hundred of them, and a token after each.
    assert between[0] > 20


async def test_an_interrupted_preparation_is_taken_up_again_in_the_next_quiet_moment(
    tiny: Callable[[Kind], Path],
) -> None:
    long = Prompt(_SYSTEM, (Turn("user", "shelf " * 100), Turn("assistant", "Yes.")), "And now?")
    async with _engine(tiny("attention")) as engine:
        warming_up = asyncio.create_task(engine.warm_up("kitchen", long))
        await asyncio.sleep(0.005)
        await _ask(engine, _Talk("cellar").next(), "cellar")
        await asyncio.wait_for(warming_up, 60)
        await asyncio.sleep(0.5)
        _, usage = await _ask(engine, long, "kitchen")
    assert usage.reused_tokens > 600


@pytest.mark.parametrize("kind", _KINDS)
async def test_cancels_in_every_phase_change_no_answer(tiny: Callable[[Kind], Path], kind: Kind) -> None:
    async with _engine(tiny(kind), parallel=2) as engine:
        rng = random.Random(5)
        for number in range(30):
            talk = _Talk(f"room {number % 3}")
            asking = asyncio.create_task(_ask(engine, talk.next(), talk.name))
            await asyncio.sleep(rng.random() * 0.03)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
        texts = [(await _ask(engine, _Talk(f"room {number}").next(), f"room {number}"))[0] for number in range(3)]
    assert texts == [(await _alone(tiny(kind), f"room {number}", 1))[0] for number in range(3)]


_CONVERSATIONS = 50
# Each is a whole evening of one home: a few in every run, many in the soak run.
_EXAMPLES = 40 if os.environ.get("HEARTH_SOAK") else 3
_PLANS = st.lists(
    st.tuples(st.integers(0, _CONVERSATIONS - 1), st.floats(0, 0.02), st.booleans(), st.booleans()),
    min_size=20,
    max_size=80,
)


@pytest.fixture(scope="session")
def isolated_answers(tiny: Callable[[Kind], Path]) -> Callable[[Kind], dict[str, list[str]]]:
    known: dict[Kind, dict[str, list[str]]] = {}

    def answers(kind: Kind) -> dict[str, list[str]]:
        if kind not in known:
            names = [f"room {number}" for number in range(_CONVERSATIONS)]
            known[kind] = {name: asyncio.run(_alone(tiny(kind), name, 4)) for name in names}
        return known[kind]

    return answers


# Share of the conversations whose answers rounding may change: a last bit decides between two tokens only when they are
# as likely as each other. What came from another conversation would change every answer that it reached.
_ROUNDED_SHARE = 0.1


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("deterministic", [True, False], ids=["deterministic", "fast"])
@pytest.mark.parametrize("kind", _KINDS)
def test_fifty_interleaved_conversations_are_answered_as_each_alone(
    tiny: Callable[[Kind], Path],
    tmp_path_factory: pytest.TempPathFactory,
    isolated_answers: Callable[[Kind], dict[str, list[str]]],
    kind: Kind,
    deterministic: bool,
) -> None:
    expected = isolated_answers(kind)

    @settings(max_examples=_EXAMPLES)
    @given(_PLANS)
    def interleave(plan: list[tuple[int, float, bool, bool]]) -> None:
        folder = tmp_path_factory.mktemp("parked")
        answers = asyncio.run(_interleaved(tiny(kind), folder, plan, deterministic))
        answered = {name: texts for name, texts in answers.items() if texts}
        different = [name for name, texts in answered.items() if texts != expected[name][: len(texts)]]
        assert len(different) <= (0 if deterministic else _ROUNDED_SHARE * len(answered)), different

    interleave()


async def _interleaved(
    path: Path, folder: Path, plan: list[tuple[int, float, bool, bool]], deterministic: bool
) -> dict[str, list[str]]:
    """Run the plan: number of the conversation, seconds until the next, cancels first, warms up afterwards."""
    talks = [_Talk(f"room {number}") for number in range(_CONVERSATIONS)]
    turns = [asyncio.Lock() for _ in talks]
    answers: dict[str, list[str]] = {talk.name: [] for talk in talks}

    async def ask(engine: LlamaEngine, number: int, pause_s: float, cancels: bool, warms_up: bool) -> None:
        talk = talks[number]
        async with turns[number]:
            if len(answers[talk.name]) == 4:
                return
            prompt = talk.next()
            if cancels:
                asking = asyncio.create_task(_ask(engine, prompt, talk.name))
                await asyncio.sleep(pause_s)
                asking.cancel()
                await asyncio.gather(asking, return_exceptions=True)
            text, _ = await _ask(engine, prompt, talk.name)
            answers[talk.name].append(text)
            talk.answered(text)
            if warms_up:
                await engine.warm_up(talk.name, Prompt(_SYSTEM, talk.history, ""))

    # Memory for only a few snapshots, so that most of them go through the disk.
    async with _engine(path, folder, parallel=3, kv_cache_memory_bytes=600_000, deterministic=deterministic) as engine:
        asked = []
        for number, pause_s, cancels, warms_up in plan:
            asked.append(asyncio.create_task(ask(engine, number, pause_s, cancels, warms_up)))
            await asyncio.sleep(pause_s)
        await asyncio.gather(*asked)
    return answers
