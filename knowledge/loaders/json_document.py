"""JSON loader: keys and values as lines, an object of a list as a paragraph."""

import json
from collections.abc import Iterator
from typing import Any

from knowledge.loaders.decoding import decode_text, normalise_text
from knowledge.loaders.jsonl_rows import flatten_json
from knowledge.loaders.types import ExtractedDocument, LoadLimits, RawFile, check_text_size, document_title
from knowledge.reader import FileUnreadable

_TITLES = ("title", "name")
_MOST_HEADINGS = 3
_LONGEST_DATA = 2000
"""Longer values without a blank are encoded data."""


def load(raw: RawFile, limits: LoadLimits) -> list[ExtractedDocument]:
    """One document. Objects of a list, such as the messages of a chat, stay apart. Raises FileUnreadable."""
    source = decode_text(raw.data)
    check_text_size(limits, len(source))
    try:
        value = json.loads(source.lstrip("\ufeff"), strict=False)
    except json.JSONDecodeError as error:
        raise FileUnreadable(
            f"The JSON is broken in line {error.lineno}: {error.msg}. If each line is an object, name it .jsonl."
        ) from error
    except RecursionError as error:
        raise FileUnreadable("The JSON is nested too deeply to be read.") from error
    except ValueError as error:
        raise FileUnreadable("The JSON holds a number that is too long.") from error
    text = normalise_text("\n\n".join(_paragraphs(value))).strip()
    check_text_size(limits, len(text))
    return [ExtractedDocument(text=text, title=document_title(_title(value), raw.name), markdown=True)]


def _paragraphs(value: Any, heading: str = "", depth: int = 1) -> Iterator[str]:
    """A list's objects as paragraphs below the heading of its key; all else as lines of key and value."""
    if heading:
        yield f"{'#' * min(6, depth)} {' '.join(heading.split())}"
    if isinstance(value, list):
        for item in value:
            yield from _paragraphs(item, depth=depth)
    elif isinstance(value, dict):
        lists = {key: inner for key, inner in value.items() if _holds_objects(inner) and depth <= _MOST_HEADINGS}
        yield _lines({key: inner for key, inner in value.items() if key not in lists})
        for key, inner in lists.items():
            yield from _paragraphs(inner, key, depth + 1)
    else:
        yield _lines(value)


def _holds_objects(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(item, dict) for item in value)


def _lines(value: Any) -> str:
    shown = ((name, text) for name, text in flatten_json(value) if text.strip() and not _is_data(text))
    return "\n".join(f"{name}: {text}" if name else text for name, text in shown)


def _is_data(text: str) -> bool:
    return len(text) > _LONGEST_DATA and not any(sign.isspace() for sign in text)


def _title(value: Any) -> str:
    named = (value.get(key) for key in _TITLES) if isinstance(value, dict) else ()
    return next((normalise_text(title) for title in named if isinstance(title, str) and title.strip()), "")
