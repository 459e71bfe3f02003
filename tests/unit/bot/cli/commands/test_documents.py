"""The lines of `hearth documents`."""

import pytest

from bot.cli.commands.documents import file_line
from bot.server.json_output import file_fields
from knowledge.passages import FileState


@pytest.mark.parametrize(
    ("file", "line"),
    [
        (FileState("a", "b.md", 1, 2, 300, None, "", ""), "a/b.md: 2 passages"),
        (FileState("a", "b.csv", 40, 41, 300, None, "", ""), "a/b.csv: 40 documents, 41 passages"),
        (FileState("a", "b.pdf", 0, 0, 0, None, "It is broken.", ""), "a/b.pdf: not read: It is broken."),
        (FileState("a", "b.pdf", 1, 3, 0, None, "It is broken.", ""), "a/b.pdf: 3 passages; not read: It is broken."),
        (FileState("a", "b.log", 1, 3, 0, None, "", "Its end."), "a/b.log: 3 passages; read in part: Its end."),
    ],
)
def test_a_file_has_one_line_with_its_contents_and_faults(file: FileState, line: str) -> None:
    (fields,) = file_fields([file])
    assert file_line(fields) == line


def test_the_time_of_reading_is_told_to_the_minute() -> None:
    (fields,) = file_fields([FileState("a", "b.md", 1, 1, 1, 1_800_000_000.0, "", "")])
    assert fields["read_at"][:16].replace("T", " ") in file_line(fields)
