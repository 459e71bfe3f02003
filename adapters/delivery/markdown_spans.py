"""Stretches of Markdown that break when they are cut: links, addresses, inline code, bold and the like."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

# A span may continue after the text's end, so every pattern may also end there.
_LABEL = r"\[(?:[^\[\]\n]|\n(?![ \t]*\n)|\[[^\[\]\n]*(?:\]|\Z))*"
_TARGET = r"\((?:[^()\n]|\([^()\n]*(?:\)|\Z))*"
_LINK = re.compile(rf"!?{_LABEL}(?:\Z|\](?:\Z|{_TARGET}(?:\)|\Z)))")
_URL = re.compile(r"\b[a-z][a-z0-9+.\-]{1,20}://[^\s<>]+|<[^\s<>]{1,2000}(?:>|\Z)", re.IGNORECASE)
_BACKTICKS = re.compile(r"`+")
_BLANK_LINE = re.compile(r"\n[ \t]*\n")
SPOILER = "||"
"""Discord's delimiter of text that is hidden until it is clicked."""
_SPOILER = re.compile(re.escape(SPOILER))
_EMPHASIS = re.compile(r"\*{1,3}|_{1,3}|~~|\|\|")


@dataclass(frozen=True, slots=True)
class Span:
    """Offsets that no split should fall between; `delimiter` closes and reopens the span when one has to."""

    begin: int
    end: int
    is_link: bool
    delimiter: str = ""


def ends_in_spoiler(text: str, begin: int, end: int, spans: Sequence[Span], *, begins_in_spoiler: bool) -> bool:
    """Whether a spoiler is open at `end` of a stretch of text without fenced code; `spans` are its spans."""
    code = [span for span in spans if span.delimiter]
    is_open = begins_in_spoiler
    for found in _SPOILER.finditer(text, begin, end):
        if any(span.begin <= found.start() < span.end for span in code):
            continue
        before = text[found.start() - 1] if found.start() > begin else " "
        after = text[found.end()] if found.end() < len(text) else " "
        may_open = not after.isspace() and not before.isalnum()
        is_open = before.isspace() if is_open else may_open
    return is_open


def find_spans(text: str, begin: int, end: int, code: str = "") -> Iterator[Span]:
    """The spans of `text[begin:end]`, which holds no fenced code; they may nest and overlap. With `code` it begins
    within inline code of this delimiter.
    """
    if code:
        whole = Span(begin, _code_end(text, begin, end, code), is_link=False, delimiter=code)
        begin = whole.end
        yield whole
    for pattern in (_LINK, _URL):
        for found in pattern.finditer(text, begin, end):
            yield Span(found.start(), found.end(), is_link=True)
    position = begin
    for blank in [*(found.start() for found in _BLANK_LINE.finditer(text, begin, end)), end]:
        yield from _code_spans(text, position, blank, is_last=blank == end)
        yield from _emphasis_spans(text, position, blank, is_last=blank == end)
        position = blank


def _code_end(text: str, begin: int, end: int, delimiter: str) -> int:
    blank = _BLANK_LINE.search(text, begin, end)
    stop = blank.start() if blank else end
    return next((run.end() for run in _BACKTICKS.finditer(text, begin, stop) if run[0] == delimiter), stop)


def _code_spans(text: str, begin: int, end: int, *, is_last: bool) -> Iterator[Span]:
    runs = list(_BACKTICKS.finditer(text, begin, end))
    ahead: dict[str, list[int]] = {}
    for run in reversed(runs):
        ahead.setdefault(run[0], []).append(run.start())
    position = begin
    for run in runs:
        ahead[run[0]].pop()
        if run.start() < position:
            continue
        if ahead[run[0]]:
            position = ahead[run[0]][-1] + len(run[0])
            yield Span(run.start(), position, is_link=False, delimiter=run[0])
        elif is_last:
            position = end
            yield Span(run.start(), end, is_link=False, delimiter=run[0])


def _emphasis_spans(text: str, begin: int, end: int, *, is_last: bool) -> Iterator[Span]:
    opened: dict[str, int] = {}
    for found in _EMPHASIS.finditer(text, begin, end):
        before = text[found.start() - 1] if found.start() > begin else " "
        after = text[found.end()] if found.end() < end else " "
        if found[0] in opened and not before.isspace():
            yield Span(opened.pop(found[0]), found.end(), is_link=False)
        elif not after.isspace() and not before.isalnum():
            opened[found[0]] = found.start()
    if is_last:
        for start in opened.values():
            yield Span(start, end, is_link=False)
