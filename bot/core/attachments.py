"""Reads the files sent with a question as passages for one answer."""

from itertools import islice

from bot.core.messages import NOT_FETCHED, TOO_LARGE, Attachment, Message
from bot.core.texts import Language, localize
from knowledge.passages import Passage
from knowledge.reader import DocumentReader, FileUnreadable

MAX_ATTACHED_PASSAGES = 1024
"""Of all files together, more than fit into any prompt: a table of 20,000 rows would hold up everything else."""

_RECORDINGS = ("audio/", "video/")
_TYPESCRIPT = "video/mp2t"
"""Media type by which platforms know files of TypeScript, whose names end like those of a kind of video."""


class AttachmentReader:
    """Reads attachments with the documents' reader, and so within the same limits."""

    def __init__(self, reader: DocumentReader) -> None:
        self._reader = reader

    async def parse_attachments(self, message: Message, language: Language) -> tuple[tuple[Passage, ...], list[str]]:
        """The passages of all files in order, and a sentence for each unreadable file."""
        passages: list[Passage] = []
        problems: list[str] = []
        for file in message.attachments:
            if (problem := _problem(file, language)) is not None:
                problems.append(problem)
                continue
            try:
                documents = await self._reader.read_bytes(file.name, file.data)
            except FileUnreadable as error:
                problems.append(localize("attachment_unread", language, name=file.name, reason=error.reason))
                continue
            drafts = ((document, draft) for document in documents for draft in document.drafts)
            for document, draft in islice(drafts, MAX_ATTACHED_PASSAGES - len(passages)):
                # Attachments belong to no collection: the conversation's readers are their audience.
                number = -len(passages) - 1
                passages.append(Passage(number, "", document.document, document.title, draft.place, draft.text))
        return tuple(passages), problems


def _problem(file: Attachment, language: Language) -> str | None:
    """Why a file is not opened at all; None when it can be read."""
    if file.media_type.startswith(TOO_LARGE):
        megabytes = int(file.media_type.removeprefix(TOO_LARGE)) / 1_000_000
        return localize("attachment_too_large", language, name=file.name, megabytes=f"{megabytes:g}")
    if file.media_type == NOT_FETCHED:
        return localize("attachment_not_fetched", language, name=file.name)
    if file.media_type.startswith("image/"):
        return localize("attachment_picture", language, name=file.name)
    if file.media_type.startswith(_RECORDINGS) and file.media_type.casefold() != _TYPESCRIPT:
        # Not left to the reader: a recording whose bytes happen to be text would be read as one.
        return localize("attachment_recording", language, name=file.name)
    return None
