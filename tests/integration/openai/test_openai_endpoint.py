"""Other programs of the house use its model through the official client; people come first."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import aiohttp
import openai
import pytest

from bot.core.texts import localize
from models.engine import EngineFailed, Prompt, Sampling, SchemaRefused, StreamItem, Usage
from tests.fakes.core import running_core
from tests.fakes.engine import ScriptedEngine
from tests.fakes.messages import message
from tests.fakes.openai_endpoint import KEYS, Serving, serving

SHELF = "The backup drive lives on shelf Heron, next to the label printer."
QUESTION = [{"role": "user", "content": "On which shelf is the backup drive?"}]


@pytest.fixture
def house(tmp_path: Path) -> Path:
    (tmp_path / "documents" / "handbook").mkdir(parents=True)
    (tmp_path / "documents" / "handbook" / "handbook.txt").write_text(SHELF)
    return tmp_path


@pytest.fixture
async def served(house: Path) -> AsyncIterator[Serving]:
    async with running_core(house, readers=("everyone",)) as core, serving(core, open_requests_per_key=2) as at_work:
        yield at_work


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.005)


async def test_the_models_are_listed(served: Serving) -> None:
    listed = await served.client().models.list()
    assert [model.id for model in listed.data] == ["hearth", "scripted", "hashing"]
    assert (await served.client().models.retrieve("hearth")).owned_by == "hearth"


async def test_hearth_answers_from_the_documents_with_sources(served: Serving) -> None:
    answer = await served.client().chat.completions.create(model="hearth", messages=QUESTION)
    assert answer.choices[0].message.content == "The drive is there [1].\n\n[1] handbook.txt"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 2
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 2
    assert answer.model_extra is not None
    assert [source["text"] for source in answer.model_extra["sources"]] == [SHELF]
    assert SHELF in served.core.engine.prompts[0].tail


async def test_the_bare_model_reads_what_the_program_sends_and_nothing_else(served: Serving) -> None:
    said = [
        {"role": "system", "content": "Answer in one word."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi"},
        {"role": "user", "content": [{"type": "text", "text": "And"}, {"type": "text", "text": "now?"}]},
    ]
    answer = await served.client().chat.completions.create(model="scripted", messages=said)
    assert answer.choices[0].message.content == "The drive is there [1]."
    prompt = served.core.engine.prompts[0]
    assert [(turn.role, turn.text) for turn in prompt.turns()] == [
        ("system", "Answer in one word."),
        ("user", "Hello"),
        ("assistant", "Hi"),
        ("user", "And\nnow?"),
    ]


async def test_a_list_that_a_person_wrote_is_no_footer(served: Serving) -> None:
    listed = "Of the backup drive shelf, which costs most?\n\n[1] roof\n[2] stove"
    said = [
        {"role": "user", "content": listed},
        {"role": "assistant", "content": "The roof [1].\n\n[1] prices.txt"},
        {"role": "user", "content": listed},
    ]
    await served.client().chat.completions.create(model="hearth", messages=said)
    prompt = served.core.engine.prompts[0]
    assert [turn.text for turn in prompt.history] == [listed, "The roof [1]."]
    assert prompt.tail.endswith(f"Question: {listed}")


async def test_a_stream_comes_in_pieces_and_ends_with_sources_and_usage(served: Serving) -> None:
    stream = await served.client().chat.completions.create(
        model="hearth", messages=QUESTION, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    pieces = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]
    assert pieces == ["The drive ", "is there [1].", "\n\n[1] handbook.txt"]
    finishes = [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices]
    assert finishes[-1] == "stop"
    assert set(finishes[:-1]) == {None}
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 2
    assert len({chunk.id for chunk in chunks}) == 1


async def test_nothing_found_is_said_without_asking_the_model(served: Serving) -> None:
    asked = [{"role": "user", "content": "Who composed the opera Turandot?"}]
    answer = await served.client().chat.completions.create(model="hearth", messages=asked)
    assert "handbook" in (answer.choices[0].message.content or "")
    assert served.core.engine.prompts == []


async def test_a_program_that_reads_only_json_gets_the_models_answer_whatever_was_found(served: Serving) -> None:
    served.core.engine.script = lambda _: ['{"composer": null}']
    answer = await served.client().chat.completions.create(
        model="hearth",
        messages=[{"role": "user", "content": "Who composed the opera Turandot?"}],
        response_format={"type": "json_object"},
    )
    assert answer.choices[0].message.content == '{"composer": null}'


class CutShort(ScriptedEngine):
    """Reaches the length limit in every answer."""

    async def stream(self, prompt: Prompt, key: str, sampling: Sampling) -> AsyncGenerator[StreamItem, None]:
        async for item in super().stream(prompt, key, sampling):
            yield replace(item, finish="length") if isinstance(item, Usage) else item


async def test_an_answer_from_the_documents_that_was_too_long_says_so(house: Path) -> None:
    async with running_core(house, engine=CutShort(), readers=("everyone",)) as core, serving(core) as served:
        cut = await served.client().chat.completions.create(model="hearth", messages=QUESTION)
        bare = await served.client().chat.completions.create(model="scripted", messages=QUESTION)
    assert cut.choices[0].finish_reason == bare.choices[0].finish_reason == "length"
    assert "is there [1].\n\nThe answer was cut short" in (cut.choices[0].message.content or "")
    assert bare.choices[0].message.content == "The drive is there [1]."


async def test_a_conversation_goes_on_without_what_stood_below_its_answers(served: Serving) -> None:
    said = [*QUESTION]
    for question in ("Who composed the opera Turandot?", "And what stands next to the backup drive?"):
        answer = await served.client().chat.completions.create(model="hearth", messages=said)
        said += [{"role": "assistant", "content": answer.choices[0].message.content}]
        said += [{"role": "user", "content": question}]
    await served.client().chat.completions.create(model="hearth", messages=said)
    assert [turn.text for turn in served.core.engine.prompts[-1].history] == [
        QUESTION[0]["content"],
        "The drive is there [1].",
        "Who composed the opera Turandot?",
        "The drive is there [1].",
    ]


async def test_what_a_request_says_of_sampling_reaches_the_engine(served: Serving) -> None:
    await served.client().chat.completions.create(
        model="scripted",
        messages=QUESTION,
        seed=7,
        temperature=0,
        top_p=0.5,
        max_tokens=9,
        stop=["END", "\n\n"],
        response_format={"type": "json_schema", "json_schema": {"name": "shelf", "schema": {"type": "string"}}},
    )
    sampling = served.core.engine.samplings[0]
    assert (sampling.seed, sampling.temperature, sampling.top_p, sampling.max_tokens) == (7, 0, 0.5, 9)
    assert sampling.stop == ("END", "\n\n")
    assert sampling.json_schema == {"type": "string"}


async def test_a_schema_that_cannot_be_followed_is_the_requests_own_fault(served: Serving) -> None:
    served.core.engine.fails_with = SchemaRefused("The JSON schema cannot be turned into a grammar: odd.")
    with pytest.raises(openai.BadRequestError) as refused:
        await served.client().chat.completions.create(
            model="scripted", messages=QUESTION, response_format={"type": "json_object"}
        )
    assert refused.value.param == "response_format"


async def test_no_programs_state_is_another_programs(served: Serving) -> None:
    for program in ("editor", "phone"):
        await served.client(program).chat.completions.create(model="scripted", messages=QUESTION)
    first, second = served.core.engine.keys
    assert first != second
    assert {key.partition(":")[0] for key in (first, second)} == {"stateless"}


async def test_an_answer_in_json_has_no_sources_below_it(served: Serving) -> None:
    served.core.engine.script = lambda _: ['{"shelf": "Heron"}']
    answer = await served.client().chat.completions.create(
        model="hearth", messages=QUESTION, response_format={"type": "json_object"}
    )
    assert json.loads(answer.choices[0].message.content or "") == {"shelf": "Heron"}


@pytest.mark.parametrize("key", ["", "sesame", "sesame-editor2"])
async def test_an_unknown_key_is_refused(served: Serving, key: str) -> None:
    client = served.client_with(key or "-")
    with pytest.raises(openai.AuthenticationError):
        await client.chat.completions.create(model="hearth", messages=QUESTION)
    with pytest.raises(openai.AuthenticationError):
        await client.models.list()
    assert served.core.engine.prompts == []


async def test_a_key_reads_only_what_its_readers_allow(house: Path) -> None:
    async with running_core(house, readers=("api:phone",)) as core, serving(core) as served:
        await served.client("phone").chat.completions.create(model="hearth", messages=QUESTION)
        refused = await served.client("editor").chat.completions.create(model="hearth", messages=QUESTION)
    (phone,) = core.engine.prompts
    assert SHELF in phone.tail
    assert refused.choices[0].message.content == localize("no_access", "en")


async def test_a_key_with_its_share_open_is_told_to_come_again_and_others_are_not(served: Serving) -> None:
    served.core.engine.gate.clear()
    client = served.client()
    open_ones = [
        asyncio.create_task(client.chat.completions.create(model="scripted", messages=QUESTION)) for _ in range(2)
    ]
    await until(lambda: served.core.queue.running_count + served.core.queue.waiting_count == 2)
    with pytest.raises(openai.RateLimitError) as refused:
        await client.chat.completions.create(model="scripted", messages=QUESTION)
    assert int(refused.value.response.headers["Retry-After"]) >= 1
    other = asyncio.create_task(served.client("phone").chat.completions.create(model="scripted", messages=QUESTION))
    await until(lambda: served.core.queue.waiting_count == 2)
    served.core.engine.gate.set()
    answers = await asyncio.gather(*open_ones, other)
    assert {answer.choices[0].message.content for answer in answers} == {"The drive is there [1]."}


@pytest.mark.parametrize("priority", ["below_people", "equal"])
async def test_people_go_before_programs_that_wait_unless_the_admin_says_otherwise(house: Path, priority: str) -> None:
    engine = ScriptedEngine()
    engine.gate.clear()
    async with running_core(house, engine=engine) as core, serving(core, priority=priority) as served:
        running, waiting = (
            served.client(program).chat.completions.create(
                model="scripted", messages=[{"role": "user", "content": f"from {program}"}]
            )
            for program in ("editor", "phone")
        )
        first = asyncio.create_task(running)
        await until(lambda: core.queue.running_count == 1)
        second = asyncio.create_task(waiting)  # neither it nor ana was served before, and it came first
        await until(lambda: core.queue.waiting_count == 1)
        await core.send(message("On which shelf is the backup drive?"))
        await until(lambda: [ticket.is_ready for ticket in core.queue._waiting] == [True, True])
        engine.gate.set()
        await asyncio.gather(first, second)
        await core.inbox.wait_until_idle()
    order = [next((who for who in ("editor", "phone") if who in prompt.tail), "ana") for prompt in engine.prompts]
    assert order == (["editor", "ana", "phone"] if priority == "below_people" else ["editor", "phone", "ana"])


async def test_who_hangs_up_stops_the_model_and_frees_the_place(served: Serving) -> None:
    served.core.engine.gate.clear()
    stream = await served.client().chat.completions.create(model="scripted", messages=QUESTION, stream=True)
    await anext(aiter(stream))
    assert served.core.queue.running_count == 1
    await stream.close()
    await until(lambda: served.core.engine.running == 0 and served.core.queue.running_count == 0)


async def test_who_hangs_up_while_waiting_leaves_the_queue(served: Serving) -> None:
    served.core.engine.gate.clear()
    first = asyncio.create_task(served.client().chat.completions.create(model="scripted", messages=QUESTION))
    await until(lambda: served.core.queue.running_count == 1)
    second = asyncio.create_task(served.client().chat.completions.create(model="scripted", messages=QUESTION))
    await until(lambda: served.core.queue.waiting_count == 1)
    second.cancel()
    await until(lambda: served.core.queue.waiting_count == 0)
    assert (1, 1) in served.core.observer.lengths
    served.core.engine.gate.set()
    await first


async def test_too_long_a_conversation_is_refused_before_anything_is_made(served: Serving) -> None:
    long = [{"role": "user", "content": "On which shelf is the backup drive? " * 500}]
    for model in ("hearth", "scripted"):
        with pytest.raises(openai.BadRequestError) as refused:
            await served.client().chat.completions.create(model=model, messages=long, stream=True)
        assert refused.value.code == "context_length_exceeded"


@pytest.mark.parametrize(
    ("said", "model"),
    [
        ([{"role": "user", "content": "x" * 40_000}], "hearth"),
        ([{"role": "system", "content": "x" * 40_000}, *QUESTION], "hearth"),
        ([{"role": "user", "content": "x" * 40_000}, {"role": "assistant", "content": "x"}, *QUESTION], "scripted"),
        ([{"role": "user", "content": ""}, {"role": "assistant", "content": ""}] * 1030 + QUESTION, "scripted"),
    ],
    ids=["question", "instructions", "text", "turns"],
)
async def test_what_cannot_fit_is_refused_without_being_counted(
    served: Serving, said: list[dict[str, str]], model: str
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        await served.client().chat.completions.create(model=model, messages=said)
    assert refused.value.code == "context_length_exceeded"
    assert served.core.engine.prompts == []


async def test_a_long_history_is_cut_where_a_conversation_would_be(served: Serving) -> None:
    said = [{"role": role, "content": "word " * 40} for _ in range(40) for role in ("user", "assistant")]
    await served.client().chat.completions.create(model="hearth", messages=[*said, *QUESTION])
    history = served.core.engine.prompts[-1].history
    assert 0 < len(history) < len(said)
    assert history[0].role == "user"


async def test_an_engine_that_fails_in_the_middle_ends_the_stream_with_an_error(served: Serving) -> None:
    served.core.engine.fails_with = EngineFailed("The engine is gone.")
    stream = await served.client().chat.completions.create(model="scripted", messages=QUESTION, stream=True)
    with pytest.raises(openai.APIError, match="The engine is gone"):
        async for _ in stream:
            pass
    assert served.core.queue.running_count == 0
    assert (served.core.observer.outcomes, served.core.observer.failures) == (["failed"], ["engine"])


async def test_a_model_that_is_not_loaded_yet_asks_to_wait(house: Path) -> None:
    async with running_core(house) as core, serving(core, opened=False) as served:
        with pytest.raises(openai.InternalServerError) as refused:
            await served.client().chat.completions.create(model="hearth", messages=QUESTION)
    assert refused.value.status_code == 503
    assert refused.value.response.headers["Retry-After"] == "5"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"{", None),
        (b"[]", None),
        (b"{}", "model"),
        (b'{"model": "hearth", "messages": []}', "messages"),
        (b'{"model": "hearth", "messages": [{"role": "wizard", "content": "x"}]}', "messages[0].role"),
        (b'{"model": "hearth", "messages": [{"role": "assistant", "content": "x"}]}', "messages"),
        (b'{"model": "no", "messages": [{"role": "user", "content": "x"}]}', "model"),
        (
            b'{"model": "hearth", "messages": [{"role": "user", "content": [{"type": "image_url"}]}]}',
            "messages[0].content",
        ),
        (b'{"model": "hearth", "messages": [{"role": "user", "content": "x"}], "n": 2}', "n"),
        (
            b'{"model": "hearth", "messages": [{"role": "user", "content": "x"}], "tool_choice": "required"}',
            "tool_choice",
        ),
        (
            b'{"model": "hearth", "messages": [{"role": "user", "content": "x"}], "function_call": {"name": "f"}}',
            "function_call",
        ),
        (b'{"model": "hearth", "messages": [{"role": "user", "content": "x"}], "temperature": 9}', "temperature"),
        (
            b'{"model": "hearth", "messages": [{"role": "user", "content": "x"}], "stop": ["a"' + b', "b"' * 20 + b"]}",
            "stop",
        ),
    ],
)
async def test_a_faulty_request_names_its_field(served: Serving, body: bytes, param: str | None) -> None:
    headers = {"Authorization": f"Bearer {KEYS['editor']}"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(served.url + "/v1/chat/completions", data=body, headers=headers) as response,
    ):
        told = await response.json()
    assert response.status in (400, 404)
    assert told["error"]["param"] == param
    assert told["error"]["message"].endswith(".")
    assert served.core.queue.running_count == served.core.queue.waiting_count == 0


async def test_a_request_over_the_limit_is_refused(house: Path) -> None:
    async with running_core(house) as core, serving(core, body_bytes=2000) as served:
        with pytest.raises(openai.APIStatusError) as refused:
            await served.client().chat.completions.create(
                model="hearth", messages=[{"role": "user", "content": "x" * 3000}]
            )
    assert refused.value.status_code == 413


async def test_a_stream_that_waits_says_so(served: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.openai.event_stream.KEEP_ALIVE_S", 0.05)
    served.core.engine.gate.clear()
    first = asyncio.create_task(served.client().chat.completions.create(model="scripted", messages=QUESTION))
    await until(lambda: served.core.queue.running_count == 1)
    headers = {"Authorization": f"Bearer {KEYS['phone']}"}
    asked = {"model": "scripted", "messages": QUESTION, "stream": True}
    async with (
        aiohttp.ClientSession() as session,
        session.post(served.url + "/v1/chat/completions", json=asked, headers=headers) as response,
    ):
        begun = await response.content.readuntil(b": waiting\n\n")
        served.core.engine.gate.set()
        rest = (begun + await response.content.read()).decode()
    await first
    assert rest.endswith("data: [DONE]\n\n")
    assert "is there [1]." in rest
