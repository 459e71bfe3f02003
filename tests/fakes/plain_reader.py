"""A reader that takes every file as one passage of text, for tests of what is above reading."""

from knowledge.passages import Place
from knowledge.reader import Draft, ReadDocument, SourceFile, Unreadable


class PlainReader:
    """Fills `Reader`; a file that holds `unreadable` is refused."""

    async def read(self, source: SourceFile) -> list[ReadDocument]:
        return await self.read_bytes(source.document, source.path.read_bytes())

    async def read_bytes(self, name: str, data: bytes) -> list[ReadDocument]:
        text = data.decode()
        if "unreadable" in text:
            raise Unreadable("It says itself that it is unreadable.")
        return [ReadDocument(name, name, "en", (Draft(Place(end=len(text)), text),))]

    async def close(self) -> None:
        pass
