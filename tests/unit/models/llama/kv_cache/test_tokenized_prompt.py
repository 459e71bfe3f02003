from models.engine import Prompt, Turn
from models.llama.kv_cache.chat_template import RenderedPrompt, RenderOptions
from models.llama.kv_cache.tokenized_prompt import PromptTokenizer


class _Letters:
    """Fake chat template: a token for each letter, turns in brackets."""

    def render_turns(self, turns: tuple[Turn, ...], options: RenderOptions) -> RenderedPrompt:
        text = "".join(f"[{turn.role[0]}:{turn.text}]" for turn in turns) + "[a:"
        return RenderedPrompt(text, [ord(letter) for letter in text])


_TOKENIZER = PromptTokenizer(_Letters())  # type: ignore[arg-type]
_HISTORY = (Turn("user", "Where?"), Turn("assistant", "There."))


def _text(tokens: list[int]) -> str:
    return "".join(map(chr, tokens))


def test_a_prompt_is_read_with_the_places_where_others_begin_alike() -> None:
    prompt = _TOKENIZER.tokenize_prompt(Prompt("Be brief.", _HISTORY, "And now?"))
    assert _text(prompt.tokens) == "[s:Be brief.][u:Where?][a:There.][u:And now?][a:"
    assert _text(prompt.tokens[: prompt.system_tokens]) == "[s:Be brief.][u:"
    assert _text(prompt.tokens[: prompt.history_tokens]) == "[s:Be brief.][u:Where?][a:There.][u:"
    assert prompt.text_end == prompt.text_end[-64:] == _text(prompt.tokens)[-64:]


def test_the_place_does_not_depend_on_how_the_question_begins() -> None:
    lengths = {
        _TOKENIZER.tokenize_prompt(Prompt("S", _HISTORY, tail)).history_tokens
        for tail in ("A", "1", "Ah", "1st", "x", "")
    }
    assert len(lengths) == 1


def test_without_a_system_prompt_nothing_is_shared() -> None:
    assert _TOKENIZER.tokenize_prompt(Prompt("", _HISTORY, "x")).system_tokens == 0


def test_another_system_prompt_is_noticed() -> None:
    first, second = (_TOKENIZER.tokenize_prompt(Prompt(system, (), "x")) for system in ("One", "Another"))
    assert (first.system_tokens, second.system_tokens) == (len("[s:One][u:"), len("[s:Another][u:"))


def test_a_head_is_what_every_question_after_it_begins_with() -> None:
    head = _TOKENIZER.tokenize_head(Prompt("S", _HISTORY, ""))
    assert _text(head.tokens) == "[s:S][u:Where?][a:There.][u:"
    assert head.history_tokens == len(head.tokens)
