"""The reading process: takes requests on standard input, answers on standard output, and keeps nothing."""

import os
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from knowledge.languages import detect
from knowledge.loaders import csv_rows, html_page, jsonl_rows, markdown, pdf, text
from knowledge.loaders.types import Limits, Raw
from knowledge.reader import Unreadable
from knowledge.reading.files import check_size, read_file
from knowledge.reading.frames import (
    HEADER,
    SENTENCE_CHARACTERS,
    Answer,
    Crashed,
    DocumentBegins,
    Done,
    Drafts,
    Ready,
    Refused,
    Request,
    packed,
)
from knowledge.reading.limits import allow_cpu, confine, follow_parent
from knowledge.reading.pipeline import frames
from knowledge.reading.settings import ReadingSettings

Reading = Callable[[Raw, Limits, int], Iterator[DocumentBegins | Drafts]]

PARSERS = (csv_rows, html_page, jsonl_rows, markdown, pdf, text)
"""Imported before the limits close in."""


def serve(reading: Reading = frames) -> None:
    """Answer requests until standard input ends.

    The arguments of the program are the parent's process id and the settings as JSON.
    """
    follow_parent(int(sys.argv[1]))
    settings = ReadingSettings.model_validate_json(sys.argv[2])
    requests, answers = _channels()
    detect("The language model is loaded before the limits close in.")
    confine(settings.memory_limit_mb)
    _send(answers, Ready())
    _silence(answers)
    while request := _next_request(requests):
        allow_cpu(settings.time_limit_s)
        try:
            _answer(request, requests, answers, settings, reading)
        except MemoryError:
            # What was allocated may never come back whole, so this process ends and a fresh one takes its place.
            _send(answers, Refused(reason=_exhausted(settings), exhausted=True))
            return


def _answer(
    request: Request, requests: BinaryIO, answers: BinaryIO, settings: ReadingSettings, reading: Reading
) -> None:
    try:
        for frame in reading(
            _raw(request, requests, settings.limits()), settings.limits(), settings.passage_characters
        ):
            _send(answers, frame)
    except Unreadable as error:
        _send(answers, Refused(reason=error.reason[:SENTENCE_CHARACTERS]))
    except RecursionError:
        _send(answers, Refused(reason="The file is nested too deeply to be read."))
    else:
        _send(answers, Done())


def _raw(request: Request, requests: BinaryIO, limits: Limits) -> Raw:
    if request.path:
        return Raw(request.name, read_file(request.path, limits), request.template)
    data = requests.read(request.size_bytes)
    check_size(len(data), limits)
    return Raw(request.name, data, request.template)


def _channels() -> tuple[BinaryIO, BinaryIO]:
    """Standard input and output as bytes; descriptor 1 then leads nowhere, so a library that prints breaks nothing."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return sys.stdin.buffer, answers


def _silence(answers: BinaryIO) -> None:
    """Errors went to the parent's log so far; from here on they could quote a document, so only their place is told."""
    os.dup2(1, 2)

    def tell(kind: type[BaseException], _error: BaseException, trace: TracebackType | None) -> None:
        last = traceback.extract_tb(trace)[-1]
        _send(answers, Crashed(error=f"{kind.__name__} in {Path(last.filename).name}, line {last.lineno}"))

    sys.excepthook = tell


def _next_request(requests: BinaryIO) -> Request | None:
    header = requests.read(HEADER.size)
    if len(header) < HEADER.size:
        return None
    return Request.model_validate_json(requests.read(HEADER.unpack(header)[0]))


def _send(answers: BinaryIO, frame: Answer) -> None:
    answers.write(packed(frame))
    if not isinstance(frame, DocumentBegins):
        answers.flush()


def _exhausted(settings: ReadingSettings) -> str:
    limit = f"{settings.memory_limit_mb:,} MB of memory (memory_limit_mb)"
    return f"Reading the file took more than {limit} and was stopped."


if __name__ == "__main__":
    serve()
