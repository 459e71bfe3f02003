"""Files sent with a question: what cannot be read is said, not passed over."""

import pytest

from bot.core.attachments import AttachmentReader
from bot.core.messages import Attachment
from tests.fakes.messages import message
from tests.fakes.paragraph_reader import ParagraphReader


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
