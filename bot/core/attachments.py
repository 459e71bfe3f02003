"""Reads the files sent with a question, as passages for this one answer."""

from bot.core.events import Message
from bot.core.texts import Language, say
from knowledge.passages import Passage
from knowledge.reader import Reader, Unreadable


class AttachmentReader:
    """Reads attachments with the same reader, and so within the same limits, as documents."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def read(self, message: Message, language: Language) -> tuple[tuple[Passage, ...], list[str]]:
        """The passages of all files in order, and a sentence for each file that could not be read."""
        passages: list[Passage] = []
        unread: list[str] = []
        for file in message.attachments:
            try:
                documents = await self._reader.read_bytes(file.name, file.data)
            except Unreadable as error:
                unread.append(say("attachment_unread", language, name=file.name, reason=error.reason))
                continue
            passages += [
                # Attachments belong to no collection: their audience is whoever reads the conversation.
                Passage(-len(passages) - 1 - number, "", document.document, document.title, draft.place, draft.text)
                for document in documents
                for number, draft in enumerate(document.drafts)
            ]
        return tuple(passages), unread
