"""Reads the files sent with a question as passages for one answer."""

import asyncio
from dataclasses import dataclass
from weakref import WeakValueDictionary

from bot.core.messages import Attachment, Message, NotFetched, TooLarge
from bot.core.texts import Language, localize
from knowledge.passages import Passage
from knowledge.reader import DocumentReader, FileUnreadable, ReadDocument

MESSAGE_LIMIT_S = 60.0
"""Time for reading all files of one question together, as long as a single one may take."""


class _OutOfTime(Exception):
    """The files of a question have used up their time."""


@dataclass
class _TimeBudget:
    """The time that is left for the files of a question."""

    left_s: float


class AttachmentReader:
    """Reads attachments with the documents' reader, and so within the same limits.

    One file is read at a time, and one of each person waits for that: many or slow files delay those of others by one
    file each.
    """

    def __init__(self, reader: DocumentReader, limit_s: float = MESSAGE_LIMIT_S) -> None:
        """`limit_s` is the time for the files of one message, without the time in which others' files are read."""
        self._reader = reader
        self._limit_s = limit_s
        self._reading = asyncio.Lock()
        self._people: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def parse_attachments(self, message: Message, language: Language) -> tuple[tuple[Passage, ...], list[str]]:
        """The passages of all files in order, and a sentence for each unreadable file."""
        if not message.attachments:
            return (), []
        async with self._people.setdefault(message.author.id, asyncio.Lock()):
            return await self._parse_all(message, language)

    async def _parse_all(self, message: Message, language: Language) -> tuple[tuple[Passage, ...], list[str]]:
        budget = _TimeBudget(self._limit_s)
        passages: list[Passage] = []
        problems: list[str] = []
        for file in message.attachments:
            if (problem := _problem(file, language)) is not None:
                problems.append(problem)
                continue
            try:
                documents = await self._read(file, budget)
            except _OutOfTime:
                problems.append(localize("attachment_late", language, name=file.name, seconds=round(self._limit_s)))
                continue
            except FileUnreadable as error:
                problems.append(localize("attachment_unread", language, name=file.name, reason=error.reason))
                continue
            passages += [
                # Attachments belong to no collection: the conversation's readers are their audience.
                Passage(-len(passages) - 1 - number, "", document.document, document.title, draft.place, draft.text)
                for document in documents
                for number, draft in enumerate(document.drafts)
            ]
        return tuple(passages), problems

    async def _read(self, file: Attachment, budget: _TimeBudget) -> list[ReadDocument]:
        """The documents of a file. Raises FileUnreadable and _OutOfTime."""
        if budget.left_s <= 0:
            raise _OutOfTime
        clock = asyncio.get_running_loop().time
        async with self._reading:
            began_s = clock()
            try:
                async with asyncio.timeout(budget.left_s):
                    return await self._reader.read_bytes(file.name, file.data)
            except TimeoutError as error:
                raise _OutOfTime from error
            finally:
                budget.left_s -= clock() - began_s


def _problem(file: Attachment, language: Language) -> str | None:
    """Why a file is not opened at all; None when it can be read."""
    if isinstance(file.missing, TooLarge):
        megabytes = file.missing.limit_bytes / 1_000_000
        return localize("attachment_too_large", language, name=file.name, megabytes=f"{megabytes:g}")
    if isinstance(file.missing, NotFetched):
        return localize("attachment_not_fetched", language, name=file.name)
    if file.media_type.startswith("image/"):
        return localize("attachment_picture", language, name=file.name)
    return None
