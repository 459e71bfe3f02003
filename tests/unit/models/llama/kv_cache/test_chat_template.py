import json
import re
from pathlib import Path
from typing import Any

import pytest

from models.engine import EngineFailed, ModelUnusable, ReasoningEffort, Turn
from models.llama.kv_cache.builtin_template import BuiltinTemplate, builtin_families, family_of_vocabulary
from models.llama.kv_cache.chat_template import ChatTemplate, RenderOptions
from models.llama.settings import LlamaSettings
from models.thinking_marks import find_thinking_marks

_PLAIN = (
    "{{ bos_token }}{% for m in messages %}[{{ m['role'] }}]{{ m['content'] }}{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)
_WITHOUT_SYSTEM = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    "{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('order') }}"
    "{% endif %}[{{ m['role'] }}]{{ m['content'] }}{% endfor %}"
)


class _Letters:
    """Fake model: its tokens are the characters, `<s>` and `<end>` are control tokens."""

    name = "letters.gguf"
    path = Path("letters.gguf")
    bos_token = 0
    eos_text = "<end>"

    def __init__(self, template: str | None, *special: str, adds_bos: bool = False) -> None:
        self.chat_template = template
        self.adds_bos = adds_bos
        self.special_tokens = {text: number for number, text in enumerate(("<s>", "<end>", "<end>x", *special))}
        self.thinking_marks = find_thinking_marks(self.special_tokens, template or "")

    def token_text(self, token: int) -> str:
        return "<s>" if token == 0 else ""

    def use_template(self, text: str) -> None:
        self.thinking_marks = find_thinking_marks(self.special_tokens, text)

    def control_texts(self) -> list[str]:
        return list(self.special_tokens)

    def tokenize(self, text: str, parse_control: bool) -> list[int]:
        assert parse_control
        return [0 if text.startswith("<s>") else ord(text[0]), *map(ord, text[1:])]


def _template(template: str | None, *special: str, adds_bos: bool = False, **settings: Any) -> ChatTemplate:
    model: Any = _Letters(template, *special, adds_bos=adds_bos)
    return ChatTemplate(model, LlamaSettings(**settings))


def _text(template: ChatTemplate, *turns: Turn, effort: ReasoningEffort | None = None) -> str:
    return template.render_turns(turns or _TURNS, RenderOptions(effort)).text


_TURNS = (Turn("system", "Be brief."), Turn("user", "Where?"), Turn("assistant", "There."), Turn("user", "Sure?"))


def test_the_files_own_template_renders_the_turns() -> None:
    assert _template(_PLAIN).render_turns(_TURNS).text == (
        "<s>[system]Be brief.[user]Where?[assistant]There.[user]Sure?[assistant]"
    )


def test_a_template_without_system_turns_gets_the_instructions_in_the_first_question() -> None:
    assert _template(_WITHOUT_SYSTEM).render_turns(_TURNS).text.startswith("[user]Be brief.\n\nWhere?[assistant]")


def test_turns_of_one_role_in_a_row_become_one() -> None:
    turns = (Turn("user", "One."), Turn("user", "Two."), Turn("assistant", "Yes."), Turn("user", "Three."))
    assert _template(_WITHOUT_SYSTEM).render_turns(turns).text == "[user]One.\n\nTwo.[assistant]Yes.[user]Three."


def test_a_history_that_begins_with_an_answer_gets_a_question_before_it() -> None:
    turns = (Turn("assistant", "Yes."), Turn("user", "Three."))
    assert _template(_WITHOUT_SYSTEM).render_turns(turns).text == "[user]…[assistant]Yes.[user]Three."


@pytest.mark.parametrize(("template", "reason"), [(None, "it has none"), ("{% for broken", "its own is broken")])
def test_without_a_usable_template_the_vocabulary_tells_the_family_and_the_log_says_so(
    template: str | None, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    chatml = _template(template)
    assert _text(chatml).startswith("<|im_start|>system\nBe brief.<|im_end|>\n")
    assert _text(chatml).endswith("<|im_start|>assistant\n")
    assert f"Using llama.cpp's chat template chatml, by the vocabulary of letters.gguf: {reason}" in caplog.text
    assert "model.llama.chat_template" in caplog.text
    assert reason in chatml.description
    gemma = _template(template, "<start_of_turn>")
    assert _text(gemma).endswith("<start_of_turn>model\n")


def test_a_broken_template_of_a_family_that_llama_cpp_recognises_is_rendered_by_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    broken = _template("{% for broken <|start_header_id|> <|end_header_id|> <|eot_id|>")
    assert "<|start_header_id|>user<|end_header_id|>" in _text(broken)
    assert "Could not read the chat template of letters.gguf" in caplog.text
    assert "broken one in the model file" in broken.description


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{{ foo() }}", "'foo' is undefined"),
        ("{{ raise_exception('never') }}", "never"),
        ("{{ messages[99]['content'] }}", "99"),
        ("{{ 1 / 0 }}", "division by zero"),
        ("{{ messages.__class__.__mro__[1].__subclasses__() }}", "unsafe"),
    ],
)
def test_a_template_that_fails_on_every_question_is_refused_at_load(template: str, reason: str) -> None:
    with pytest.raises(ModelUnusable, match="fails on every question") as refused:
        _template(template)
    assert reason in str(refused.value)
    assert "model.llama.chat_template" in str(refused.value)


def test_a_template_without_the_question_is_refused_at_load() -> None:
    with pytest.raises(ModelUnusable, match="leaves the question out"):
        _template("Hello.")


def test_a_template_that_fails_on_a_second_question_is_told_at_load(caplog: pytest.LogCaptureFixture) -> None:
    template = _template(
        "{% if messages | length > 1 %}{{ raise_exception('once') }}{% endif %}{{ messages[0].content }}"
    )
    assert "Could not render a second question" in caplog.text
    assert "fails on a second question: once" in template.description
    with pytest.raises(EngineFailed, match=r"chat template of letters\.gguf fails: once"):
        template.render_turns(_TURNS)


def test_another_template_can_be_named_in_the_config(tmp_path: Path) -> None:
    path = tmp_path / "other.jinja"
    path.write_text("{% for m in messages %}({{ m.role }}){{ m.content }}{% endfor %}")
    assert _text(_template("{{ foo() }}", chat_template=str(path))).startswith("(system)Be brief.(user)Where?")
    assert "<|start_header_id|>user" in _text(_template("{{ foo() }}", chat_template="llama3"))


def test_a_named_template_that_is_missing_or_broken_is_refused_with_the_choices(tmp_path: Path) -> None:
    with pytest.raises(ModelUnusable, match=r"No such file.*chatml, .*llama3"):
        _template(_PLAIN, chat_template=str(tmp_path / "none.jinja"))
    with pytest.raises(ModelUnusable, match=r"template lama3 is not known.*llama3"):
        _template(_PLAIN, chat_template="lama3")
    (tmp_path / "broken.jinja").write_text("{% for")
    with pytest.raises(ModelUnusable, match=r"broken\.jinja is not valid"):
        _template(_PLAIN, chat_template=str(tmp_path / "broken.jinja"))
    (tmp_path / "bytes.jinja").write_bytes(b"\xff\xfe")
    with pytest.raises(ModelUnusable, match="no text in UTF-8"):
        _template(_PLAIN, chat_template=str(tmp_path / "bytes.jinja"))


@pytest.mark.parametrize(
    "tools",
    [
        "{% if tools is not none %}{{ raise_exception('tools') }}{% endif %}",
        "{% if tools is defined %}{{ raise_exception('tools') }}{% endif %}",
        "{% for tool in tools %}{{ tool.name }}{% endfor %}",
        "{{ tools | length }}",
        "{{ functions | tojson }}",
        "{% if not (tools is defined and tools is iterable) %}{{ raise_exception('no list') }}{% endif %}",
    ],
)
def test_a_template_gets_no_tools_in_the_way_that_it_can_take(tools: str) -> None:
    assert "Where?" in _text(_template(tools + _PLAIN))


def test_texts_cannot_pose_as_control_tokens() -> None:
    text = _template(_PLAIN).render_turns((Turn("user", "a <end> b <end>x c <s> d <other>"),)).text
    assert text == "<s>[user]a < end> b < end>x c < s> d <other>[assistant]"


def test_the_beginning_of_sequence_token_stands_once() -> None:
    assert _template(_PLAIN, adds_bos=True).render_turns(_TURNS).tokens.count(0) == 1
    assert _template(_WITHOUT_SYSTEM, adds_bos=True).render_turns(_TURNS).tokens[0] == 0
    assert 0 not in _template(_WITHOUT_SYSTEM).render_turns(_TURNS).tokens


def test_thinking_is_asked_for_or_not() -> None:
    for name in ("enable_thinking", "thinking"):
        template = f"{{% if {name} %}}think{{% else %}}answer{{% endif %}}{{{{ messages[0]['content'] }}}}"
        assert _text(_template(template)).startswith("answer")
        assert _text(_template(template, thinking=True)).startswith("think")
        assert _text(_template(template), effort="low").startswith("think")
        assert _text(_template(template, thinking=True), effort="none").startswith("answer")


@pytest.mark.parametrize(
    ("known", "shown"),
    [
        ((), {None: "low", "none": "low", "low": "low", "medium": "medium", "high": "high"}),  # as gpt-oss
        (("none", "high"), {None: "none", "none": "none", "low": "high", "medium": "high", "high": "high"}),  # Mistral
    ],
)
def test_an_effort_has_the_name_that_the_template_knows(
    known: tuple[str, ...], shown: dict[ReasoningEffort | None, str]
) -> None:
    check = f"{{% if reasoning_effort not in {json.dumps(known)} %}}{{{{ raise_exception('effort') }}}}{{% endif %}}"
    default = "{% if reasoning_effort is not defined %}{% set reasoning_effort = 'high' %}{% endif %}"
    template = _template(default + (check if known else "") + "{{ reasoning_effort }}:{{ messages[-1].content }}")
    assert {effort: _text(template, effort=effort).split(":")[0] for effort in shown} == shown


def test_thinking_that_a_template_always_opens_is_closed_when_it_is_off() -> None:
    always = _PLAIN.replace("[assistant]", "[assistant]<think>\n")
    assert _text(_template(always)).endswith("[assistant]<think>\n\n</think>\n\n")
    assert _text(_template(always, thinking=True)).endswith("[assistant]<think>\n")
    assert _text(_template(always), effort="high").endswith("[assistant]<think>\n")


def test_a_model_that_thinks_under_a_template_without_its_marks_may_begin_inside_the_thinking() -> None:
    assert _template(_PLAIN, "<think>", "</think>").may_think_silently
    assert not _template(_PLAIN + "{# </think> #}", "<think>", "</think>").may_think_silently
    assert not _template(_PLAIN).may_think_silently


def test_arguments_of_the_template_come_from_the_config(caplog: pytest.LogCaptureFixture) -> None:
    template = "{{ tone }}{{ enable_thinking }}{{ messages[-1]['content'] }}"
    arguments = {"tone": "kind", "enable_thinking": True, "nothing": 1}
    assert _text(_template(template, template_arguments=arguments)) == "kindTrueSure?"
    assert "Could not apply template_arguments.nothing" in caplog.text
    assert "template_arguments.tone" not in caplog.text


@pytest.mark.parametrize("name", ["messages", "add_generation_prompt", "not a name"])
def test_arguments_that_the_engine_sets_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"set by the engine|no name of a variable"):
        LlamaSettings(template_arguments={name: 1})


FAMILIES = [
    "bailing",
    "bailing-think",
    "bailing2",
    "chatglm3",
    "chatglm4",
    "chatml",
    "command-r",
    "deepseek",
    "deepseek-ocr",
    "deepseek2",
    "deepseek3",
    "exaone-moe",
    "exaone3",
    "exaone4",
    "falcon3",
    "gemma",
    "gigachat",
    "glmedge",
    "gpt-oss",
    "granite",
    "granite-4.0",
    "granite-4.1",
    "grok-2",
    "hunyuan-dense",
    "hunyuan-moe",
    "hunyuan-vl",
    "kimi-k2",
    "llama2",
    "llama2-sys",
    "llama2-sys-bos",
    "llama2-sys-strip",
    "llama3",
    "llama4",
    "megrez",
    "minicpm",
    "mistral-v1",
    "mistral-v3",
    "mistral-v3-tekken",
    "mistral-v7",
    "mistral-v7-tekken",
    "monarch",
    "openchat",
    "orion",
    "pangu-embedded",
    "phi3",
    "phi4",
    "rwkv-world",
    "seed_oss",
    "smolvlm",
    "solar-open",
    "vicuna",
    "vicuna-orca",
    "yandex",
    "zephyr",
]
"""The families of llama-chat.cpp."""


def test_all_families_of_llama_cpp_are_known() -> None:
    assert list(builtin_families()) == FAMILIES


_MARK = re.compile(r"<+[^<>]+>+|\[[^\[\]\s]+\]|(?:#+ )?[^\W\d_][\w ]*[:：](?=\s|$)")


@pytest.mark.parametrize("family", FAMILIES)
def test_no_text_forges_the_marks_of_a_family(family: str) -> None:
    template = _template(None, chat_template=family)
    turns = [("system", "Be brief"), ("user", "Where"), ("assistant", "There"), ("user", "Sure")]
    honest = BuiltinTemplate(family).render([{"role": role, "content": text} for role, text in turns])
    forged = "".join(dict.fromkeys(_MARK.findall(honest)))
    for place in ("Read this:\n{}", "{}", "report {}.pdf says", "Alex {} asks"):
        text = _text(template, *(Turn(role, f"{place.format(forged)} {said}") for role, said in turns))  # type: ignore[arg-type]
        assert _marks(text, honest) == _marks(honest, honest), forged


def _marks(text: str, honest: str) -> dict[str, int]:
    return {mark: text.count(mark) for mark in _MARK.findall(honest)}


@pytest.mark.parametrize(
    ("special", "family"),
    [
        (("<|im_start|>", "<|im_end|>"), "chatml"),
        (("<|start|>", "<|channel|>"), "gpt-oss"),
        (("<start_of_turn>",), "gemma"),
        (("[INST]", "[/INST]"), "mistral-v3"),
        ((), "chatml"),
    ],
)
def test_the_family_of_a_vocabulary(special: tuple[str, ...], family: str) -> None:
    assert family_of_vocabulary(special) == family


def test_a_family_renders_texts_of_any_length_and_character() -> None:
    long = "x" * 5_000 + "\0" + "日" * 5_000 + "\ud800 end"
    text = _text(_template(None, chat_template="llama3"), Turn("user", long))
    assert "x日" in text
    assert "? end<|eot_id|>" in text


def test_words_of_a_template_that_are_no_roles_are_not_broken_up_in_texts() -> None:
    template = _template("Date: 2026-12-01\nNote: be brief\n" + _PLAIN)
    assert "Date: today\nNote: none, User: me" in _text(template, Turn("user", "Date: today\nNote: none, User: me"))
