"""Markdown loader: front matter as lines of text, then the text without what only programs read."""

import re
import tomllib
from pathlib import PurePosixPath
from typing import Any

import yaml

from knowledge.loaders.decoding import decode_text, normalise_text
from knowledge.loaders.jsonl_rows import flatten_json
from knowledge.loaders.markdown_spans import clean_markdown
from knowledge.loaders.titles import first_heading
from knowledge.loaders.types import ExtractedDocument, LoadLimits, RawFile, check_text_size, document_title

_FRONT_MATTER = re.compile(
    r"\A(?:---[ \t]*\n(?P<yaml>.*?)\n(?:---|\.\.\.)|\+\+\+[ \t]*\n(?P<toml>.*?)\n\+\+\+)[ \t]*(?:\n|\Z)", re.DOTALL
)
_NULLS = ("", "~", "null", "Null", "NULL")


def load(raw: RawFile, limits: LoadLimits) -> list[ExtractedDocument]:
    """One document: the fields of its front matter, a line each, and its text.

    Its title is the first heading of level 1, else the front matter's, else the file's name.
    """
    source = normalise_text(decode_text(raw.data))
    check_text_size(limits, len(source))
    fields, body = split_front_matter(source)
    text = clean_markdown(body, mdx=PurePosixPath(raw.name).suffix.lower() == ".mdx")
    title = first_heading(text, deepest=1) or fields.get("title", "")
    front = "\n".join(f"{name}: {value}" if name else value for name, value in fields.items())
    whole = f"{front}\n\n{text.lstrip()}" if front else text
    return [ExtractedDocument(text=whole, title=document_title(title, raw.name), markdown=True)]


def split_front_matter(source: str) -> tuple[dict[str, str], str]:
    """The fields of the YAML or TOML at the start of a text, and the rest of the text.

    Nested keys are joined by dots and lists by commas. Broken YAML is one field without a name.
    """
    match = _FRONT_MATTER.match(source)
    front = (match["yaml"] or match["toml"] or "") if match else ""
    if match is None or not (":" in front or "=" in front):
        return {}, source
    fields = _parsed(front, is_toml=match["toml"] is not None)
    if isinstance(fields, dict):
        named = {str(name): normalise_text(value) for name, value in flatten_json(fields) if value not in _NULLS}
    else:
        named = {"": front}
    return named, source[match.end() :]


def _parsed(front: str, is_toml: bool) -> Any:
    try:
        if is_toml:
            return _as_text(tomllib.loads(front))
        # Every scalar as text: a date that no calendar has is an error to the other loaders, and not to the reader.
        return yaml.load(front, Loader=yaml.BaseLoader)  # noqa: S506 - makes nothing but text, lists and mappings
    except (yaml.YAMLError, RecursionError, ValueError, OverflowError):  # the last two for impossible escapes
        return None


def _as_text(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _as_text(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_as_text(inner) for inner in value]
    return value if isinstance(value, str) else str(value)
