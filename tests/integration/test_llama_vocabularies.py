"""Every kind of vocabulary and every family of templates that llama.cpp knows: answers come, and nothing is forged."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from models.engine import Prompt, Sampling, Turn, Usage
from models.llama.engine import LlamaEngine
from models.llama.kv_cache.builtin_template import builtin_families
from models.llama.kv_cache.chat_template import ChatTemplate
from models.llama.native.libllama import llama_library
from models.llama.native.model import LlamaModel
from models.llama.settings import LlamaSettings
from tests.fakes.tiny_gguf import write_tiny_model
from tests.fakes.tiny_vocabulary import KINDS, byte_pairs, make_vocabulary

ROOT = Path(__file__).parents[2]
SETTINGS = LlamaSettings(context_tokens=512, threads=1, parallel=2, thinking=False)
GREEDY = Sampling(temperature=0.0, max_tokens=12)
HISTORY = (Turn("user", "Where is it?"), Turn("assistant", "On the shelf."))
TURNS = (Turn("system", "Be brief."), *HISTORY, Turn("user", "Sure?"))
PLACES = ("{}", "The document {} says: open", "Alex {} asks", "report{}.pdf\nis a file\n{}")

TYPES = {"spm": 1, "bpe": 2, "gemma4": 2, "wpm": 3, "ugm": 4, "rwkv": 5, "plamo2": 6}
"""llama_vocab_type of llama.h."""


@pytest.mark.parametrize("kind", KINDS)
async def test_a_model_of_each_kind_answers_streams_and_can_be_cancelled(tmp_path: Path, kind: str) -> None:
    path = write_tiny_model(tmp_path / "tiny.gguf", "attention", vocabulary=make_vocabulary(kind))
    engine = await LlamaEngine.load(path, SETTINGS)
    model = engine._loaded.model
    assert llama_library().llama_vocab_type(model.vocab) == TYPES[kind]
    prompt = Prompt("Be brief.", HISTORY, "Where is the café, 日本 😀?")
    answers = []
    for _ in range(2):
        *pieces, usage = [item async for item in engine.stream(prompt, "room", GREEDY)]
        assert isinstance(usage, Usage)
        assert 0 <= usage.generated_tokens <= 12
        answers.append("".join(map(str, pieces)))
    assert answers[0] == answers[1]
    async with aclosing(engine.stream(prompt, "room", Sampling(max_tokens=200))) as stream:
        await anext(stream)
    await engine.drop_state("room")
    assert engine.count_tokens("a box") > 0
    _require_unforged(engine._loaded.template, model)
    await engine.close()


def _require_unforged(template: ChatTemplate, model: LlamaModel) -> None:
    """The number of special tokens in a prompt is that of its template, whatever its texts say."""
    special = {token: text for text, token in model.special_tokens.items() if text in model.control_texts()}
    forged = "".join(special.values())
    honest = _special_tokens(template, TURNS, special)
    for place in PLACES:
        turns = [Turn(turn.role, place.replace("{}", forged) + " " + turn.text) for turn in TURNS]
        attacked = _special_tokens(template, turns, special)
        unknown = "<unk>" in special.values() or "[UNK]" in special.values()
        assert _without_unknown(attacked) == _without_unknown(honest) if unknown else attacked == honest


def _special_tokens(template: ChatTemplate, turns: Any, special: dict[int, str]) -> list[str]:
    return [special[token] for token in template.render_turns(turns).tokens if token in special]


def _without_unknown(texts: list[str]) -> list[str]:
    """Unknown letters are such tokens too, and no delimiters."""
    return [text for text in texts if text.strip("<>[]|plamo:").lower() != "unk"]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Loads vocabularies without weights."""
    llama, folder = llama_library(), tmp_path_factory.mktemp("vocabularies")
    loaded: list[LlamaModel] = []

    def load(family: str, marks: list[str]) -> LlamaModel:
        params = llama.llama_model_default_params()
        params.vocab_only = True
        path = folder / f"{family}.gguf"
        write_tiny_model(path, "attention", chat_template=None, vocabulary=byte_pairs(marks=marks))
        handle = llama.llama_model_load_from_file(str(path).encode(), params)
        assert handle
        loaded.append(LlamaModel(llama, handle, path, mapped=False))
        return loaded[-1]

    yield load
    for model in loaded:
        model.free()


_MARK = re.compile(r"<[|｜]?[^<>\s]+[|｜]?>|\[[^\[\]\s]+\]")


@pytest.mark.parametrize("family", builtin_families())
def test_texts_forge_no_token_of_a_family_of_templates(models: Any, family: str) -> None:
    settings = LlamaSettings(chat_template=family)
    text = ChatTemplate(models(family, ["<|none|>", "<|end|>"]), settings).render_turns(TURNS).text
    marks = [*dict.fromkeys(_MARK.findall(text)), "<|none|>", "<|end|>"]
    model = models(family, list(dict.fromkeys(marks)))
    _require_unforged(ChatTemplate(model, settings), model)


CHILD = """
import resource, sys
from pathlib import Path
from models.llama.native.libllama import llama_library
from models.llama.native.model import LlamaModel
from tests.fakes.tiny_gguf import write_tiny_model
from tests.fakes.tiny_vocabulary import KINDS, make_vocabulary
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
llama = llama_library()
params = llama.llama_model_default_params()
params.vocab_only = True
for kind in KINDS:
    path = write_tiny_model(Path(sys.argv[1]) / "tiny.gguf", "attention", vocabulary=make_vocabulary(kind))
    model = LlamaModel(llama, llama.llama_model_load_from_file(str(path).encode(), params), path, False)
    for run in ["a", " ", "\\n", "7", "日", "😀", "!", "e\\u0301", "\\u0301", "▁", "<0x0A>", "\\x00", "\\ud800"]:
        print("now", kind, repr(run), flush=True)
        assert model.tokenize("word " + run * (100_000 // len(run)) + " word", parse_control=True)
    model.free()
print("done")
"""


def test_a_hundred_thousand_characters_of_a_class_kill_no_kind_of_vocabulary(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CHILD, str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=900, check=False)
    lines = ended.stdout.splitlines()
    assert (ended.returncode, lines[-1]) == (0, "done"), (lines[-1], ended.stderr[-300:])
