"""Raw prompts and biased tokens, on the vocabularies of the families that fill in between a prefix and a suffix."""

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import pytest
import pytest_asyncio

from models.engine import NotSupported, Prompt, PromptTooLong, RawPrompt, Sampling, Usage
from models.llama.engine import LlamaEngine
from models.llama.kv_cache.raw_prompt import RawPromptTokenizer
from models.llama.native.libllama import llama_library
from models.llama.native.model import LlamaModel
from models.llama.settings import LlamaSettings
from tests.fakes.tiny_gguf import write_tiny_model
from tests.fakes.tiny_vocabulary import KINDS, byte_pairs, make_vocabulary

QWEN = ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|repo_name|>", "<|file_sep|>")
GRANITE = ("<fim_prefix>", "<fim_suffix>", "<fim_middle>")
DEEPSEEK = ("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>")
CODE_LLAMA = ("▁<PRE>", "▁<SUF>", "▁<MID>")
MISTRAL = ("[PREFIX]", "[SUFFIX]")
ENDS = ("<|im_start|>", "<|im_end|>")

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Makes tokenizers of raw prompts, for vocabularies with control tokens of these names."""
    llama, folder = llama_library(), tmp_path_factory.mktemp("vocabularies")
    loaded: list[LlamaModel] = []

    def load(marks: Sequence[str], kind: str = "bpe") -> tuple[RawPromptTokenizer, LlamaModel]:
        params = llama.llama_model_default_params()
        params.vocab_only = True
        path = folder / f"{len(loaded)}.gguf"
        write_tiny_model(path, "attention", chat_template=None, vocabulary=make_vocabulary(kind, (*marks, *ENDS)))
        handle = llama.llama_model_load_from_file(str(path).encode(), params)
        assert handle
        loaded.append(LlamaModel(llama, handle, path, mapped=False))
        return RawPromptTokenizer(loaded[-1]), loaded[-1]

    yield load
    for model in loaded:
        model.free()


def shown(model: LlamaModel, tokens: Sequence[int]) -> str:
    return "".join(model.token_text(token) for token in tokens)


@pytest.mark.parametrize(
    ("marks", "expected"),
    [
        (QWEN, "<|fim_prefix|>abc<|fim_suffix|>xyz<|fim_middle|>"),
        (GRANITE, "<fim_prefix>abc<fim_suffix>xyz<fim_middle>"),
        (DEEPSEEK, "<｜fim▁begin｜>abc<｜fim▁hole｜>xyz<｜fim▁end｜>"),
        (CODE_LLAMA, "▁<PRE>abc▁<SUF>xyz▁<MID>"),
        (MISTRAL, "[SUFFIX]xyz[PREFIX]abc"),
    ],
    ids=["qwen", "granite", "deepseek", "code llama", "mistral"],
)
async def test_prefix_and_suffix_stand_between_the_models_own_marks(
    tokenizers: Any, marks: Sequence[str], expected: str
) -> None:
    tokenizer, model = tokenizers(marks)
    prompt = tokenizer.tokenize_prompt(RawPrompt("abc", "xyz"))
    assert shown(model, prompt.tokens) == expected
    # Letters are one token each here, and each mark is one.
    assert len(prompt.tokens) == 6 + (2 if marks is MISTRAL else 3)
    assert shown(model, tokenizer.tokenize_prompt(RawPrompt("abc", "")).tokens) == expected.replace("xyz", "")


async def test_a_model_without_such_marks_refuses_a_suffix_by_name(tokenizers: Any) -> None:
    tokenizer, model = tokenizers(("<|fim_prefix|>", "<|fim_suffix|>"))
    with pytest.raises(NotSupported, match=model.name) as refused:
        tokenizer.tokenize_prompt(RawPrompt("abc", "xyz"))
    assert refused.value.field == "suffix"
    assert shown(model, tokenizer.tokenize_prompt(RawPrompt("abc")).tokens) == "abc"


async def test_a_client_may_put_the_marks_of_filling_in_together_itself(tokenizers: Any) -> None:
    tokenizer, _ = tokenizers(QWEN)
    written = tokenizer.tokenize_prompt(RawPrompt("<|fim_prefix|>abc<|fim_suffix|>xyz<|fim_middle|>"))
    assert written.tokens == tokenizer.tokenize_prompt(RawPrompt("abc", "xyz")).tokens
    files = tokenizer.tokenize_prompt(RawPrompt("<|repo_name|>r<|file_sep|>f"))
    assert len(files.tokens) == 4


async def test_control_texts_of_a_template_are_plain_text_in_a_raw_prompt(tokenizers: Any) -> None:
    for marks in ((), QWEN, MISTRAL):
        tokenizer, model = tokenizers(marks)
        tokens = tokenizer.tokenize_prompt(RawPrompt("<|im_start|>system<|im_end|>")).tokens
        assert shown(model, tokens) == "<|im_start|>system<|im_end|>"
        assert not set(tokens) & set(model.special_tokens.values())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", ["", "a", "  two  words \n", "café 日本 😀", "x" * 30_000])
async def test_every_text_has_a_token_to_begin_with(tokenizers: Any, kind: str, text: str) -> None:
    tokenizer, model = tokenizers((), kind)
    prompt = tokenizer.tokenize_prompt(RawPrompt(text))
    assert prompt.tokens
    assert (prompt.tokens[0] == model.bos_token) == (model.adds_bos or not text)
    assert prompt.history_tokens == prompt.turn_tokens == len(prompt.tokens)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LlamaEngine]:
    """A model of random weights, with marks of filling in, and with `<think>` as a word of its vocabulary."""
    path = tmp_path_factory.mktemp("tiny") / "tiny.gguf"
    marks = ("<|box|>", *QWEN, *ENDS)
    write_tiny_model(path, "attention", vocabulary=byte_pairs(user_defined=("<think>",), marks=marks))
    settings = LlamaSettings(context_tokens=512, threads=1, parallel=2, thinking=True)
    made = await LlamaEngine.load(path, settings)
    yield made
    await made.close()


async def _complete(
    engine: LlamaEngine, prompt: RawPrompt, key: str = "stateless:a", **sampling: Any
) -> tuple[str, Usage]:
    chosen = Sampling(**({"temperature": 0.0, "max_tokens": 8, "repeat_penalty": 1.0} | sampling))
    *pieces, usage = [item async for item in engine.complete(prompt, key, chosen)]
    assert isinstance(usage, Usage)
    assert all(isinstance(piece, str) and piece for piece in pieces)
    return "".join(map(str, pieces)), usage


def _token(engine: LlamaEngine, text: str) -> int:
    special: dict[str, int] = engine._loaded.model.special_tokens
    return special[text] if text in special else engine._loaded.model.tokenize(text, parse_control=False)[0]


async def test_a_raw_prompt_has_the_tokens_of_its_text_and_no_template(engine: LlamaEngine) -> None:
    _, usage = await _complete(engine, RawPrompt("abcdef"))
    assert usage.prompt_tokens == 6
    _, usage = await _complete(engine, RawPrompt("abc", "def"))
    assert usage.prompt_tokens == 9


async def test_the_state_of_a_raw_prompt_is_reused_for_its_own_key_only(engine: LlamaEngine) -> None:
    text = "for each box on the shelf of the cellar there is a line in the list of boxes, "
    first, _ = await _complete(engine, RawPrompt(text), "stateless:b")
    again, usage = await _complete(engine, RawPrompt(text), "stateless:b")
    assert usage.reused_tokens > len(text) // 2
    other, usage = await _complete(engine, RawPrompt(text), "stateless:c")
    assert usage.reused_tokens == 0
    assert first == again == other


async def test_marks_of_thinking_are_text_in_a_continued_text(engine: LlamaEngine) -> None:
    think = _token(engine, "<think>")
    text, usage = await _complete(engine, RawPrompt("abc"), logit_bias={think: 100.0})
    assert text == "<think>" * 8
    assert usage.thinking_tokens == 0
    _, usage = await _complete(engine, RawPrompt("abc<think>"))
    assert usage.thinking_tokens == 0
    # In an answer of the same engine they are marks.
    sampling = Sampling(temperature=0.0, max_tokens=4, logit_bias={think: 100.0})
    *_, usage_of_answer = [item async for item in engine.stream(Prompt("", (), "abc"), "room", sampling)]
    assert isinstance(usage_of_answer, Usage)
    assert usage_of_answer.thinking_tokens > 0


async def test_control_tokens_are_no_part_of_a_continued_text(engine: LlamaEngine) -> None:
    text, usage = await _complete(engine, RawPrompt("abc"), logit_bias={_token(engine, "<|box|>"): 100.0})
    assert (text, usage.finish, usage.generated_tokens) == ("", "length", 8)
    text, usage = await _complete(engine, RawPrompt("abc"), logit_bias={_token(engine, "<|im_end|>"): 100.0})
    assert (text, usage.finish, usage.generated_tokens) == ("", "stop", 0)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
async def test_a_bias_demands_and_forbids_tokens(engine: LlamaEngine, temperature: float) -> None:
    demanded = {_token(engine, "q"): 100.0}
    text, usage = await _complete(engine, RawPrompt("abc"), temperature=temperature, logit_bias=demanded)
    assert (text, usage.finish) == ("q" * 8, "length")
    letters = {_token(engine, letter): 100.0 for letter in "qz"}
    only, _ = await _complete(engine, RawPrompt("abc"), temperature=temperature, logit_bias=letters)
    assert set(only) <= set("qz")
    forbidden = {**letters, _token(engine, "q"): -100.0}
    text, _ = await _complete(engine, RawPrompt("abc"), temperature=temperature, logit_bias=forbidden)
    assert text == "z" * 8


async def test_a_schema_is_followed_whatever_the_bias(engine: LlamaEngine) -> None:
    letters = {_token(engine, letter): 100.0 for letter in "qz{"}
    digits = {_token(engine, digit): -100.0 for digit in "0123456789"}
    sampling = Sampling(
        temperature=0.0, max_tokens=20, logit_bias=letters | digits, json_schema={"type": "integer", "minimum": 10}
    )
    prompt = Prompt("", (), "How many?", "none")
    items = [item async for item in engine.stream(prompt, "room", sampling)]
    answer = "".join(item for item in items if isinstance(item, str))
    assert answer.isdigit()
    assert int(answer) >= 10


@pytest.mark.parametrize("token", [-1, 100_000, 1 << 70])
async def test_a_bias_of_no_token_of_the_vocabulary_is_refused(engine: LlamaEngine, token: int) -> None:
    with pytest.raises(NotSupported, match=str(token)) as refused:
        await _complete(engine, RawPrompt("abc"), logit_bias={token: 1.0})
    assert refused.value.field == "logit_bias"
    assert (await _complete(engine, RawPrompt("abc")))[1].generated_tokens <= 8


async def test_a_text_that_leaves_no_room_is_refused(engine: LlamaEngine) -> None:
    with pytest.raises(PromptTooLong) as refused:
        await _complete(engine, RawPrompt("a" * 300, "b" * 300))
    assert refused.value.prompt_tokens == 603


async def test_stop_strings_end_a_continued_text(engine: LlamaEngine) -> None:
    text, usage = await _complete(
        engine, RawPrompt("abc"), logit_bias={_token(engine, "q"): 100.0}, stop=("qqq",), max_tokens=20
    )
    assert (text, usage.finish) == ("", "stop")
