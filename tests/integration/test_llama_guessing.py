"""Speculative decoding drafts quotations, and changes no answer where answers are to be the same bit for bit."""

import asyncio
from importlib.metadata import version
from itertools import product
from pathlib import Path

import numpy
import pytest

from models.engine import Prompt, Sampling, Usage
from models.llama.engine import LlamaEngine
from models.llama.loading import kernel_equivalence
from models.llama.native.libllama import llama_library
from models.llama.settings import LlamaSettings

_SYSTEM = "You are the assistant of a house."
_PASSAGE = (
    "To bleed a radiator, turn the heating off and wait until the radiator is cold. Hold a cloth under the valve and "
    "open it half a turn with the key. Air hisses out first, then water drips. Close the valve at once when only water "
    "comes. Check the pressure of the boiler afterwards: it should stand between one and one and a half bar."
)
_QUESTIONS = (
    f'Copy the following text exactly, without changing anything:\n\n"{_PASSAGE}"',
    f"Repeat this text word by word.\n\n{_PASSAGE}",
    f"{_PASSAGE}\n\nHow is a radiator bled?",
    f"{_PASSAGE}\n\nTell a story about a dragon.",
)
_SAMPLINGS = (
    Sampling(temperature=0.0, repeat_penalty=1.0, max_tokens=64),
    Sampling(temperature=0.0, max_tokens=64),
    Sampling(temperature=0.7, seed=11, max_tokens=64),
    Sampling(temperature=0.0, repeat_penalty=1.0, max_tokens=64, stop=("valve at once",)),
)


async def _answer(engine: LlamaEngine, question: str, sampling: Sampling) -> tuple[str, Usage]:
    *pieces, usage = [item async for item in engine.stream(Prompt(_SYSTEM, (), question), "room", sampling)]
    assert isinstance(usage, Usage)
    return "".join(map(str, pieces)), usage


async def _answers(
    path: Path, pairs: tuple[tuple[str, Sampling], ...], *, speculation: bool
) -> list[tuple[str, Usage]]:
    """The answers of one engine, closed before the next is loaded: the threads of two have more to do than processors,
    and the step times that drafts are measured by then say nothing.
    """
    settings = LlamaSettings(context_tokens=1024, parallel=1, speculation=speculation, deterministic=True)
    engine = await LlamaEngine.load(path, settings)
    try:
        assert not speculation or (engine._loaded.limits.max_draft_tokens >= 2) == _can_draft()
        return [await _answer(engine, question, sampling) for question, sampling in pairs]
    finally:
        await engine.close()


_ALL = tuple(product(_QUESTIONS, _SAMPLINGS))
# Quotations with every sampling, for one of them is to be guessed for the most part; the other questions once each.
_SOME = (*product(_QUESTIONS[:2], _SAMPLINGS), *zip(_QUESTIONS[2:], _SAMPLINGS[:2], strict=True))


@pytest.mark.alone
@pytest.mark.timeout(300)
@pytest.mark.parametrize("pairs", [_SOME, pytest.param(_ALL, marks=pytest.mark.soak)], ids=["some", "all"])
async def test_answers_are_the_same_with_guessing_and_most_words_of_a_quotation_are_guessed(
    chat_model_path: Path, pairs: tuple[tuple[str, Sampling], ...]
) -> None:
    plain = await _answers(chat_model_path, pairs, speculation=False)
    speculative = await _answers(chat_model_path, pairs, speculation=True)
    drafted_shares = []
    for (question, _), (expected, plain_usage), (text, usage) in zip(pairs, plain, speculative, strict=True):
        assert (text, usage.generated_tokens, usage.finish) == (
            expected,
            plain_usage.generated_tokens,
            plain_usage.finish,
        )
        assert plain_usage.accepted_draft_tokens == 0
        if question in _QUESTIONS[:2]:
            drafted_shares.append(usage.accepted_draft_tokens / usage.generated_tokens)
    assert (max(drafted_shares) > 0.5) == _can_draft()


def _can_draft() -> bool:
    """Whether drafts of a deterministic engine can be proven: of the builds for x86 only the patched one computes the
    floats of the cache alike for one token and for several.
    """
    can_draft = kernel_equivalence.max_equal_batch({kernel_equivalence.CACHE_TYPE}, 3) == 3
    assert can_draft or "+hearth" not in version("llama-cpp-python")
    return can_draft


@pytest.mark.alone
@pytest.mark.parametrize("settings", [{}, {"flash_attention": "on"}, {"kv_cache_type": "q8_0"}])
async def test_quotations_are_drafted_at_any_temperature_and_with_flash_attention(
    chat_model_path: Path, settings: dict[str, object]
) -> None:
    engine = await LlamaEngine.load(
        chat_model_path, LlamaSettings.model_validate({"context_tokens": 1024, "parallel": 2, **settings})
    )
    try:
        assert engine._loaded.limits.max_draft_tokens == 8
        answers = [await _answer(engine, question, _SAMPLINGS[2]) for question in _QUESTIONS[:2]]
    finally:
        await engine.close()
    # How many follows from the step times of this machine; the first ones are tried everywhere.
    assert sum(usage.accepted_draft_tokens for _, usage in answers) > 0


_OTHER_PASSAGE = (
    "The cat has its food at seven and at six, one tin each time, and fresh water in the blue bowl next to the door. "
    "The vet is in Mill Lane, on the left after the bakery. The basket for the cat stands below the stairs in the hall."
)


@pytest.mark.alone
async def test_replies_that_quote_at_the_same_time_draft_each_from_its_own_prompt(chat_model_path: Path) -> None:
    engine = await LlamaEngine.load(chat_model_path, LlamaSettings(context_tokens=1024, parallel=2))
    try:
        questions = [_QUESTIONS[0].replace(_PASSAGE, passage) for passage in (_PASSAGE, _OTHER_PASSAGE)]
        for _ in range(2):
            asked = (_answer(engine, question, _SAMPLINGS[0]) for question in questions)
            (heating, first), (cat, second) = await asyncio.gather(*asked)
            assert "radiator" in heating
            assert "cat" in cat.split()
            assert "radiator" not in cat
            assert "cat" not in heating.split()
            assert first.accepted_draft_tokens + second.accepted_draft_tokens > 0
    finally:
        await engine.close()


@pytest.mark.parametrize("ggml_type", [3, 8])  # Q4_1, Q8_0; of floats in test_llama_float_kernels.py
def test_this_build_computes_a_few_tokens_as_it_computes_one(ggml_type: int) -> None:
    llama_library()
    # The half floats of the cache count, too, and the stock build does not compute those alike.
    assert kernel_equivalence.max_equal_batch({ggml_type}, 4) >= min(3, kernel_equivalence.max_equal_batch({1}, 4))


def test_types_that_were_never_tried_are_taken_for_different() -> None:
    assert kernel_equivalence.max_equal_batch({24}, 4) == 1


@pytest.mark.parametrize(("rows", "length"), [(1, 32), (3, 64), (16, 32), (35, 96), (70, 576)])
def test_products_of_any_shape_with_q4_1_weights_are_those_of_each_token_alone(rows: int, length: int) -> None:
    llama_library()
    rng = numpy.random.default_rng(rows)
    weights = rng.standard_normal((rows, length), numpy.float32)
    tokens = rng.standard_normal((21, length), numpy.float32)
    one_by_one = numpy.concatenate([kernel_equivalence.ggml_matmul(3, weights, token[None]) for token in tokens])
    for count in (1, 2, 3, 4, 5, 16, 17, 18, 21):
        assert kernel_equivalence.ggml_matmul(3, weights, tokens[:count]).tobytes() == one_by_one[:count].tobytes(), (
            count
        )
    # And they are correct, as far as the precision of four bits goes.
    assert numpy.abs(one_by_one - tokens @ weights.T).max() < 0.5 * length**0.5
