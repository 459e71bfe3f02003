"""Reads files through one reading process at a time, which is replaced when a file breaks it."""

import asyncio
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from knowledge.passages import PassageLocation
from knowledge.reader import FileUnreadable, PassageDraft, ReadDocument, SourceFile
from knowledge.reading.files import check_file_size
from knowledge.reading.frames import (
    ChildCrashed,
    DocumentStart,
    DraftBatch,
    DraftFrame,
    FileDone,
    FileRefused,
    ReadRequest,
    ReadResponse,
)
from knowledge.reading.process import CHILD_ARGUMENTS, ProcessLost, ReadingProcess
from knowledge.reading.settings import ReadingSettings

_log = logging.getLogger(__name__)


_IDLE_S = 120.0
"""An idle process holds about 200 MB."""


class ProcessReader:
    """A `DocumentReader` whose parsers run in a sandboxed child process, one file at a time.

    The process is kept warm between files, and ends after `idle_s` seconds without one.
    """

    def __init__(
        self,
        settings: ReadingSettings | None = None,
        child: Sequence[str] = CHILD_ARGUMENTS,
        idle_s: float = _IDLE_S,
    ) -> None:
        self._settings = settings or ReadingSettings()
        self._child = child
        self._idle_s = idle_s
        self._idle_timer: asyncio.TimerHandle | None = None
        self._ending: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()
        self._process: ReadingProcess | None = None

    async def read_file(self, source: SourceFile) -> list[ReadDocument]:
        """Read, parse and split one file. Raises FileUnreadable."""
        request = ReadRequest(
            name=source.document, folder=os.fspath(source.folder.absolute()), template=source.template
        )
        return await self._read_request(request, b"")

    async def read_bytes(self, name: str, data: bytes, template: str = "") -> list[ReadDocument]:
        """Read a file in memory; the suffix of `name` is its type. Raises FileUnreadable."""
        check_file_size(len(data), self._settings.load_limits())
        safe_name = name.encode(errors="replace").decode()
        return await self._read_request(ReadRequest(name=safe_name, size_bytes=len(data), template=template), data)

    async def close(self) -> None:
        """End the reading process after the current file."""
        self._stop_timer()
        async with self._lock:
            process, self._process = self._process, None
            if process:
                await process.close()

    async def _read_request(self, request: ReadRequest, data: bytes) -> list[ReadDocument]:
        async with self._lock:
            self._stop_timer()
            try:
                return await self._read_with_retry(request, data)
            finally:
                self._idle_timer = asyncio.get_running_loop().call_later(self._idle_s, self._end_idle)

    async def _read_with_retry(self, request: ReadRequest, data: bytes) -> list[ReadDocument]:
        while True:
            process = await self._ready_process()
            fresh = process.files_read == 0
            try:
                return await self._read_one(process, request, data)
            except ProcessLost as lost:
                # Only a fresh process proves that this file is the cause: an old one may have died of another.
                if fresh:
                    _log.info("Lost the reading process: %s.", lost)
                    raise FileUnreadable(f"The program that reads the file failed on it: {lost}.") from lost

    def _stop_timer(self) -> None:
        if self._idle_timer:
            self._idle_timer.cancel()

    def _end_idle(self) -> None:
        # A reference is kept: asyncio's own is weak.
        self._ending = asyncio.create_task(self.close())

    async def _ready_process(self) -> ReadingProcess:
        process = self._process
        if process and (not process.is_alive or process.files_read >= self._settings.files_per_process):
            self._process = None
            await process.close()
        if self._process is None:
            try:
                self._process = await ReadingProcess.start(self._settings, self._child)
            except ProcessLost as error:
                raise FileUnreadable(f"The reading process does not start: {error}.") from error
        return self._process

    async def _read_one(self, process: ReadingProcess, request: ReadRequest, data: bytes) -> list[ReadDocument]:
        """Read one file; any failure other than a refusal ends the process, and so does cancelling."""
        intact = False
        try:
            async with asyncio.timeout(self._settings.time_limit_s):
                documents = await self._collect_documents(process, request, data)
            intact = True
            return documents
        except TimeoutError as error:
            raise FileUnreadable(
                f"Reading the file took longer than {self._settings.time_limit_s:g} s (time_limit_s) and was stopped."
            ) from error
        except FileUnreadable:
            intact = True
            raise
        finally:
            if not intact:
                self._process = None
                await process.kill()

    async def _collect_documents(
        self, process: ReadingProcess, request: ReadRequest, data: bytes
    ) -> list[ReadDocument]:
        fresh = process.files_read == 0
        collector = _DocumentCollector(request.name, 2 * self._settings.text_limit_characters)
        await process.send(request, data)
        while not isinstance(frame := await process.receive_frame(), FileDone):
            if isinstance(frame, FileRefused):
                _refuse(frame, fresh)
            collector.add_frame(frame)
            await asyncio.sleep(0)  # frames that are already buffered would otherwise block the event loop
        return collector.all_documents()


def _refuse(refusal: FileRefused, fresh: bool) -> NoReturn:
    if refusal.exhausted and not fresh:
        raise ProcessLost("it ran out of memory")
    raise FileUnreadable(refusal.reason)


@dataclass(slots=True)
class _DocumentCollector:
    """Assembles documents from frames, without trusting the child."""

    name: str
    characters_left: int
    documents: list[ReadDocument] = field(default_factory=list)
    begun: DocumentStart | None = None
    drafts: list[PassageDraft] = field(default_factory=list)

    def add_frame(self, frame: ReadResponse) -> None:
        """Add a frame. Raises ProcessLost when it is out of order or exceeds the text limit."""
        if isinstance(frame, DocumentStart):
            self._finish_document()
            self.begun = frame
            self.characters_left -= 1
        elif isinstance(frame, DraftBatch) and self.begun:
            self.characters_left -= sum(len(draft.text) for draft in frame.drafts)
            self.drafts.extend(_draft(draft, self.begun.row) for draft in frame.drafts)
        else:
            raise ProcessLost(frame.error if isinstance(frame, ChildCrashed) else "it sent an answer out of place")
        if self.characters_left < 0:
            raise ProcessLost("it sent more text than a file may hold")

    def all_documents(self) -> list[ReadDocument]:
        """All documents received."""
        self._finish_document()
        return self.documents

    def _finish_document(self) -> None:
        if self.begun:
            begun, row = self.begun, self.begun.row
            name = self.name if row is None else f"{self.name}#row-{row}"
            self.documents.append(
                ReadDocument(name, begun.title, begun.language, tuple(self.drafts), begun.problem, begun.unread)
            )
        self.begun, self.drafts = None, []


def _draft(frame: DraftFrame, row: int | None) -> PassageDraft:
    place = PassageLocation(tuple(frame.heading), frame.page, row, frame.start, frame.end)
    return PassageDraft(place, frame.text)
