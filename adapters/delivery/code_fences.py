"""Code fences as chat clients read them: line by line, after quote markers, list markers and any indentation."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n|\Z)")
_QUOTE = re.compile(r"[ \t]*>")
_FENCE = re.compile(r"(?P<indent>[ \t]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)*)(?P<delimiter>`{3,}|~{3,})(?P<info>[^\r\n]*)")
_MARKERS = re.compile(r"[ \t]*(?:[-*+]|\d{1,9}[.)])[ \t]+(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)*")
# After more spaces than this no hidden delimiter is assumed.
_MAX_HIDDEN_INDENT = 8
_NOT_BLANK = re.compile(r"[^ \t]")


@dataclass(frozen=True, slots=True)
class Fence:
    """An open fence: its depth in quotes, the prefix of its line, its delimiter and its info string."""

    quote_depth: int
    prefix: str
    delimiter: str
    info: str

    def closing_line(self, *, at_line_start: bool) -> str:
        """The line that ends the fence."""
        return ("" if at_line_start else "\n") + self.prefix + self.delimiter

    def opening_line(self, *, at_line_start: bool) -> str:
        """The line that begins the same fence again, for code that continues at the start of a line or within one."""
        return self.prefix + self.delimiter + self.info + "\n" + ("" if at_line_start else self.prefix)


@dataclass(frozen=True, slots=True)
class MarkdownLine:
    """A line of a text: its offsets, line break included, and the fence that is open before and after it."""

    begin: int
    end: int
    fence_before: Fence | None
    fence_after: Fence | None


def split_lines(text: str) -> list[str]:
    """The lines of a text, each with its line break."""
    return [found[0] for found in _LINE.finditer(text) if found[0]]


def iter_lines(text: str, begin: int, end: int, fence: Fence | None, prefix: str = "") -> Iterator[MarkdownLine]:
    """The lines of `text[begin:end]`, with `fence` open at first and `prefix` put before the first line."""
    while begin < end:
        found = _LINE.match(text, begin, end)
        stop = found.end() if found else end
        after = fence_after_line(fence, prefix + text[begin:stop])
        yield MarkdownLine(begin, stop, fence, after)
        begin, fence, prefix = stop, after, ""


def fence_after_line(fence: Fence | None, line: str) -> Fence | None:
    """The fence that is open after a line, when `fence` was open before it."""
    if fence is not None:
        inside = after_quotes(line, fence.quote_depth)
        if inside is not None:
            return None if closes_fence(fence, line, inside) else fence
    return opened_fence(line)


def may_be_fence_at(text: str, position: int, end: int) -> bool:
    """Whether a fence's delimiter, with or without markers of quotes and lists, may be here; text after `end` might
    continue one.
    """
    while (quote := _QUOTE.match(text, position, end)) is not None:
        position = quote.end()
    if (markers := _MARKERS.match(text, position, end)) is not None:
        position = markers.end()
    seen = text[position:end]
    rest = seen.lstrip(" \t")
    if not rest:
        return len(seen) <= _MAX_HIDDEN_INDENT
    return rest[:3] in ("```", "~~~") or (len(rest) < 3 and not rest.strip("`~"))


def after_quotes(line: str, depth: int) -> int | None:
    """The offset in a line after the markers of quotes of this depth; None when it is not quoted that deep."""
    position = 0
    for _ in range(depth):
        quote = _QUOTE.match(line, position)
        if quote is None:
            return None
        position = quote.end()
    return position


def closes_fence(fence: Fence, line: str, inside: int) -> bool:
    """Whether a line ends a fence; `inside` is the offset after the markers of the fence's quotes."""
    found = _FENCE.match(line, inside)
    return found is not None and found["delimiter"].startswith(fence.delimiter) and not found["info"].strip(" \t")


def opened_fence(line: str) -> Fence | None:
    """The fence that a line opens; None when it opens none."""
    depth = position = 0
    while (quote := _QUOTE.match(line, position)) is not None:
        depth, position = depth + 1, quote.end()
    found = _FENCE.match(line, position)
    if found is None or (found["delimiter"][0] == "`" and "`" in found["info"]):
        return None
    prefix = line[:position] + _NOT_BLANK.sub(" ", found["indent"])
    return Fence(depth, prefix, found["delimiter"], found["info"].rstrip())
