"""Tools through the endpoint, with the official client: chat completions and responses, whole and streamed."""

import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import openai
import pytest

from models.engine import EngineFailed, Prompt, ThinkingText, Turn
from models.tool_calls import ToolCallPiece
from tests.fakes.core import running_core
from tests.fakes.openai_endpoint import Serving, serving

SCHEMA = {"type": "object", "properties": {"where": {"type": "string"}}, "required": ["where"]}
TOOL: Any = {"type": "function", "function": {"name": "look_at", "description": "Look.", "parameters": SCHEMA}}
FLAT: Any = {"type": "function", "name": "look_at", "description": "Look.", "parameters": SCHEMA, "strict": True}
CALLS = (
    ThinkingText("Hm."),
    "Let me look.",
    ToolCallPiece(0, "", "abc123xyz", "look_at"),
    ToolCallPiece(0, '{"where": "up'),
    ToolCallPiece(0, 'stairs"}'),
    ToolCallPiece(1, '{"where": "cellar"}', "def456uvw", "look_at"),
)
QUESTION: Any = {"role": "user", "content": "Where is the drive?"}


def script(prompt: Prompt) -> Sequence[str | ThinkingText | ToolCallPiece]:
    """Calls as long as there is no result."""
    return CALLS if prompt.toolbox and not prompt.tail_call_id else ["It is ", "there."]


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Serving]:
    async with running_core(tmp_path) as core, serving(core) as at_work:
        core.engine.script = script
        yield at_work


async def test_calls_come_whole_and_results_are_answered(served: Serving) -> None:
    chat = served.client().chat.completions
    first = await chat.create(model="scripted", messages=[QUESTION], tools=[TOOL])
    message = first.choices[0].message
    assert (first.choices[0].finish_reason, message.content) == ("tool_calls", "Let me look.")
    assert message.tool_calls is not None
    assert [(call.id, json.loads(call.function.arguments)["where"]) for call in message.tool_calls] == [  # type: ignore[union-attr]
        ("abc123xyz", "upstairs"),
        ("def456uvw", "cellar"),
    ]
    results: list[Any] = [
        {"role": "tool", "tool_call_id": call.id, "content": "Nothing."} for call in message.tool_calls
    ]
    said: Any = message.model_dump(exclude_none=True)
    then = await chat.create(model="scripted", messages=[QUESTION, said, *results], tools=[TOOL])
    assert (then.choices[0].finish_reason, then.choices[0].message.content) == ("stop", "It is there.")
    prompt = served.core.engine.prompts[-1]
    assert [turn.role for turn in prompt.turns()] == ["user", "assistant", "tool", "tool"]
    assert (prompt.tail, prompt.tail_call_id) == ("Nothing.", "def456uvw")
    assert [call.id for call in prompt.history[1].calls] == ["abc123xyz", "def456uvw"]


async def test_calls_are_streamed_in_pieces(served: Serving) -> None:
    stream = await served.client().chat.completions.create(
        model="scripted", messages=[QUESTION], tools=[TOOL], stream=True
    )
    chunks = [chunk async for chunk in stream]
    pieces = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or []]
    assert [(piece.index, piece.id, piece.function.name) for piece in pieces if piece.id] == [  # type: ignore[union-attr]
        (0, "abc123xyz", "look_at"),
        (1, "def456uvw", "look_at"),
    ]
    joined = "".join(piece.function.arguments or "" for piece in pieces if piece.index == 0)  # type: ignore[union-attr]
    assert json.loads(joined) == {"where": "upstairs"}
    assert [chunk.choices[0].finish_reason for chunk in chunks][-1] == "tool_calls"


async def test_a_question_to_the_documents_may_be_answered_by_a_tool(served: Serving) -> None:
    chat = served.client().chat.completions
    first = await chat.create(model="hearth", messages=[QUESTION], tools=[TOOL])
    asked = served.core.engine.prompts[-1]
    assert asked.tail.endswith("Where is the drive?")
    assert first.choices[0].message.content == "Let me look."
    said: Any = first.choices[0].message.model_dump(exclude_none=True)
    earlier: list[Any] = [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "", "tool_calls": said["tool_calls"]},
        *({"role": "tool", "tool_call_id": call["id"], "content": "Old."} for call in said["tool_calls"]),
        {"role": "assistant", "content": "Good day."},
    ]
    results: list[Any] = [{"role": "tool", "tool_call_id": "abc123xyz", "content": "Nothing."}]
    await chat.create(model="hearth", messages=[*earlier, QUESTION, said, *results], tools=[TOOL])
    prompt = served.core.engine.prompts[-1]
    assert prompt.history[:2] == (Turn("user", "Hello"), Turn("assistant", "Good day."))
    assert prompt.history[2].text.endswith("Where is the drive?")
    assert prompt.history[3].calls and prompt.tail_call_id == "abc123xyz"


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", ("auto", "")),
        ("required", ("required", "")),
        ({"type": "function", "function": {"name": "look_at"}}, ("required", "look_at")),
        (
            {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "required", "tools": [{"type": "function", "function": {"name": "look_at"}}]},
            },
            ("required", ""),
        ),
        ("none", None),
    ],
)
async def test_the_choice_of_tools_reaches_the_engine(served: Serving, choice: Any, expected: object) -> None:
    await served.client().chat.completions.create(
        model="scripted", messages=[QUESTION], tools=[TOOL], tool_choice=choice, parallel_tool_calls=False
    )
    toolbox = served.core.engine.prompts[-1].toolbox
    assert (toolbox and (toolbox.choice, toolbox.only)) == expected
    assert toolbox is None or not toolbox.is_parallel


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"tools": [{"type": "web_search"}]}, "web_search"),
        ({"tools": [TOOL, TOOL]}, "same name"),
        ({"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "other"}}}, "'other'"),
        ({"tool_choice": "required"}, "no such tool"),
        ({"tools": [TOOL], "tool_choice": "sometimes"}, "tool_choice"),
        ({"tools": [{"type": "function", "function": {"name": "two words"}}]}, "tools[0].function.name"),
        ({"functions": [{"name": "look_at"}]}, "functions"),
        ({"messages": [QUESTION, {"role": "tool", "tool_call_id": "x", "content": "?"}]}, "'x'"),
        ({"messages": [QUESTION, {"role": "tool", "content": "?"}]}, "id of its call"),
    ],
)
async def test_faulty_tools_are_refused_by_name(served: Serving, fields: dict[str, Any], named: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        await served.client().chat.completions.create(
            **{"model": "scripted", "messages": [QUESTION], "extra_body": fields}  # type: ignore[arg-type]
        )
    assert named in refused.value.message


async def test_a_response_has_an_item_for_thinking_text_and_each_call(served: Serving) -> None:
    client = served.client()
    first = await client.responses.create(
        model="scripted", instructions="Be brief.", input="Where is the drive?", tools=[FLAT], store=False
    )
    assert [item.type for item in first.output] == ["reasoning", "message", "function_call", "function_call"]
    assert (first.status, first.output_text, first.store) == ("completed", "Let me look.", False)
    said: list[Any] = [{"role": "user", "content": [{"type": "input_text", "text": "Where is the drive?"}]}]
    said += [item.model_dump(exclude_none=True) for item in first.output]
    said += [
        {"type": "function_call_output", "call_id": item.call_id, "output": "Nothing."}
        for item in first.output
        if item.type == "function_call"
    ]
    then = await client.responses.create(model="scripted", instructions="Be brief.", input=said, tools=[FLAT])
    assert then.output_text == "It is there."
    prompt = served.core.engine.prompts[-1]
    assert [turn.role for turn in prompt.turns()] == ["system", "user", "assistant", "tool", "tool"]
    assert prompt.history[1].text == "Let me look."
    assert [call.id for call in prompt.history[1].calls] == ["abc123xyz", "def456uvw"]


async def test_a_streamed_response_is_put_together_by_the_official_client(served: Serving) -> None:
    client = served.client()
    async with client.responses.stream(model="scripted", input="Where is the drive?", tools=[FLAT]) as stream:
        kinds = [event.type async for event in stream]
        whole = await stream.get_final_response()
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds[-1] == "response.completed"
    for kind in ("response.reasoning_text.done", "response.output_text.done", "response.function_call_arguments.done"):
        assert kind in kinds
    calls = [item for item in whole.output if item.type == "function_call"]
    assert [json.loads(call.arguments)["where"] for call in calls] == ["upstairs", "cellar"]


async def test_a_response_follows_a_schema_and_tells_where_it_was_cut(served: Serving) -> None:
    wanted: Any = {"format": {"type": "json_schema", "name": "place", "schema": SCHEMA, "strict": True}}
    await served.client().responses.create(
        model="scripted", input="Where?", text=wanted, max_output_tokens=7, temperature=0.5, reasoning={"effort": "low"}
    )
    sampling, prompt = served.core.engine.samplings[-1], served.core.engine.prompts[-1]
    assert (sampling.json_schema, sampling.max_tokens, sampling.temperature) == (SCHEMA, 7, 0.5)
    assert prompt.reasoning_effort == "low"


async def test_a_response_that_fails_says_so_in_its_stream(served: Serving) -> None:
    served.core.engine.fails_with = EngineFailed("The model is gone.")
    stream = await served.client().responses.create(model="scripted", input="Where?", stream=True)
    events = [event async for event in stream]
    assert events[-1].type == "response.failed"
    assert events[-1].response.error is not None and "gone" in events[-1].response.error.message


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"background": True}, "background"),
        ({"tools": [{"type": "web_search"}]}, "web_search"),
        ({"tools": [{"type": "function", "name": "two words"}]}, "tools[0].name"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "item_reference"),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]}, "input_image"),
        ({"input": []}, "From 1 to"),
        ({"text": {"format": {"type": "json_schema", "name": "x"}}}, "text.format.schema"),
    ],
)
async def test_what_responses_cannot_have_is_refused_by_name(
    served: Serving, fields: dict[str, Any], named: str
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        await served.client().responses.create(model="scripted", input="Where?", extra_body=fields)
    assert named in f"{refused.value.message} {refused.value.param}"
