"""What clients ask for besides chats: embeddings, thinking apart from the answer, the context's length, browsers."""

import base64
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import numpy
import openai
import pytest

from knowledge.embedding import HashingEmbedder
from models.engine import ThinkingText
from tests.fakes.core import running_core
from tests.fakes.openai_endpoint import KEYS, Serving, serving

PAGE = "https://chat.example.org"
QUESTION = [{"role": "user", "content": "Where is the drive?"}]


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Serving]:
    async with running_core(tmp_path) as core, serving(core, allowed_origins=[PAGE]) as at_work:
        yield at_work


async def test_texts_are_embedded_as_the_documents_are(served: Serving) -> None:
    texts = ["The drive is on the shelf.", "An alarm rings.", *(f"note {number}" for number in range(20))]
    given = await served.client().embeddings.create(model="hashing", input=texts, encoding_format="float")
    expected = HashingEmbedder(64).embed_passages(texts)
    assert numpy.allclose([each.embedding for each in given.data], expected, atol=1e-6)
    assert [each.index for each in given.data] == list(range(len(texts)))
    assert given.model == "hashing"
    assert given.usage.total_tokens > 0


async def test_vectors_may_be_asked_for_in_base64(served: Serving) -> None:
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEYS['editor']}"}) as session:
        body = {"model": "hashing", "input": "An alarm rings.", "encoding_format": "base64"}
        async with session.post(f"{served.url}/v1/embeddings", json=body) as response:
            vector = (await response.json())["data"][0]["embedding"]
    decoded = numpy.frombuffer(base64.b64decode(vector), "<f4")
    assert numpy.allclose(decoded, HashingEmbedder(64).embed_question("An alarm rings."))


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"input": [[1, 2, 3]]}, "no tokens"),
        ({"input": []}, "From 1 to"),
        ({"input": ["a"] * 513}, "From 1 to 512"),
        ({"input": "a" * 40_000}, "32768 characters"),
        ({"input": "a", "dimensions": 3}, "64 dimensions"),
        ({"input": "a", "encoding_format": "int8"}, "encoding_format"),
        ({}, "input"),
    ],
)
async def test_what_cannot_be_embedded_is_refused_by_name(
    served: Serving, fields: dict[str, object], sentence: str
) -> None:
    headers, body = {"Authorization": f"Bearer {KEYS['editor']}"}, {"model": "hashing", **fields}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(f"{served.url}/v1/embeddings", json=body) as response,
    ):
        assert response.status == 400
        assert sentence in (await response.json())["error"]["message"]


async def test_embeddings_need_a_key(served: Serving) -> None:
    with pytest.raises(openai.AuthenticationError):
        await served.client_with("nobody").embeddings.create(model="hashing", input="a")


async def test_models_tell_their_context_and_what_they_are(served: Serving) -> None:
    listed = {model.id: model.model_extra for model in (await served.client().models.list()).data}
    assert listed.keys() == {"hearth", "scripted", "hashing"}
    assert listed["scripted"] == {"context_length": 2048, "max_model_len": 2048}
    assert listed["hashing"] == {}
    assert (await served.client().models.retrieve("hashing")).id == "hashing"


async def test_thinking_comes_apart_from_the_answer(served: Serving) -> None:
    served.core.engine.script = lambda _: [ThinkingText("On the "), ThinkingText("shelf?"), "It is ", "there."]
    client = served.client()
    whole = await client.chat.completions.create(model="scripted", messages=QUESTION)
    assert whole.choices[0].message.content == "It is there."
    assert whole.choices[0].message.model_extra == {"reasoning_content": "On the shelf?"}
    deltas = [
        chunk.choices[0].delta
        async for chunk in await client.chat.completions.create(model="scripted", messages=QUESTION, stream=True)
        if chunk.choices
    ]
    assert "".join((delta.model_extra or {}).get("reasoning_content", "") for delta in deltas) == "On the shelf?"
    assert "".join(delta.content or "" for delta in deltas) == "It is there."


@pytest.mark.parametrize(
    ("fields", "effort"),
    [
        ({"reasoning_effort": "high"}, "high"),
        ({"reasoning_effort": "minimal"}, "low"),
        ({"chat_template_kwargs": {"enable_thinking": False}}, "none"),
        ({"chat_template_kwargs": {"enable_thinking": True}}, "medium"),
        ({}, None),
    ],
)
async def test_how_much_to_think_reaches_the_engine(
    served: Serving, fields: dict[str, object], effort: str | None
) -> None:
    await served.client().chat.completions.create(model="scripted", messages=QUESTION, extra_body=fields)
    assert served.core.engine.prompts[0].reasoning_effort == effort


async def test_penalties_and_limits_of_sampling_are_applied(served: Serving) -> None:
    await served.client().chat.completions.create(
        model="scripted",
        messages=QUESTION,
        frequency_penalty=0.1,
        presence_penalty=-0.5,
        extra_body={"top_k": 3, "min_p": 0.2},
    )
    sampling = served.core.engine.samplings[0]
    assert (sampling.frequency_penalty, sampling.presence_penalty) == (0.1, -0.5)
    assert (sampling.top_k, sampling.min_p) == (3, 0.2)
    with pytest.raises(openai.BadRequestError, match="presence_penalty"):
        await served.client().chat.completions.create(model="scripted", messages=QUESTION, presence_penalty=3)
    with pytest.raises(openai.BadRequestError, match="chat_template_kwargs"):
        await served.client().chat.completions.create(
            model="scripted", messages=QUESTION, extra_body={"chat_template_kwargs": {"budget": 1}}
        )


async def test_listed_pages_may_call_from_a_browser_and_others_may_not(served: Serving) -> None:
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    url = f"{served.url}/v1/chat/completions"
    async with aiohttp.ClientSession() as session:
        async with session.options(url, headers={"Origin": PAGE, **asked}) as response:
            assert response.status == 204
            assert response.headers["Access-Control-Allow-Origin"] == PAGE
            assert "authorization" in response.headers["Access-Control-Allow-Headers"]
            assert "Access-Control-Allow-Credentials" not in response.headers
        async with session.options(url, headers={"Origin": "https://evil.example", **asked}) as response:
            assert response.status == 405
            assert "Access-Control-Allow-Origin" not in response.headers
        key = {"Authorization": f"Bearer {KEYS['editor']}"}
        for origin, readable in ((PAGE, PAGE), ("https://evil.example", None)):
            async with session.get(f"{served.url}/v1/models", headers={"Origin": origin, **key}) as response:
                assert response.headers.get("Access-Control-Allow-Origin") == readable
        async with session.get(f"{served.url}/v1/models", headers={"Origin": PAGE}) as response:
            assert response.status == 401  # the page may read why
            assert response.headers["Access-Control-Allow-Origin"] == PAGE
        async with session.get(f"{served.url}/metrics", headers={"Origin": PAGE}) as response:
            assert "Access-Control-Allow-Origin" not in response.headers


async def test_a_stream_is_readable_for_a_listed_page(served: Serving) -> None:
    headers = {"Origin": PAGE, "Authorization": f"Bearer {KEYS['editor']}"}
    body = {"model": "scripted", "messages": QUESTION, "stream": True}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(f"{served.url}/v1/chat/completions", json=body) as response,
    ):
        assert response.headers["Access-Control-Allow-Origin"] == PAGE
        assert b"[DONE]" in await response.read()


async def test_vectors_of_another_model_are_refused(served: Serving) -> None:
    with pytest.raises(openai.NotFoundError, match=r"'text-embedding-3-small'.*'hashing'"):
        await served.client().embeddings.create(model="text-embedding-3-small", input="a")


@pytest.mark.parametrize("name", ["repeat_penalty", "repetition_penalty"])
async def test_the_penalty_of_repeats_is_applied_under_both_names(served: Serving, name: str) -> None:
    await served.client().chat.completions.create(model="scripted", messages=QUESTION, extra_body={name: 1.2})
    assert served.core.engine.samplings[0].repeat_penalty == 1.2


async def test_tokens_of_thinking_are_counted_apart(served: Serving) -> None:
    served.core.engine.script = lambda _: [ThinkingText("On the "), ThinkingText("shelf?"), "There."]
    usage = (await served.client().chat.completions.create(model="scripted", messages=QUESTION)).usage
    assert usage is not None and usage.completion_tokens_details is not None
    assert (usage.completion_tokens, usage.completion_tokens_details.reasoning_tokens) == (3, 2)
