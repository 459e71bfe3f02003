"""A reader that takes paragraphs as passages and, in a `.rows` file, lines as documents; it counts what it reads."""

from pathlib import Path

from knowledge.passages import PassageLocation
from knowledge.reader import FileUnreadable, PassageDraft, ReadDocument, SourceFile


class ParagraphReader:
    """Fills `Reader`; a file that holds `unreadable` is refused, and of one that holds `half` a part is unread."""

    def __init__(self) -> None:
        self.read_files: list[str] = []

    async def read_file(self, source: SourceFile) -> list[ReadDocument]:
        self.read_files.append(source.document)
        return await self.read_bytes(source.document, (source.folder / source.document).read_bytes())

    async def read_bytes(self, name: str, data: bytes) -> list[ReadDocument]:
        text = data.decode()
        if "unreadable" in text:
            raise FileUnreadable("It says itself that it is unreadable.")
        if name.endswith(".rows"):
            return [
                ReadDocument(
                    f"{name}#row-{n}", line, "en", (PassageDraft(PassageLocation(row=n, end=len(line)), line),)
                )
                for n, line in enumerate(text.splitlines(), start=1)
            ]
        unread = "It says that half of it is unread." if "half" in text else ""
        return [ReadDocument(name, Path(name).stem, "en", tuple(_drafts(text)), unread=unread)]

    async def close(self) -> None:
        pass


def _drafts(text: str) -> list[PassageDraft]:
    drafts, start = [], 0
    for paragraph in text.split("\n\n"):
        drafts.append(PassageDraft(PassageLocation(start=start, end=start + len(paragraph)), paragraph))
        start += len(paragraph) + 2
    return drafts
