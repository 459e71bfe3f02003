import pytest

from models.engine import EngineFailed, Turn
from models.llama.kv_cache.chat_template import ChatTemplate

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

    class path:  # noqa: N801
        name = "letters.gguf"

    bos_token = 0
    eos_text = "<end>"

    def __init__(self, template: str | None, adds_bos: bool = False) -> None:
        self.chat_template = template
        self.adds_bos = adds_bos

    def token_text(self, token: int) -> str:
        return "<s>" if token == 0 else ""

    def control_texts(self) -> list[str]:
        return ["<s>", "<end>", "<end>x"]

    def tokenize(self, text: str, parse_control: bool) -> list[int]:
        assert parse_control
        return [0 if text.startswith("<s>") else ord(text[0]), *map(ord, text[1:])]


def _template(template: str | None, thinking: bool = False, adds_bos: bool = False) -> ChatTemplate:
    return ChatTemplate(_Letters(template, adds_bos), thinking)  # type: ignore[arg-type]


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


@pytest.mark.parametrize("template", [None, "{% for broken"])
def test_without_a_usable_template_turns_are_written_as_chatml(template: str | None) -> None:
    text = _template(template).render_turns(_TURNS).text
    assert text.startswith("<|im_start|>system\nBe brief.<|im_end|>\n")
    assert text.endswith("<|im_start|>assistant\n")


def test_texts_cannot_pose_as_control_tokens() -> None:
    text = _template(_PLAIN).render_turns((Turn("user", "a <end> b <end>x c <s> d <other>"),)).text
    assert text == "<s>[user]a < end> b < end>x c < s> d <other>[assistant]"


def test_the_beginning_of_sequence_token_stands_once() -> None:
    assert _template(_PLAIN, adds_bos=True).render_turns(_TURNS).tokens.count(0) == 1
    assert _template(_WITHOUT_SYSTEM, adds_bos=True).render_turns(_TURNS).tokens[0] == 0
    assert 0 not in _template(_WITHOUT_SYSTEM).render_turns(_TURNS).tokens


def test_thinking_is_asked_for_or_not() -> None:
    template = "{% if enable_thinking %}think{% else %}answer{% endif %}{{ messages[0]['content'] }}"
    assert _template(template).render_turns(_TURNS).text.startswith("answer")
    assert _template(template, thinking=True).render_turns(_TURNS).text.startswith("think")


@pytest.mark.parametrize("template", ["{{ raise_exception('never') }}", "{{ messages[99]['content'] }}", "{{ 1 / 0 }}"])
def test_a_template_that_refuses_the_turns_fails_with_a_sentence(template: str) -> None:
    with pytest.raises(EngineFailed, match=r"chat template of letters\.gguf fails"):
        _template(template).render_turns(_TURNS)


def test_a_template_cannot_reach_into_the_program() -> None:
    with pytest.raises(EngineFailed, match="unsafe"):
        _template("{{ messages.__class__.__mro__[1].__subclasses__() }}").render_turns(_TURNS)
