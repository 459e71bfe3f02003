"""The calls that clients really make, recorded from them (tests/data/openai_clients), and what each gets."""

import base64
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from openai.types import Completion, CreateEmbeddingResponse, Model
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from models.engine import RawPrompt
from tests.fakes.core import running_core
from tests.fakes.openai_endpoint import KEYS, serving

RECORDINGS = sorted((Path(__file__).parents[2] / "data/openai_clients").glob("*.json"))
Json = dict[str, Any]

SAMPLING = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "min_p": "min_p",
    "repeat_penalty": "repeat_penalty",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "seed": "seed",
    "max_tokens": "max_tokens",
    "max_completion_tokens": "max_tokens",
}


class Replay:
    """A running endpoint to which recorded requests are sent."""

    def __init__(self, core: Any, session: aiohttp.ClientSession) -> None:
        self.engine = core.engine
        self._session = session

    async def send(self, request: Mapping[str, Any]) -> tuple[int, str]:
        """Send a request as it was recorded, but for the model, which is the admin's choice."""
        body = dict(request["body"] or {})
        if "model" in body:
            body["model"] = "hashing" if request["path"] == "/v1/embeddings" else "scripted"
        data = json.dumps(body) if body else None
        async with self._session.request(
            request["method"], request["path"], headers=request["headers"], data=data
        ) as response:
            return response.status, await response.text()


@pytest.fixture
async def replay(tmp_path: Path) -> AsyncIterator[Replay]:
    key = {"Authorization": f"Bearer {KEYS['editor']}"}
    async with (
        running_core(tmp_path) as core,
        serving(core) as at_work,
        aiohttp.ClientSession(at_work.url, headers=key) as session,
    ):
        yield Replay(core, session)


def parts_of(body: Json) -> set[str]:
    """The types of the parts of the messages' contents."""
    contents = [message["content"] for message in body["messages"] if isinstance(message["content"], list)]
    return {part["type"] for parts in contents for part in parts}


@pytest.mark.parametrize("recording", RECORDINGS, ids=lambda path: path.stem)
async def test_each_recorded_call_is_answered_or_refused_by_name(replay: Replay, recording: Path) -> None:
    requests = json.loads(recording.read_text(encoding="utf-8"))["requests"]
    assert requests
    for request in requests:
        status, text = await replay.send(request)
        check_answer(replay, request, status, text)


def check_answer(replay: Replay, request: Json, status: int, text: str) -> None:
    """Check an answer by the path and the content of its request."""
    body = request["body"] or {}
    if request["path"] == "/v1/models":
        models = [Model.model_validate(model, strict=True).id for model in json.loads(text)["data"]]
        assert models == ["hearth", "scripted", "hashing"]
    elif request["path"] == "/v1/embeddings":
        assert status == 200, text
        check_vectors(body, json.loads(text))
    elif request["path"] == "/v1/completions":
        assert status == 200, text
        check_continued_text(replay, body, text)
    elif request["path"] == "/v1/fim/completions":
        assert status == 200, text
        (check_stream if body.get("stream") else check_completion)(body, text)
        assert replay.engine.raw_prompts[-1] == RawPrompt(body["prompt"], body["suffix"])
    elif request["path"] == "/v1/responses":
        check_responses(replay, body, status, text)
    else:
        check_chat(replay, body, status, text)


def check_chat(replay: Replay, body: Json, status: int, text: str) -> None:
    """Check an answer to a chat: what the client set must have reached the engine."""
    parts = parts_of(body)
    if parts - {"text"}:
        check_refusal(status, text, 400, "image_url")
    else:
        assert status == 200, text
        (check_stream if body.get("stream") else check_completion)(body, text)
        sampling = replay.engine.samplings[-1]
        asked = {name: value for name, value in body.items() if name in SAMPLING}
        assert {name: getattr(sampling, SAMPLING[name]) for name in asked} == asked
        check_tools(replay, body)
        schema = body.get("response_format", {}).get("json_schema", {}).get("schema")
        assert sampling.json_schema == schema


def check_tools(replay: Replay, body: Json) -> None:
    """Check that tools, calls and results have reached the engine."""
    prompt = replay.engine.prompts[-1]
    offered = [tool.get("function", tool) for tool in body.get("tools") or []]
    assert (
        [(tool.name, json.loads(tool.parameters)) for tool in prompt.toolbox.tools]
        if prompt.toolbox
        else [(tool["name"], tool.get("parameters")) for tool in offered] == []
    )
    made = [call["id"] for message in body.get("messages", []) for call in message.get("tool_calls") or []]
    assert [call.id for turn in prompt.turns() for call in turn.calls] == made


def check_responses(replay: Replay, body: Json, status: int, text: str) -> None:
    """Check an answer of /v1/responses."""
    assert status == 200, text
    if body.get("stream"):
        events = [json.loads(event.partition("data: ")[2]) for event in text.strip().split("\n\n")]
        parsed = [TypeAdapter(ResponseStreamEvent).validate_python(event, strict=True) for event in events]
        assert [each.sequence_number for each in parsed] == list(range(len(parsed)))
        answer = Response.model_validate(events[-1]["response"])
    else:
        answer = Response.model_validate_json(text, strict=True)
    assert (answer.status, answer.output_text) == ("completed", "The drive is there [1].")
    sampling, prompt = replay.engine.samplings[-1], replay.engine.prompts[-1]
    assert sampling.max_tokens == min(body.get("max_output_tokens", 64), 2048)
    assert sampling.json_schema == body.get("text", {}).get("format", {}).get("schema")
    assert (
        [tool.name for tool in prompt.toolbox.tools]
        if prompt.toolbox
        else [tool["name"] for tool in body.get("tools", [])] == []
    )


def check_continued_text(replay: Replay, body: Json, text: str) -> None:
    """Check a text that was continued, whole or streamed."""
    pieces = [event.removeprefix("data: ") for event in text.strip().split("\n\n")] if body.get("stream") else [text]
    assert not body.get("stream") or pieces.pop() == "[DONE]"
    # OpenAI sends null until the last piece, and its own types do not allow that.
    finished = [piece.replace('"finish_reason":null', '"finish_reason":"stop"') for piece in pieces]
    parsed = [Completion.model_validate_json(piece, strict=True) for piece in finished]
    assert "".join(choice.text for piece in parsed for choice in piece.choices) == "The drive is there [1]."
    assert replay.engine.raw_prompts[-1] == RawPrompt(body["prompt"])
    asked = {name: body[name] for name in SAMPLING if name in body}
    sampling = replay.engine.samplings[-1]
    assert {name: getattr(sampling, SAMPLING[name]) for name in asked} == asked
    assert sampling.stop == tuple(body.get("stop") or ())


def check_refusal(status: int, text: str, expected: int, named: str) -> None:
    """Check that an error has the right status, and that its sentence names what is refused."""
    assert status == expected, text
    message = json.loads(text)["error"]["message"]
    assert named in message and message.endswith(".")


def check_completion(body: Json, text: str) -> None:
    """Check a whole answer."""
    answer = ChatCompletion.model_validate_json(text, strict=True)
    assert answer.choices[0].message.content == "The drive is there [1]."
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None and answer.usage.total_tokens > 0


def check_stream(body: Json, text: str) -> None:
    """Check a streamed answer."""
    *events, done = [event.removeprefix("data: ") for event in text.strip().split("\n\n")]
    chunks = [ChatCompletionChunk.model_validate_json(event, strict=True) for event in events]
    choices = [chunk.choices[0] for chunk in chunks if chunk.choices]
    assert done == "[DONE]"
    assert choices[0].delta.role == "assistant"
    assert "".join(choice.delta.content or "" for choice in choices) == "The drive is there [1]."
    assert [choice.finish_reason for choice in choices if choice.finish_reason] == ["stop"]
    wants_usage = body.get("stream_options", {}).get("include_usage", False)
    assert [chunk.usage is not None for chunk in chunks][-1] == wants_usage


def check_vectors(body: Json, answer: Json) -> None:
    """Check the vectors: numbers or, where the client asked for it, base64."""
    texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
    vectors = [each["embedding"] for each in answer["data"]]
    assert len(vectors) == len(texts)
    if body.get("encoding_format") == "base64":
        assert {len(base64.b64decode(vector, validate=True)) for vector in vectors} == {4 * 64}
    else:
        CreateEmbeddingResponse.model_validate(answer)
        assert {len(vector) for vector in vectors} == {64}
