"""Files sent with a question: what cannot be read is said, not passed over."""

import pytest

from bot.core.attachments import MAX_ATTACHED_PASSAGES, AttachmentReader
from bot.core.messages import NOT_FETCHED, TOO_LARGE, Attachment
from tests.fakes.messages import message
from tests.fakes.paragraph_reader import ParagraphReader


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        (Attachment("cat.png", "image/png", b""), "I cannot see pictures: cat.png is left out."),
        (
            Attachment("film.txt", f"{TOO_LARGE}2500000", b""),
            "film.txt is larger than the 2.5 MB that I read with a question.",
        ),
        (
            Attachment("plan.pdf", NOT_FETCHED, b""),
            "plan.pdf could not be fetched, so it is left out. Please attach it again.",
        ),
        (
            Attachment("Voice message.ogg", "audio/ogg", b"OggSjunk"),
            "I cannot listen to recordings or watch videos: Voice message.ogg is left out.",
        ),
        (
            Attachment("clip.mp4", "video/mp4", b"text"),
            "I cannot listen to recordings or watch videos: clip.mp4 is left out.",
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


async def test_a_source_file_that_platforms_take_for_a_video_is_read() -> None:
    file = Attachment("main.ts", "video/MP2T", b"const key = 1;")
    passages, unread = await AttachmentReader(ParagraphReader()).parse_attachments(
        message("?", attachments=(file,)), "en"
    )
    assert (unread, [passage.text for passage in passages]) == ([], ["const key = 1;"])


async def test_of_a_huge_table_no_more_passages_are_made_than_a_prompt_could_hold() -> None:
    rows = b"\n\n".join(b"row %d" % number for number in range(20_000))
    passages, unread = await AttachmentReader(ParagraphReader()).parse_attachments(
        message(
            "?", attachments=(Attachment("table.txt", "text/plain", rows), Attachment("b.txt", "text/plain", b"b"))
        ),
        "en",
    )
    assert unread == []
    assert len(passages) == MAX_ATTACHED_PASSAGES
    assert len({passage.id for passage in passages}) == len(passages)
