"""Markdown of an answer as Discord's clients show it: code at any three backticks, no tables, no formulas."""

import re
from collections.abc import Callable, Iterator

from adapters.delivery.code_fences import Fence, after_quotes, iter_lines
from adapters.delivery.fence_mending import break_runs, is_language, mend_fences
from adapters.discord.outgoing.formulas import plain_formulas
from adapters.discord.outgoing.tables import hold_back_rows, plain_tables

FENCE = "```"
_LANGUAGE = re.compile(r"[A-Za-z0-9_+\-.#]{1,20}")
_QUOTE = "> "
_MAX_PREFIX_CHARACTERS = 6
"""Indentation that a fence keeps."""


def render_words(text: str) -> str:
    """Text without code fences, its tables and formulas as Discord can show them."""
    return plain_tables(plain_formulas(text))


def to_discord_markdown(text: str, *, ended: bool = True, render_words: Callable[[str], str] = render_words) -> str:
    """The text with all code between fences of three backticks, each on a line of its own, with tables as aligned code
    or lists, and with formulas in plain signs.

    Of a text that has not `ended`, the last line of a growing table and the beginning of one are left out.
    `render_words` may remember what it made of the stretches between fences.
    """
    pieces: list[str] = []
    words = ""
    for kind, piece in _blocks(mend_fences(text, ended=ended)):
        if kind == "words":
            words += piece
            continue
        pieces += [render_words(words), piece]
        words = ""
    return "".join([*pieces, render_words(words if ended else hold_back_rows(words))])


def _blocks(text: str) -> Iterator[tuple[str, str]]:
    """The lines of a mended text as ("words", line) or ("code", line), fences and their code in Discord's form."""
    for line in iter_lines(text, 0, len(text), None):
        content, before, after = text[line.begin : line.end], line.fence_before, line.fence_after
        if before is not None and after_quotes(content, before.quote_depth) is None:
            yield "code", f"{_prefix(before)}{FENCE}\n"  # the quote has ended, and the fence with it
            before = None
        if before is None and after is None:
            yield "words", content
        elif before is None and after is not None:
            yield "code", _opening_line(content, after)
        elif before is not None and after is None:
            yield "code", _prefix(before) + FENCE + content[len(content.rstrip("\r\n")) :]
        else:
            yield "code", break_runs(content)


def _opening_line(line: str, fence: Fence) -> str:
    before = line[: line.index(fence.delimiter)]
    prefix = before if ">" not in before and len(before) <= _MAX_PREFIX_CHARACTERS else _prefix(fence)
    language = fence.info.strip().partition(" ")[0]
    if language and not (is_language(fence.info) and _LANGUAGE.fullmatch(language)):
        return f"{prefix}{FENCE}\n{_prefix(fence)}{break_runs(fence.info.strip())}\n"  # words that other clients hide
    return f"{prefix}{FENCE}{language}\n"


def _prefix(fence: Fence) -> str:
    """What stands before a fence on its lines: Discord knows one level of quotes."""
    if fence.quote_depth:
        return _QUOTE
    return fence.prefix if len(fence.prefix) <= _MAX_PREFIX_CHARACTERS else ""
