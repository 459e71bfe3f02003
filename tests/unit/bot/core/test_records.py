"""What the history stores reads back as it was."""

import pytest

from bot.core.messages import Attachment
from bot.core.records import attachment_from_row, attachment_row


@pytest.mark.parametrize(
    "file",
    [
        Attachment("a.txt", "text/plain", b"text"),
        Attachment("a", "", b""),
        Attachment.too_large("film.mkv", 20_000_000),
        Attachment.not_fetched("plan.pdf"),
    ],
)
def test_an_attachment_reads_back_as_it_was(file: Attachment) -> None:
    assert attachment_from_row(attachment_row(file)) == file


@pytest.mark.parametrize(
    "media_type", ["application/vnd.hearth.too-large; limit=abc", "application/vnd.hearth.not-fetched"]
)
def test_no_media_type_of_a_sender_reads_back_as_a_file_that_is_missing(media_type: str) -> None:
    file = Attachment("a.txt", media_type, b"text")
    assert attachment_from_row(attachment_row(file)) == Attachment("a.txt", "application/octet-stream", b"text")
