"""Reads the files sent with a question, as passages for this one answer."""

from bot.core.messages import NOT_FETCHED, TOO_LARGE, Attachment, Message
from bot.core.texts import Language, say
from knowledge.passages import Passage
from knowledge.reader import DocumentReader, FileUnreadable


class AttachmentReader:
    """Reads attachments with the same reader, and so within the same limits, as documents."""

    def __init__(self, reader: DocumentReader) -> None:
        self._reader = reader

    async def read(self, message: Message, language: Language) -> tuple[tuple[Passage, ...], list[str]]:
        """The passages of all files in order, and a sentence for each file that could not be read."""
        passages: list[Passage] = []
        unread: list[str] = []
        for file in message.attachments:
            if (sentence := _unseen(file, language)) is not None:
                unread.append(sentence)
                continue
            try:
                documents = await self._reader.read_bytes(file.name, file.data)
            except FileUnreadable as error:
                unread.append(say("attachment_unread", language, name=file.name, reason=error.reason))
                continue
            passages += [
                # Attachments belong to no collection: their audience is whoever reads the conversation.
                Passage(-len(passages) - 1 - number, "", document.document, document.title, draft.place, draft.text)
                for document in documents
                for number, draft in enumerate(document.drafts)
            ]
        return tuple(passages), unread


def _unseen(file: Attachment, language: Language) -> str | None:
    """Why a file is not even opened; None when it is to be read."""
    if file.media_type.startswith(TOO_LARGE):
        megabytes = int(file.media_type.removeprefix(TOO_LARGE)) / 1_000_000
        return say("attachment_too_large", language, name=file.name, megabytes=f"{megabytes:g}")
    if file.media_type == NOT_FETCHED:
        return say("attachment_not_fetched", language, name=file.name)
    if file.media_type.startswith("image/"):
        return say("attachment_picture", language, name=file.name)
    return None
