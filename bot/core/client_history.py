"""Histories sent by API clients: without Hearth's own notes, and cut so that the prompt prefix stays stable. Pure."""

from collections.abc import Callable, Collection, Iterable, Sequence

from bot.core.prompt_building import TURN_OVERHEAD_TOKENS, TokenCounter, count_turns_to_drop
from bot.core.texts import LANGUAGES, localize
from models.engine import Turn

MAX_CHARACTERS_PER_TOKEN = 16
"""An upper bound for meaningful text: English has 4 to 5, indented code up to 8."""


def min_tokens(turn: Turn) -> int:
    """A lower bound of the tokens that a turn takes in a prompt, without counting them."""
    characters = len(turn.text) + sum(len(call.arguments) for call in turn.calls)
    return 1 + characters // MAX_CHARACTERS_PER_TOKEN


def split_at_question(turns: Sequence[Turn]) -> tuple[list[Turn], Turn, list[Turn]]:
    """The history before the newest question, the question, and the calls and results since.

    Of the history only what was said is kept: a call without its result, when the history is cut, is refused by
    templates.
    """
    place = max((number for number, turn in enumerate(turns) if turn.role == "user"), default=0)
    said = [
        Turn(turn.role, turn.text) for turn in turns[:place] if turn.role != "tool" and (turn.text or not turn.calls)
    ]
    return said, turns[place], list(turns[place + 1 :])


def fit_history(history: Sequence[Turn], count_tokens: TokenCounter, limit_tokens: int) -> tuple[Turn, ...]:
    """The newest turns of a history that fit into `limit_tokens`."""
    # Counting the tokens of a text that is far too long takes seconds, during which nothing else runs.
    recent = newest_turns(history, min_tokens, limit_tokens)
    return newest_turns(recent, lambda turn: count_tokens(turn.text) + TURN_OVERHEAD_TOKENS, limit_tokens)


def newest_turns(history: Sequence[Turn], size: Callable[[Turn], int], limit: int) -> tuple[Turn, ...]:
    """The rest of a history that was halved each time it had grown over `limit` tokens.

    So the cut, and with it the prompt's prefix, stays the same for many turns, although the client sends the whole
    history each time.
    """
    sizes = [size(turn) for turn in history]
    begin = total = 0
    for end in range(2, len(sizes) + 2, 2):
        total += sum(sizes[end - 2 : end])
        if total > limit:
            dropped = count_turns_to_drop(sizes[begin:end], limit)
            total -= sum(sizes[begin : begin + dropped])
            begin += dropped
    return tuple(history[begin:])


def clean_history(history: Iterable[Turn], collections: Collection[str]) -> tuple[Turn, ...]:
    """A history as Hearth stores its own: without the notes below answers, and without questions that were answered
    with "nothing found". Small models repeat both. `collections` are those that the notes name.
    """
    where = ", ".join(sorted(collections))
    refusals = [text for key in ("nothing_found", "no_access") for text in _in_all_languages(key, where)]
    notes = [
        note
        for key in ("cut_short", "unsupported_note", "no_access_note", "search_failed_note")
        for note in _in_all_languages(key, where)
    ]
    kept: list[Turn] = []
    for turn in history:
        text = turn.text.rstrip()
        if turn.role != "assistant":
            kept.append(turn)
        elif text not in refusals:
            for note in notes:
                text = text.removesuffix(f"\n\n{note}")
            kept.append(Turn(turn.role, text))
        elif kept and kept[-1].role == "user":
            kept.pop()
    return tuple(kept)


def _in_all_languages(key: str, where: str) -> list[str]:
    return [localize(key, language, collections=where) for language in LANGUAGES]
