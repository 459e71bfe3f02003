"""A template that prints the date: which date a prompt gets."""

from datetime import date, timedelta

import pytest

from models.engine import STATELESS_PREFIX, Prompt, Turn
from models.llama.kv_cache.cache_keys import CacheKey, cache_key_of
from models.llama.kv_cache.chat_template import RenderedPrompt, RenderOptions
from models.llama.kv_cache.dated_prompts import DatedPrompts
from models.llama.kv_cache.template_clock import TemplateClock
from models.llama.kv_cache.tokenized_prompt import PromptTokenizer

_ANNA, _API = cache_key_of("anna"), cache_key_of(f"{STATELESS_PREFIX}api:editor")
_HISTORY = (Turn("user", "Where is the ladder?"), Turn("assistant", "Behind the shed."))
_TODAY = date.today()
_YESTERDAY = _TODAY - timedelta(days=1)


class _DatedLetters:
    """Fake chat template: the date, if it prints one, then turns in brackets; a token for each letter."""

    def __init__(self, clock: TemplateClock, prints_date: bool = True) -> None:
        self._clock = clock
        self._prints_date = prints_date

    def render_turns(self, turns: tuple[Turn, ...], options: RenderOptions) -> RenderedPrompt:
        del options
        text = self._clock.strftime_now("%Y-%m-%d ") if self._prints_date else ""
        text += "".join(f"[{turn.role[0]}:{turn.text}]" for turn in turns) + "[a:"
        return RenderedPrompt(text, [ord(letter) for letter in text])


class _States:
    """Fake prefix cache: the states of each key."""

    def __init__(self) -> None:
        self.states: dict[CacheKey, list[tuple[int, list[int]]]] = {}

    def cached_prompts(self, cache_key: CacheKey) -> list[tuple[int, list[int]]]:
        return self.states.get(cache_key, [])


def _dated_prompts(states: _States, prints_date: bool = True) -> DatedPrompts:
    clock = TemplateClock()
    tokenizer = PromptTokenizer(_DatedLetters(clock, prints_date))  # type: ignore[arg-type]
    return DatedPrompts(tokenizer, clock, states)  # type: ignore[arg-type]


def _state_of(day: date, text: str) -> tuple[int, list[int]]:
    return day.toordinal(), [ord(letter) for letter in f"{day:%Y-%m-%d} {text}"]


def _text(tokens: list[int]) -> str:
    return "".join(map(chr, tokens))


@pytest.mark.parametrize("cache_key", [_ANNA, _API])
def test_a_conversation_keeps_the_date_of_its_state(cache_key: CacheKey) -> None:
    states = _States()
    states.states[cache_key] = [_state_of(_YESTERDAY, "[s:S][u:Where is the ladder?][a:")]
    prompt = _dated_prompts(states).tokenize_prompt(Prompt("S", _HISTORY, "And now?"), cache_key)
    assert _text(prompt.tokens).startswith(f"{_YESTERDAY:%Y-%m-%d} [s:S]")
    assert prompt.day == _YESTERDAY.toordinal()
    head = _dated_prompts(states).tokenize_head(Prompt("S", _HISTORY, ""), cache_key)
    assert head.tokens == prompt.tokens[: prompt.history_tokens]


def test_a_new_conversation_gets_todays_date_also_where_another_began_alike() -> None:
    states = _States()
    states.states[_API] = [_state_of(_YESTERDAY, "[s:A long text for the system.][u:")]
    prompt = _dated_prompts(states).tokenize_prompt(Prompt("A long text for the system.", (), "Hello?"), _API)
    assert prompt.day == _TODAY.toordinal()
    assert prompt.system_tokens == len(f"{_TODAY:%Y-%m-%d} [s:A long text for the system.][u:")


def test_the_state_of_another_key_changes_no_date() -> None:
    states = _States()
    states.states[_API] = [_state_of(_YESTERDAY, "[s:S][u:Where is the ladder?][a:")]
    assert _dated_prompts(states).tokenize_prompt(Prompt("S", _HISTORY, "?"), _ANNA).day == _TODAY.toordinal()


def test_of_several_states_the_longest_beginning_decides() -> None:
    states = _States()
    older = _YESTERDAY - timedelta(days=3)
    states.states[_API] = [
        _state_of(older, "[s:S][u:Where is the ladder?][a:Behind the shed.][u:"),
        _state_of(_YESTERDAY, "[s:S][u:Where is the ladder?][a:"),
    ]
    assert _dated_prompts(states).tokenize_prompt(Prompt("S", _HISTORY, "?"), _API).day == older.toordinal()


def test_a_template_without_a_date_is_rendered_once() -> None:
    states = _States()
    states.states[_ANNA] = [_state_of(_YESTERDAY, "[s:S][u:")]
    prompt = _dated_prompts(states, prints_date=False).tokenize_prompt(Prompt("S", _HISTORY, "?"), _ANNA)
    assert prompt.day == 0
    assert _text(prompt.tokens).startswith("[s:S]")


def test_the_clock_tells_today_until_it_is_set() -> None:
    clock = TemplateClock()
    assert clock.strftime_now("%d") in {date.today().strftime("%d"), _TODAY.strftime("%d")}
    clock.day = date(2024, 2, 29)
    assert clock.strftime_now("%d %b %Y") == "29 Feb 2024"
    assert clock.was_read
