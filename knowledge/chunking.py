"""Chunking: splits a document's text into passages with their location."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from semantic_text_splitter import MarkdownSplitter, TextSplitter

from knowledge.headings import find_headings
from knowledge.passages import PassageLocation
from knowledge.reader import PassageDraft
from knowledge.table_headers import TableHeader, find_table_headers, header_at, longest_header

_SMALL_SHARE = 4
"""A section shorter than a quarter of a passage is joined to its neighbours: alone it is too short to be found."""
_BLOCK_CHARACTERS = 20_000
"""The splitter's time grows with the square of a word's length (1 MB in one word: 5 s), so long texts are pre-cut."""


@dataclass(frozen=True, slots=True)
class _Section:
    """Text under one heading path; its last heading ends at `body`. `filled`: it has text besides headings."""

    start: int
    body: int
    end: int
    path: tuple[str, ...]
    filled: bool


@dataclass(frozen=True, slots=True)
class _Span:
    start: int
    end: int
    path: tuple[str, ...]


def split_text(text: str, *, markdown: bool, max_characters: int, pages: Sequence[int] = ()) -> list[PassageDraft]:
    """Split a text into passages of at most `max_characters`, in order; only white space between them is left out.

    A passage that begins inside a Markdown table has the table's header above its rows, unless the header is longer
    than half a passage.
    Small Markdown sections are joined under their common heading path, and a heading stays with the text below it.
    `pages` holds the start offset of each page; a passage's page is the one it starts on.
    """
    sections = _joined(text, _sections(text) if markdown else [_whole(text)], max_characters)
    headers = _short_headers(text, max_characters) if markdown else []
    spans = (
        span
        for section in sections
        for span in _cut(
            text,
            section,
            markdown,
            max_characters - longest_header(headers, section.start, section.end),
            max_characters,
        )
    )
    trimmed = (_trimmed(text, span) for span in spans)
    return [_draft(text, span, pages, headers) for span in trimmed if span.start < span.end]


def _short_headers(text: str, limit: int) -> list[TableHeader]:
    return [header for header in find_table_headers(text) if len(header.text) <= limit // 2]


def _draft(text: str, span: _Span, pages: Sequence[int], headers: Sequence[TableHeader]) -> PassageDraft:
    page = bisect_right(pages, span.start) if pages else None
    place = PassageLocation(heading=span.path, page=page, start=span.start, end=span.end)
    return PassageDraft(place=place, text=header_at(headers, span.start) + text[span.start : span.end])


def _trimmed(text: str, span: _Span) -> _Span:
    inner = text[span.start : span.end]
    start = span.end - len(inner.lstrip())
    return replace(span, start=start, end=max(start, span.start + len(inner.rstrip())))


def _whole(text: str) -> _Section:
    return _Section(0, 0, len(text), (), True)


def _sections(text: str) -> list[_Section]:
    """The text split at every heading."""
    headings = find_headings(text)
    if not headings:
        return [_whole(text)]
    first = headings[0].start
    sections = [_Section(0, 0, first, (), True)] if text[:first].strip() else []
    path: list[tuple[int, str]] = []
    for heading, end in zip(headings, [*(heading.start for heading in headings[1:]), len(text)], strict=True):
        path = [(level, title) for level, title in path if level < heading.level]
        path.append((heading.level, heading.text))
        filled = bool(text[heading.end : end].strip())
        sections.append(_Section(heading.start, heading.end, end, tuple(title for _, title in path if title), filled))
    return sections


def _joined(text: str, sections: Sequence[_Section], limit: int) -> list[_Section]:
    """Sections with small ones joined, and headings without text joined to the next section."""
    joined: list[_Section] = []
    for section in sections:
        last = joined[-1] if joined else None
        if last and (not last.filled or (section.filled and _joins_previous(text, last, section, limit))):
            joined[-1] = _joined_pair(last, section)
        else:
            joined.append(section)
    return _tail_joined(text, joined, limit)


def _tail_joined(text: str, sections: list[_Section], limit: int) -> list[_Section]:
    """The sections, the last one joined to its predecessor when it is small or only a heading."""
    if len(sections) < 2:
        return sections
    before, last = sections[-2:]
    is_short = not last.filled or (_length(text, last) < limit // _SMALL_SHARE and _related(before.path, last.path))
    if is_short and _fits(text, before, last, limit):
        return [*sections[:-2], replace(_joined_pair(before, last), filled=True)]
    return sections


def _joins_previous(text: str, last: _Section, section: _Section, limit: int) -> bool:
    small = _length(text, last) < limit // _SMALL_SHARE
    return small and _related(last.path, section.path) and _fits(text, last, section, limit)


def _fits(text: str, first: _Section, second: _Section, limit: int) -> bool:
    return len(text[first.start : second.end].strip()) <= limit


def _length(text: str, section: _Section) -> int:
    return len(text[section.start : section.end].strip())


def _related(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether two heading paths are siblings, or one contains the other."""
    return len(_shared(one, other)) >= min(len(one), len(other)) - 1


def _shared(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    length = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return one[:length]


def _joined_pair(first: _Section, second: _Section) -> _Section:
    if first.filled and second.filled:
        path = _shared(first.path, second.path)
    else:
        path = second.path if second.filled else first.path
    return _Section(first.start, second.body, second.end, path, second.filled)


def _cut(text: str, section: _Section, markdown: bool, limit: int, whole_limit: int) -> Iterator[_Span]:
    """A section in spans within the limit; its headings stay with the first span of the body.

    A section within `whole_limit` is not cut: no header is repeated in it.
    """
    if _length(text, section) <= whole_limit:
        yield _Span(section.start, section.end, section.path)
        return
    body = section.end - len(text[section.body : section.end].lstrip())
    if body - section.start > limit // 2:
        body = section.start
    start = section.start
    inner_limit = limit - (body - section.start)
    if limit < whole_limit:
        inner_limit = _even_limit(text[body : section.end], inner_limit)
    for chunk_start, chunk_end in _chunks(text, body, section.end, markdown, inner_limit):
        yield _Span(start if start < body else chunk_start, chunk_end, section.path)
        start = body


def _even_limit(text: str, limit: int) -> int:
    """The limit that cuts a text with a table into pieces of about the same size.

    A last piece of one row below a header would be the best match of all questions about the columns.
    """
    longest_line = max(map(len, text.split("\n"))) + 1
    if longest_line >= limit // 2:
        return limit
    pieces = -(-len(text) // (limit - longest_line))
    return min(limit, len(text) // pieces + longest_line)


def _chunks(text: str, start: int, end: int, markdown: bool, limit: int) -> Iterator[tuple[int, int]]:
    splitter = MarkdownSplitter(limit) if markdown else TextSplitter(limit)
    for block_start, block_end in _blocks(text, start, end):
        for offset, chunk in splitter.chunk_indices(text[block_start:block_end]):
            if chunk.strip():
                yield block_start + offset, block_start + offset + len(chunk)


def _blocks(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    while end - start > _BLOCK_CHARACTERS:
        latest = start + _BLOCK_CHARACTERS
        earliest = start + _BLOCK_CHARACTERS // 2
        cuts = (text.rfind(gap, earliest, latest) for gap in ("\n\n", "\n", " "))
        stop = next((cut + 1 for cut in cuts if cut > 0), latest)
        yield start, stop
        start = stop
    yield start, end
