"""The reading process: requests on standard input, responses on standard output, no state in between."""

import os
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from knowledge.languages import detect_language
from knowledge.loaders import (
    asciidoc,
    calendar_events,
    csv_rows,
    html_page,
    json_document,
    mail,
    markdown,
    office,
    pdf,
    picture,
    subtitles,
    text,
)
from knowledge.loaders.types import LoadLimits, RawFile
from knowledge.reader import FileUnreadable
from knowledge.reading.files import check_file_size, read_file
from knowledge.reading.frames import (
    HEADER,
    SENTENCE_CHARACTERS,
    ChildCrashed,
    ChildReady,
    DocumentStart,
    DraftBatch,
    FileDone,
    FileRefused,
    ReadRequest,
    ReadResponse,
    pack_frame,
)
from knowledge.reading.limits import apply_limits, die_with_parent, extend_cpu_limit
from knowledge.reading.network import deny_network
from knowledge.reading.pipeline import read_frames
from knowledge.reading.settings import ReadingSettings

ReadPipeline = Callable[[RawFile, LoadLimits, int], Iterator[DocumentStart | DraftBatch]]

PARSERS = (
    asciidoc,
    calendar_events,
    csv_rows,
    html_page,
    json_document,
    mail,
    markdown,
    office,
    pdf,
    picture,
    subtitles,
    text,
)
"""Imported before the sandbox limits apply."""


def serve_requests(reading: ReadPipeline = read_frames) -> None:
    """Answer requests until standard input ends.

    The program's arguments are the parent's process id and the settings as JSON.
    """
    die_with_parent(int(sys.argv[1]))
    settings = ReadingSettings.model_validate_json(sys.argv[2])
    requests, answers = _channels()
    detect_language("The language model is loaded before the limits close in.")
    office.warm_up()
    picture.warm_up()
    deny_network()
    apply_limits(settings.memory_limit_mb)
    _send(answers, ChildReady())
    _redirect_errors(answers)
    while request := _next_request(requests):
        extend_cpu_limit(settings.time_limit_s)
        try:
            _handle_request(request, requests, answers, settings, reading)
        except MemoryError:
            # The allocator may stay fragmented, so this process ends and a new one replaces it.
            _send(answers, FileRefused(reason=_memory_sentence(settings), exhausted=True))
            return


def _handle_request(
    request: ReadRequest, requests: BinaryIO, answers: BinaryIO, settings: ReadingSettings, reading: ReadPipeline
) -> None:
    try:
        for frame in reading(
            _load_raw(request, requests, settings.load_limits()), settings.load_limits(), settings.passage_characters
        ):
            _send(answers, frame)
    except FileUnreadable as error:
        _send(answers, FileRefused(reason=error.reason[:SENTENCE_CHARACTERS]))
    except RecursionError:
        _send(answers, FileRefused(reason="The file is nested too deeply to be read."))
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - parsers raise anything for a bad file, and only this file is bad
        reason = f"The program that reads the file failed on it: {_location(type(error), error.__traceback__)}."
        _send(answers, FileRefused(reason=reason[:SENTENCE_CHARACTERS]))
    else:
        _send(answers, FileDone())


def _load_raw(request: ReadRequest, requests: BinaryIO, limits: LoadLimits) -> RawFile:
    if request.folder:
        return read_file(request.folder, request.name, limits, request.template)
    data = requests.read(request.size_bytes)
    check_file_size(len(data), limits)
    return RawFile(request.name, data, request.template)


def _channels() -> tuple[BinaryIO, BinaryIO]:
    """Binary standard input and output; descriptor 1 then discards output, so a library may print."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return sys.stdin.buffer, answers


def _redirect_errors(answers: BinaryIO) -> None:
    """Report only the location of an uncaught error: its text, in the parent's log, could quote a document."""
    os.dup2(1, 2)

    def report(kind: type[BaseException], _error: BaseException, trace: TracebackType | None) -> None:
        _send(answers, ChildCrashed(error=_location(kind, trace)))

    sys.excepthook = report


def _location(kind: type[BaseException], trace: TracebackType | None) -> str:
    """The type of an error and its place, without its text: that could quote the document."""
    last = traceback.extract_tb(trace)[-1]
    return f"{kind.__name__} in {Path(last.filename).name}, line {last.lineno}"


def _next_request(requests: BinaryIO) -> ReadRequest | None:
    header = requests.read(HEADER.size)
    if len(header) < HEADER.size:
        return None
    return ReadRequest.model_validate_json(requests.read(HEADER.unpack(header)[0]))


def _send(answers: BinaryIO, frame: ReadResponse) -> None:
    answers.write(pack_frame(frame))
    if not isinstance(frame, DocumentStart):
        answers.flush()


def _memory_sentence(settings: ReadingSettings) -> str:
    limit = f"{settings.memory_limit_mb:,} MB of memory (memory_limit_mb)"
    return f"Reading the file took more than {limit} and was stopped."


if __name__ == "__main__":
    serve_requests()
