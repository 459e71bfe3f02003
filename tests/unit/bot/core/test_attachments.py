"""Files sent with a question: what cannot be read is said, not passed over."""

import asyncio

import pytest

from bot.core.attachments import AttachmentReader
from bot.core.messages import Attachment
from knowledge.reader import ReadDocument
from tests.fakes.messages import message
from tests.fakes.paragraph_reader import ParagraphReader
from tests.fakes.until import until


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        (Attachment("cat.png", "image/png", b""), "I cannot see pictures: cat.png is left out."),
        (
            Attachment.too_large("film.txt", 2_500_000),
            "film.txt is larger than the 2.5 MB that I read with a question.",
        ),
        (
            Attachment.not_fetched("plan.pdf"),
            "plan.pdf could not be fetched, so it is left out. Please attach it again.",
        ),
    ],
)
async def test_what_the_adapter_did_not_fetch_is_named(file: Attachment, sentence: str) -> None:
    note = Attachment("note.txt", "text/plain", b"The key hangs by the door.")
    passages, unread = await AttachmentReader(ParagraphReader()).parse_attachments(
        message("?", attachments=(file, note)), "en"
    )
    assert unread == [sentence]
    assert [passage.text for passage in passages] == ["The key hangs by the door."]


class SlowReader(ParagraphReader):
    """A reader whose files named `slow` take until `gate` is set; `read` is the order in which files were begun."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.read: list[str] = []

    async def read_bytes(self, name: str, data: bytes) -> list[ReadDocument]:
        self.read.append(name)
        if name.startswith("slow"):
            await self.gate.wait()
        return await super().read_bytes(name, data)


def files(*names: str) -> tuple[Attachment, ...]:
    return tuple(Attachment(name, "text/plain", b"The key hangs by the door.") for name in names)


async def test_the_files_of_one_message_have_one_limit_of_time() -> None:
    attachments = AttachmentReader(SlowReader(), limit_s=0.02)
    asked = message("?", attachments=files("a.txt", "slow.txt", "b.txt"))
    passages, problems = await attachments.parse_attachments(asked, "en")
    assert [passage.document for passage in passages] == ["a.txt"]
    assert [problem.partition(" is left out")[0] for problem in problems] == ["slow.txt", "b.txt"]


async def test_one_persons_files_delay_those_of_others_by_one_file() -> None:
    reader = SlowReader()
    attachments = AttachmentReader(reader)
    reading = [
        asyncio.create_task(attachments.parse_attachments(message("?", author=author, attachments=files(*names)), "en"))
        for author, *names in (("ana", "slow-1", "slow-2"), ("ana", "slow-3"), ("ben", "ben-1"), ("eve", "eve-1"))
    ]
    await until(lambda: reader.read)
    reader.gate.set()
    await asyncio.gather(*reading)
    assert reader.read == ["slow-1", "ben-1", "eve-1", "slow-2", "slow-3"]


@pytest.mark.parametrize("media_type", ["application/vnd.hearth.too-large; limit=abc", "application/vnd.hearth.x", ""])
async def test_a_media_type_is_only_the_senders_word(media_type: str) -> None:
    asked = message("?", attachments=(Attachment("a.txt", media_type, b"The key hangs by the door."),))
    passages, problems = await AttachmentReader(ParagraphReader()).parse_attachments(asked, "en")
    assert ([passage.text for passage in passages], problems) == (["The key hangs by the door."], [])
