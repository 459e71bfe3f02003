"""A model that thinks answers all the same: its thinking has a limit, comes apart, and JSON begins after it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy
import pytest
from numpy.typing import NDArray

from models.engine import EngineFailed, ModelUnusable, Prompt, Sampling, StreamItem, ThinkingText, Usage
from models.llama.decoding.generation import Generation, GenerationRequest
from models.llama.decoding.reply_text import ReplyText, TokenLimits
from models.llama.engine import LlamaEngine
from models.llama.kv_cache.slots import Slot
from models.llama.kv_cache.tokenized_prompt import TokenizedPrompt
from models.llama.native.cancel_flag import CancelFlag
from models.llama.settings import LlamaSettings
from tests.fakes.tiny_gguf import write_tiny_model
from tests.fakes.tiny_vocabulary import MARKS, byte_pairs

_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\nOPENING{% endif %}"
)
_HARMONY = ("<|start|>", "<|message|>", "<|channel|>", "<|constrain|>", "<|end|>")
_PROMPT = Prompt("Be brief.", (), "Where is it?")
_TOKENS = 12


async def _load(
    path: Path, opening: str, marks: tuple[str, ...], *, thinking: bool, context: int = 1024
) -> LlamaEngine:
    vocabulary = byte_pairs(user_defined=marks)
    template = _TEMPLATE.replace("OPENING", opening)
    write_tiny_model(path, "attention", context_tokens=context, vocabulary=vocabulary, chat_template=template)
    settings = LlamaSettings(context_tokens=context, threads=1, parallel=1, thinking=thinking, thinking_tokens=_TOKENS)
    return await LlamaEngine.load(path, settings)


async def _ask(engine: LlamaEngine, prompt: Prompt = _PROMPT, **sampling: object) -> tuple[str, str, Usage]:
    """Thinking, text and usage; all thinking comes first."""
    greedy = Sampling(**{"temperature": 0.0, "max_tokens": 20, "repeat_penalty": 1.0, **sampling})  # type: ignore[arg-type]
    items: list[StreamItem] = [item async for item in engine.stream(prompt, "room", greedy)]
    kinds = [type(item) for item in items]
    assert kinds == sorted(kinds, key=[ThinkingText, str, Usage].index)
    thought = "".join(item.text for item in items if isinstance(item, ThinkingText))
    usage = items[-1]
    assert isinstance(usage, Usage)
    return thought, "".join(item for item in items if isinstance(item, str)), usage


@pytest.mark.parametrize(
    ("opening", "marks"),
    [("<think>\n", ("<think>", "</think>")), ("<think>\n", ()), ("<|channel|>analysis<|message|>", _HARMONY)],
)
async def test_thinking_that_uses_its_tokens_up_is_closed_and_the_answer_comes(
    tmp_path: Path, opening: str, marks: tuple[str, ...]
) -> None:
    engine = await _load(tmp_path / "tiny.gguf", opening, marks, thinking=True)
    thought, text, usage = await _ask(engine)
    assert thought
    assert text
    assert _TOKENS <= usage.thinking_tokens <= _TOKENS + len("<|end|><|start|>assistant<|channel|>final<|message|>")
    assert usage.generated_tokens - usage.thinking_tokens <= 20
    assert not any(mark in thought + text for mark in ("</think>", "<|channel|>", "<|message|>"))
    await engine.close()


async def test_with_thinking_off_an_opening_in_the_template_is_closed_at_once(tmp_path: Path) -> None:
    engine = await _load(tmp_path / "tiny.gguf", "<think>\n", ("<think>", "</think>"), thinking=False)
    thought, text, usage = await _ask(engine)
    assert (thought, usage.thinking_tokens) == ("", 0)
    assert text
    thought, text, _ = await _ask(engine, Prompt("Be brief.", (), "Where is it?", reasoning_effort="low"))
    assert thought, "a request may ask for it"
    assert text
    await engine.close()


async def test_json_begins_after_the_thinking(tmp_path: Path) -> None:
    engine = await _load(tmp_path / "tiny.gguf", "<think>\n", ("<think>", "</think>"), thinking=True)
    thought, text, usage = await _ask(engine, json_schema={"enum": ["shelf", "box"]})
    assert json.loads(text) in ("shelf", "box")
    assert thought
    assert usage.thinking_tokens >= _TOKENS
    await engine.close()


async def test_thinking_leaves_room_for_the_answer_in_a_short_context(tmp_path: Path) -> None:
    engine = await _load(tmp_path / "tiny.gguf", "<think>\n", ("<think>", "</think>"), thinking=True, context=256)
    _, text, usage = await _ask(engine, Prompt("", (), "x" * 90), max_tokens=200)
    assert text
    assert usage.prompt_tokens + usage.generated_tokens <= 256
    await engine.close()


@pytest.mark.parametrize("temperature", [0.0, 0.8])
async def test_weights_that_are_no_numbers_end_the_reply_with_a_sentence(tmp_path: Path, temperature: float) -> None:
    path = write_tiny_model(tmp_path / "tiny.gguf", "attention", damaged=True)
    engine = await LlamaEngine.load(path, LlamaSettings(context_tokens=256, threads=1))
    for _ in range(2):
        with pytest.raises(EngineFailed, match="no numbers: its file is damaged"):
            await _ask(engine, temperature=temperature)
    await engine.close()


async def test_a_context_too_short_for_any_prompt_is_refused_at_load(tmp_path: Path) -> None:
    path = tmp_path / "tiny.gguf"
    for context in (8, 70):
        write_tiny_model(path, "attention", context_tokens=context)
        with pytest.raises(ModelUnusable, match=f"context of {context} tokens, which is too short"):
            await LlamaEngine.load(path, LlamaSettings(threads=1))


async def test_a_template_that_fails_on_every_question_is_refused_at_load(tmp_path: Path) -> None:
    path = write_tiny_model(tmp_path / "tiny.gguf", "attention", chat_template="{{ foo() }}")
    with pytest.raises(ModelUnusable, match="fails on every question"):
        await LlamaEngine.load(path, LlamaSettings(threads=1, context_tokens=256))
    engine = await LlamaEngine.load(path, LlamaSettings(threads=1, context_tokens=256, chat_template="chatml"))
    assert (await _ask(engine))[2].generated_tokens
    await engine.close()


class _ScriptedContext:
    """Fills a context's logits so that a text is written."""

    def __init__(self, tokens: Sequence[int], vocabulary_size: int) -> None:
        self._tokens = iter(tokens)
        self._size = vocabulary_size

    def get_logits(self, index: int) -> NDArray[numpy.float32]:
        assert index == 0
        logits = numpy.zeros(self._size, numpy.float32)
        logits[next(self._tokens)] = 9.0
        return logits


def _written(engine: LlamaEngine, text: str, prompt_end: str) -> tuple[str, Usage]:
    """What is shown of a reply whose tokens are those of a text, and the usage."""
    loaded, shown = engine._loaded, []

    class _Stream:
        def put_text(self, piece: str | ThinkingText) -> None:
            shown.append(piece)

    sampling = Sampling(temperature=0.0, repeat_penalty=1.0)
    request = GenerationRequest("room", sampling, _Stream(), CancelFlag())  # type: ignore[arg-type]
    context: Any = _ScriptedContext(loaded.model.tokenize(text, parse_control=True), loaded.model.vocabulary_size)
    reply = ReplyText(loaded.habits, prompt_end, sampling, TokenLimits(500, 500, 900))
    generation = Generation(
        request, TokenizedPrompt([], 0, 0, prompt_end), Slot(context, 0), model=loaded.model, text=reply
    )
    while generation.usage is None:
        generation.sample_decoded(context, generation.next_tokens(0), 0)
    generation.free()
    return "".join(piece for piece in shown if isinstance(piece, str)), generation.usage


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Yes<|im_end|>", "Yes"),
        ("<|channel|>final<|message|>Yes<|end|><|start|>assistant<|channel|>final<|message|>No<|im_end|>", "Yes"),
        ('<|channel|>final <|constrain|>json<|message|>{"a":1}<|im_end|>', '{"a":1}'),
        ("<think>Hm.</think>Use <think> and </think>.<|im_end|>", "Use <think> and </think>."),
    ],
)
async def test_a_reply_with_tokens_for_marks_is_shown_without_them(tmp_path: Path, text: str, shown: str) -> None:
    engine = await _load(tmp_path / "tiny.gguf", "", (*_HARMONY, "<think>", "</think>"), thinking=True)
    answer, usage = _written(engine, text, "<|start|>assistant")
    assert (answer, usage.finish) == (shown, "stop")
    await engine.close()


def test_the_marks_of_turns_are_those_of_the_tiny_models() -> None:
    assert all(mark in _TEMPLATE for mark in MARKS)
