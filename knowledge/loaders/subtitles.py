"""Subtitle loader (SRT and WebVTT): what is said, with the time of each paragraph."""

import re
from collections.abc import Iterator

from knowledge.loaders.decoding import decode_text, normalise_text
from knowledge.loaders.types import ExtractedDocument, LoadLimits, RawFile, check_text_size, document_title
from knowledge.reader import FileUnreadable

_TIMING = re.compile(r"(?:(\d{1,3}):)?(\d{1,2}):(\d{2})[.,]\d{1,3}\s*-->\s*(?:\d{1,3}:)?\d{1,2}:\d{2}[.,]\d{1,3}")
_TAG = re.compile(r"<v\s+([^>]{1,100})>|</?[a-zA-Z][^>]{0,100}>|<\d[\d:.]*>|\{\\[^}]{0,100}\}")
_PARAGRAPH_CHARACTERS = 600


def load(raw: RawFile, limits: LoadLimits) -> list[ExtractedDocument]:
    """One document: the cues joined into paragraphs, each after the time at which it begins, as `[0:01:05]`."""
    source = normalise_text(decode_text(raw.data))
    check_text_size(limits, len(source))
    text = "\n\n".join(_paragraphs(source))
    if not text:
        raise FileUnreadable("The file has no subtitles: no line with a time and `-->` was found.")
    return [ExtractedDocument(text=text, title=document_title("", raw.name))]


def _paragraphs(source: str) -> Iterator[str]:
    began, said = "", ""
    for time, line in _cues(source):
        if len(said) >= _PARAGRAPH_CHARACTERS:
            yield f"[{began}] {said}"
            said = ""
        began = began if said else time
        # A running transcript repeats the last line of a cue in the next one.
        said = said if said.endswith(line) else f"{said} {line}".strip()
    if said:
        yield f"[{began}] {said}"


def _cues(source: str) -> Iterator[tuple[str, str]]:
    """Each line that is said, and the time of its cue."""
    time = ""
    for block in re.split(r"\n[ \t]*\n", source):
        for line in block.split("\n"):
            if match := _TIMING.search(line):
                time = f"{int(match[1] or 0)}:{int(match[2]):02}:{match[3]}"
            elif time and (said := _said(line)):
                yield time, said
        time = ""


def _said(line: str) -> str:
    return " ".join(_TAG.sub(lambda tag: f"{tag[1]}: " if tag[1] else "", line).split())
