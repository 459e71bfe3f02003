"""JSONL loader: each line is a document."""

import json
from collections.abc import Iterator
from typing import Any

from knowledge.loaders.decoding import decode_text
from knowledge.loaders.rows import TableRow, check_row_count, row_documents
from knowledge.loaders.types import ExtractedDocument, LoadLimits, RawFile, check_text_size


def load(raw: RawFile, limits: LoadLimits) -> list[ExtractedDocument]:
    """One document per line with a JSON object; an unreadable line becomes a problem with its line number."""
    text = decode_text(raw.data)
    check_text_size(limits, len(text))
    return row_documents(list(_rows(text, limits)), raw, limits)


def flatten_json(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Pairs of column and text: nested keys joined by dots, plain lists by commas, without nulls."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from flatten_json(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        for number, item in enumerate(value, start=1):
            yield from flatten_json(item, f"{name}.{number}")
    elif isinstance(value, list):
        yield name, ", ".join(_scalar(item) for item in value)
    elif value is not None:
        yield name, _scalar(value)


def _rows(text: str, limits: LoadLimits) -> Iterator[TableRow]:
    number = 0
    for line_number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            number += 1
            check_row_count(number, limits)
            yield _row(number, line_number, line)


def _row(number: int, line_number: int, line: str) -> TableRow:
    try:
        value = json.loads(line, strict=False)
        if isinstance(value, dict):
            return TableRow(number, dict(flatten_json(value)))
        reason = "it is not a JSON object"
    except json.JSONDecodeError as error:
        reason = f"{error.msg} at character {error.colno}"
    except RecursionError:
        reason = "it is nested too deeply"
    except ValueError:
        reason = "it holds a number that is too long"
    return TableRow(number, {}, f"Line {line_number} cannot be read: {reason}.")


def _scalar(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
