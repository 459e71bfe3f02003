"""Texts that programs have continued or filled in, answers whose beginning is given, and biased tokens."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest

from models.engine import NotSupported, RawPrompt
from tests.fakes.core import running_core
from tests.fakes.openai_endpoint import KEYS, Serving, serving

SHELF = "The backup drive lives on shelf Heron, next to the label printer."
QUESTION = {"role": "user", "content": "On which shelf is the backup drive?"}
ANSWER = "The drive is there [1]."


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Serving]:
    (tmp_path / "documents" / "handbook").mkdir(parents=True)
    (tmp_path / "documents" / "handbook" / "handbook.txt").write_text(SHELF)
    async with running_core(tmp_path, readers=("everyone",)) as core, serving(core) as at_work:
        yield at_work


@pytest.fixture
async def program(served: Serving) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(served.url, headers={"Authorization": f"Bearer {KEYS['editor']}"}) as session:
        yield session


async def test_a_text_is_continued_as_it_is(served: Serving) -> None:
    given = await served.client().completions.create(
        model="scripted", prompt="  def add(a, b):\n", max_tokens=9, temperature=0, stop=["\n\n", "END"], seed=7
    )
    assert (given.object, given.choices[0].text, given.choices[0].finish_reason) == ("text_completion", ANSWER, "stop")
    assert given.usage is not None and given.usage.completion_tokens == 2
    assert served.core.engine.raw_prompts == [RawPrompt("  def add(a, b):\n")]
    sampling = served.core.engine.samplings[0]
    assert (sampling.max_tokens, sampling.temperature, sampling.seed) == (9, 0, 7)
    assert sampling.stop == ("\n\n", "END")
    assert served.core.engine.keys[0].startswith("stateless:")


@pytest.mark.parametrize(("fields", "expected"), [({}, 1.0), ({"repeat_penalty": 1.2}, 1.2)])
async def test_the_penalty_of_answers_is_not_applied_to_a_continued_text(
    served: Serving, fields: dict[str, float], expected: float
) -> None:
    await served.client().completions.create(model="scripted", prompt="a", extra_body=fields)
    assert served.core.engine.samplings[0].repeat_penalty == expected


@pytest.mark.parametrize("echo", [False, True])
async def test_a_continued_text_is_streamed_with_the_prompt_in_front_where_that_is_wanted(
    served: Serving, echo: bool
) -> None:
    stream = await served.client().completions.create(
        model="scripted", prompt=["One, two,"], echo=echo, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    texts = [chunk.choices[0].text for chunk in chunks if chunk.choices]
    assert "".join(texts) == ("One, two," if echo else "") + ANSWER
    assert "is there [1]." in texts
    finishes = [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices]
    assert finishes[-1] == "stop"
    assert set(finishes[:-1]) == {None}
    assert chunks[-1].usage is not None and chunks[-1].usage.completion_tokens == 2
    assert len({chunk.id for chunk in chunks}) == 1
    whole = await served.client().completions.create(model="scripted", prompt="One, two,", echo=echo)
    assert whole.choices[0].text == "".join(texts)


@pytest.mark.parametrize(("suffix", "expected"), [("\nprint(3)", "\nprint(3)"), ("", None)])
async def test_a_suffix_asks_for_what_stands_between_both(served: Serving, suffix: str, expected: str | None) -> None:
    await served.client().completions.create(model="scripted", prompt="def add", suffix=suffix)
    assert served.core.engine.raw_prompts == [RawPrompt("def add", expected)]


async def test_what_is_filled_in_at_the_address_of_editors_is_a_message(
    served: Serving, program: aiohttp.ClientSession
) -> None:
    # An editor whose cursor is at the end of a file sends an empty suffix, or none.
    for fields in ({"suffix": ""}, {}, {"suffix": None}):
        body: dict[str, Any] = {"model": "scripted", "prompt": "def add", **fields}
        async with program.post("/v1/fim/completions", json=body) as response:
            assert (await response.json())["choices"][0]["message"]["content"] == ANSWER
        assert served.core.engine.raw_prompts[-1] == RawPrompt("def add", "")


async def test_a_model_without_marks_for_a_suffix_says_so(served: Serving) -> None:
    served.core.engine.fails_with = NotSupported("tiny.gguf has no marks for a suffix.", "suffix")
    for stream in (False, True):
        with pytest.raises(openai.APIError, match=r"tiny\.gguf") as refused:
            given: Any = await served.client().completions.create(
                model="scripted", prompt="def add", suffix="x", stream=stream
            )
            async for _ in given:
                pass
        assert refused.value.param == "suffix"


@pytest.mark.parametrize(
    ("fields", "param", "sentence"),
    [
        ({"prompt": ["a", "b"]}, "prompt", "One text"),
        ({"prompt": []}, "prompt", "One text"),
        ({"prompt": [1, 2, 3]}, "prompt", "no tokens"),
        ({"prompt": [[1, 2, 3]]}, "prompt", "no tokens"),
        ({}, "prompt", "required"),
        ({"prompt": "a", "n": 2}, "n", "leave n out"),
        ({"prompt": "a", "best_of": 2}, "best_of", "best_of"),
        ({"prompt": "a", "logprobs": 3}, "logprobs", "leave logprobs out"),
        ({"prompt": "a", "response_format": {"type": "json_object"}}, "response_format", "schema"),
        ({"prompt": "a", "grammar": "root ::= x"}, "grammar", "grammar"),
        ({"prompt": "a", "max_tokens": 0}, "max_tokens", "max_tokens"),
        ({"prompt": "word " * 9000}, "prompt", "tokens"),
        ({"prompt": "a", "suffix": "x" * 40_000}, "prompt", "tokens"),
    ],
)
async def test_what_is_not_continued_is_refused_by_name(
    served: Serving, program: aiohttp.ClientSession, fields: dict[str, Any], param: str, sentence: str
) -> None:
    async with program.post("/v1/completions", json={"model": "scripted", **fields}) as response:
        error = (await response.json())["error"]
    assert (response.status, error["param"]) == (400, param)
    assert sentence in error["message"]
    assert served.core.engine.raw_prompts == []


async def test_an_echo_is_no_part_of_a_message(served: Serving, program: aiohttp.ClientSession) -> None:
    body = {"model": "scripted", "prompt": "a", "suffix": "b", "echo": True}
    async with program.post("/v1/fim/completions", json=body) as response:
        assert (response.status, (await response.json())["error"]["param"]) == (400, "echo")


async def test_the_model_that_answers_from_documents_continues_no_text(served: Serving) -> None:
    with pytest.raises(openai.NotFoundError, match="'scripted' does") as refused:
        await served.client().completions.create(model="hearth", prompt="The backup drive")
    assert refused.value.param == "model"


async def test_continued_texts_need_a_key(served: Serving) -> None:
    with pytest.raises(openai.AuthenticationError):
        await served.client_with("nobody").completions.create(model="scripted", prompt="a")


@pytest.mark.parametrize("model", ["hearth", "scripted"])
async def test_a_last_message_of_the_assistant_is_continued(served: Serving, model: str) -> None:
    begun = [QUESTION, {"role": "assistant", "content": "On the shelf,  "}]
    answer = await served.client().chat.completions.create(model=model, messages=begun)
    (prompt,) = served.core.engine.prompts
    assert prompt.reply_start == "On the shelf,  "
    assert prompt.history == ()
    assert QUESTION["content"] in prompt.tail
    assert (SHELF in prompt.tail) == (model == "hearth")
    assert (answer.choices[0].message.content or "").startswith(ANSWER)


async def test_a_call_without_its_result_and_a_demanded_call_begin_no_answer(served: Serving) -> None:
    function = {"name": "clock", "parameters": {"type": "object", "properties": {}}}
    call = {"id": "c1", "type": "function", "function": {"name": "clock", "arguments": "{}"}}
    called = [QUESTION, {"role": "assistant", "content": "Let me see.", "tool_calls": [call]}]
    begun = [QUESTION, {"role": "assistant", "content": "It is "}]
    tools: Any = [{"type": "function", "function": function}]
    for said, choice, param in ((called, "auto", "messages"), (begun, "required", "tool_choice")):
        with pytest.raises(openai.BadRequestError) as refused:
            await served.client().chat.completions.create(
                model="scripted",
                messages=said,  # type: ignore[arg-type]
                tools=tools,
                tool_choice=choice,  # type: ignore[arg-type]
            )
        assert refused.value.param == param
    await served.client().chat.completions.create(model="scripted", messages=begun, tools=tools)  # type: ignore[arg-type]
    (prompt,) = served.core.engine.prompts
    assert prompt.reply_start == "It is "
    assert prompt.toolbox is not None


async def test_the_sources_of_an_answer_that_goes_on_are_those_of_both_parts(served: Serving) -> None:
    served.core.engine.script = lambda _: [" by the printer."]
    begun = [QUESTION, {"role": "assistant", "content": "On shelf Heron [1],\n\n[1] handbook.txt"}]
    answer = await served.client().chat.completions.create(model="hearth", messages=begun)
    assert served.core.engine.prompts[0].reply_start == "On shelf Heron [1],"
    assert answer.choices[0].message.content == " by the printer.\n\n[1] handbook.txt"


async def test_a_long_beginning_leaves_less_room_for_the_history(served: Serving) -> None:
    said = [{"role": role, "content": "word " * 40} for _ in range(10) for role in ("user", "assistant")]
    kept = []
    for beginning in ("On", "word " * 600):
        begun = [*said, QUESTION, {"role": "assistant", "content": beginning}]
        await served.client().chat.completions.create(model="hearth", messages=begun)
        kept.append(len(served.core.engine.prompts[-1].history))
    assert kept[1] < kept[0]


async def test_a_bias_of_tokens_reaches_the_engine(served: Serving) -> None:
    client = served.client()
    await client.chat.completions.create(model="scripted", messages=[QUESTION], logit_bias={"5": 3, "7": -100})
    await client.completions.create(model="scripted", prompt="a", logit_bias={"9": 200})
    assert [sampling.logit_bias for sampling in served.core.engine.samplings] == [{5: 3.0, 7: -100.0}, {9: 100.0}]


async def test_a_bias_of_no_token_of_the_model_is_the_requests_own_fault(served: Serving) -> None:
    served.core.engine.fails_with = NotSupported("This model has the tokens 0 to 9.", "logit_bias")
    with pytest.raises(openai.BadRequestError) as refused:
        await served.client().chat.completions.create(model="scripted", messages=[QUESTION], logit_bias={"10": 1})
    assert refused.value.param == "logit_bias"
