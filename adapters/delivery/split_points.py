"""Choice of the point between two messages, from the text that fits into the first one alone."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from wcwidth import grapheme_boundary_before

from adapters.delivery.code_fences import Fence, MarkdownLine, may_be_fence_at
from adapters.delivery.markdown_spans import SPOILER, Span, ends_in_spoiler, find_spans
from adapters.delivery.sentence_ends import sentence_ends
from adapters.delivery.split_window import CLOSER_RESERVE, SplitPoint, SplitWindow

_SPACES = re.compile(r"(?<![ \t\u3000])[ \t\u3000]++(?=\S)")
_GAP = re.compile(r"[ \t\r\n]*")
_QUOTES = re.compile(r"(?:[ \t]*>)+[ \t]?")
_ITEM_START = re.compile(r"(?:[ \t]*>)*[ \t]*(?:[-*+]|\d{1,9}[.)]?)")
# Markup only at the start of a line, so no message may begin with it.
_BLOCK_START = re.compile(r"[>#]|[-*+](?:[ \t]|\Z)|\d{1,9}(?:[.)]|\Z)")


@dataclass
class _SplitCandidates:
    """Offsets at which a part may end, ascending, by kind."""

    blank_lines: list[int] = field(default_factory=list)
    items: list[int] = field(default_factory=list)
    line_ends: list[int] = field(default_factory=list)
    code_lines: list[int] = field(default_factory=list)
    sentences: list[int] = field(default_factory=list)
    spaces: list[int] = field(default_factory=list)

    def ranked(self) -> list[tuple[list[int], float]]:
        """The kinds, best first, each with the fraction of the window that must be filled before it is chosen."""
        return [
            (self.blank_lines, 0.5),
            (self.items, 0.5),
            (self.line_ends, 0.5),
            (self.code_lines, 0.3),
            (self.sentences, 0.3),
            (self.spaces, 0.25),
        ]


# The fraction for a split within a word, where there is no better point.
_MIN_FILL = 0.25


def best_split_point(window: SplitWindow) -> SplitPoint:
    """The point after the part that fills the window best: between paragraphs, list items, lines, sentences or words;
    not within a link unless it is longer than a whole part, nor within a grapheme.
    """
    found = [
        span
        for begin, end in _unfenced_stretches(window)
        for span in find_spans(window.text, begin, end, window.code_delimiter if begin == window.start else "")
    ]
    candidates = _find_candidates(window)
    fences = _fence_lines(window)
    everything = _mask(window, [*fences, *((span.begin, span.end) for span in found)])
    links = _mask(window, [*fences, *((span.begin, span.end) for span in found if span.is_link)])
    for mask, fill in ((everything, 1.0), (links, 1.0), (links, 0.0)):
        position = _last_allowed(window, candidates, mask, fill)
        if position is not None:
            return _split_at(window, position, found)
    return _split_at(window, _forced_position(window), found)


def _last_allowed(window: SplitWindow, candidates: _SplitCandidates, mask: bytearray, fill: float) -> int | None:
    size = window.end - window.start
    for positions, min_fill in candidates.ranked():
        for position in reversed(positions):
            if position - window.start < max(1.0, min_fill * fill * size):
                break
            if not mask[position - window.start] and _is_grapheme_boundary(window, position):
                return position
    least = window.start + max(1, int(_MIN_FILL * fill * size))
    for position in _grapheme_boundaries(window, least):
        if not mask[position - window.start] and _is_safe_start(window, position):
            return position
    return None


def _forced_position(window: SplitWindow) -> int:
    """The last position between two graphemes, if possible not within a delimiter; within the first grapheme when it
    does not fit.
    """
    last = window.end
    for number, position in enumerate(_grapheme_boundaries(window, window.start + 1)):
        last = position if number == 0 else last
        if not _cuts_delimiter(window.text, position):
            return position
    return last


def _cuts_delimiter(text: str, position: int) -> bool:
    return text[position - 1] in "`~*_|" and text[position - 1 : position] == text[position : position + 1]


def _grapheme_boundaries(window: SplitWindow, least: int) -> Iterator[int]:
    """The offsets from the window's end down to `least` that are between graphemes."""
    position = window.end
    while position >= least:
        if _is_grapheme_boundary(window, position):
            yield position
            position -= 1
        else:
            position = window.start + grapheme_boundary_before(window.text[window.start : position], len(window.text))


def _mask(window: SplitWindow, stretches: list[tuple[int, int]]) -> bytearray:
    """1 for each offset of the window that lies within a stretch."""
    mask = bytearray(window.end - window.start + 1)
    for begin, end in stretches:
        inner = min(end, window.end + 1) - begin - 1
        mask[begin + 1 - window.start : begin + 1 - window.start + inner] = b"\1" * inner
    return mask


def _unfenced_stretches(window: SplitWindow) -> Iterator[tuple[int, int]]:
    """The stretches outside of fences."""
    begin = window.start
    for line in window.lines:
        if line.fence_before is not None or line.fence_after is not None:
            if line.begin > begin:
                yield begin, line.begin
            begin = line.end
    if window.end > begin:
        yield begin, window.end


def _fence_lines(window: SplitWindow) -> list[tuple[int, int]]:
    """Stretches of the lines that begin or end fences, and may not be split; nor may the end of an opening line."""
    return [
        (line.begin, line.end + (line.fence_before is None and line.fence_after is not None))
        for line in window.lines
        if line.fence_before is not line.fence_after or may_be_fence_at(window.text, line.begin, line.end)
    ]


def _find_candidates(window: SplitWindow) -> _SplitCandidates:
    candidates, last_words = _SplitCandidates(), ""
    for line in window.lines:
        content = window.text[line.begin : line.end]
        last_words = content if content.strip() else last_words
        if content[-1] in "\r\n" and (content.strip() or line.begin == window.start or line.fence_after is not None):
            _add_line_end(window, candidates, line, last_words)
        if line.fence_before is line.fence_after and not may_be_fence_at(window.text, line.begin, line.end):
            _add_within_line(window, candidates, line, content)
    return candidates


def _add_line_end(window: SplitWindow, candidates: _SplitCandidates, line: MarkdownLine, last_words: str) -> None:
    if line.fence_after is not None:
        if line.fence_before is not None and not may_be_fence_at(window.text, line.end, window.end):
            candidates.code_lines.append(line.end)
        return
    if last_words.lstrip(" >").startswith("#"):
        return  # a heading stays with its text
    gap = _GAP.match(window.text, line.end, window.end)
    stop = gap.end() if gap else line.end
    if stop == window.end:
        return  # the text that begins there is not known yet
    is_top = window.text[stop - 1] in "\r\n"
    if not is_top and _starts_with_fence(window, stop):
        # A fence keeps its indentation, which its code has too.
        stop = max(window.text.rfind("\n", line.begin, stop) + 1, line.end)
    is_blank = "\n" in window.text[line.end : stop] or not window.text[line.begin : line.end].strip()
    if not is_top or last_words.rstrip().endswith(":"):
        candidates.line_ends.append(stop)
    else:
        (candidates.blank_lines if is_blank else candidates.items).append(stop)


def _starts_with_fence(window: SplitWindow, position: int) -> bool:
    return position < window.end and may_be_fence_at(window.text, position, window.end)


def _add_within_line(window: SplitWindow, candidates: _SplitCandidates, line: MarkdownLine, content: str) -> None:
    indent = line.begin + len(content) - len(content.lstrip())
    in_code = line.fence_before is not None
    for found in _SPACES.finditer(window.text, indent, line.end):
        if in_code or _is_safe_start(window, found.end()):
            candidates.spaces.append(found.end())
    if in_code:
        return
    for end in sentence_ends(content):
        gap = _SPACES.match(content, end)
        position = line.begin + (gap.end() if gap else end)
        if content[position - line.begin :].strip() and _is_safe_start(window, position):
            candidates.sentences.append(position)


def _is_safe_start(window: SplitWindow, position: int) -> bool:
    """Whether the text from here reads the same at the start of a message."""
    text = window.text
    if text[position - 1] in "\r\n":
        return not may_be_fence_at(text, position, window.end)
    if _cuts_delimiter(text, position):
        return False
    return not may_be_fence_at(text, position, window.end) and not _BLOCK_START.match(text, position, window.end)


def _is_grapheme_boundary(window: SplitWindow, position: int) -> bool:
    """Whether the position cuts no grapheme, such as an emoji of several parts, a flag or an accented letter."""
    before, after = window.text[position - 1], window.text[position]
    if before.isascii() and after.isascii():
        return (before, after) != ("\r", "\n")
    seen = window.text[window.start : position + 1]
    return grapheme_boundary_before(seen, len(seen)) == len(seen) - 1


def _split_at(window: SplitWindow, position: int, found: list[Span]) -> SplitPoint:
    fence = window.fence_at(position)
    at_line_start = window.text[position - 1] in "\r\n"
    if fence is not None:
        return _split_in_fence(window, position, fence, at_line_start=at_line_start)
    quotes = None if at_line_start else _QUOTES.match(window.line_before(position))
    opener = quotes[0] if quotes and window.measure(quotes[0]) <= CLOSER_RESERVE else ""
    delimiter = _open_code_delimiter(window, position, found)
    spoiler = _open_spoiler(window, position, found)
    # On a line of its own where a fence may follow, which has to begin a line.
    opener += f"{spoiler}\n" if spoiler and _begins_line(window, position) else spoiler
    return SplitPoint(
        position,
        opener + delimiter,
        code_delimiter=delimiter,
        in_spoiler=bool(spoiler),
        closer=delimiter + spoiler,
    )


def _begins_line(window: SplitWindow, position: int) -> bool:
    """Whether nothing but indentation and quote markers precede a position in its line."""
    line = window.line_before(position)
    return line[-1:] in ("\r", "\n") or not line.strip(" \t>")


def _open_spoiler(window: SplitWindow, position: int, found: list[Span]) -> str:
    """The delimiter of the spoiler that is cut; empty when there is none."""
    if not window.spoilers:
        return ""
    in_spoiler = window.in_spoiler
    for begin, end in _unfenced_stretches(window):
        if begin < position:
            stop = min(end, position)
            in_spoiler = ends_in_spoiler(window.text, begin, stop, found, begins_in_spoiler=in_spoiler)
    return SPOILER if in_spoiler else ""


def _open_code_delimiter(window: SplitWindow, position: int, found: list[Span]) -> str:
    """The delimiter of the inline code that is cut, if it can close and reopen the code here."""
    if "`" in window.text[position - 1 : position + 1]:
        return ""
    if _begins_line(window, position) and (
        _ITEM_START.match(window.text, position, window.end) or may_be_fence_at(window.text, position, window.end)
    ):
        return ""  # a fence or a list item ends it, and has to begin its line
    delimiters = (span.delimiter for span in found if span.delimiter and span.begin < position < span.end)
    return next((each for each in delimiters if len(each) < 3), "")  # three would make a fence


def _split_in_fence(window: SplitWindow, position: int, fence: Fence, *, at_line_start: bool) -> SplitPoint:
    closer = window.fence_closer(fence, position)
    for reopened in (fence, Fence(fence.quote_depth, fence.prefix, fence.delimiter, "")):
        opener = reopened.opening_line(at_line_start=at_line_start)
        if closer and window.measure(opener) <= window.limit // 4:
            return SplitPoint(position, opener, reopened, closer=closer)
    return SplitPoint(position, closer=closer)
