import pytest

from knowledge.chunking import split_text
from knowledge.table_headers import find_table_headers, header_at

ROWS = "".join(f"| {number:02} | lamp {number} | L{number % 3} |\n" for number in range(60))
HEADER = "| Circuit | Serves | Phase |\n|---|:-:|---|\n"


def test_the_header_applies_to_the_rows_below_it() -> None:
    text = f"words\n\n{HEADER}{ROWS}\nmore | words\n"
    headers = find_table_headers(text)
    assert [header.text for header in headers] == [HEADER]
    assert header_at(headers, text.index("| 30")) == HEADER
    assert header_at(headers, text.index("| Circuit")) == header_at(headers, text.index("more")) == ""


@pytest.mark.parametrize("before", ["", "# Board\n\n", "# Board\n\nSome words.\n\n"])
def test_every_piece_of_a_table_begins_with_its_header_within_the_limit(before: str) -> None:
    drafts = split_text(f"{before}{HEADER}{ROWS}", markdown=True, max_characters=300)
    assert len(drafts) > 5
    assert all(HEADER in draft.text and len(draft.text) <= 300 for draft in drafts if "| lamp" in draft.text)
    rows = [line for draft in drafts for line in draft.text.split("\n") if "| lamp" in line]
    assert rows == ROWS.strip().split("\n")
    # A piece of one row would match every question about the columns.
    assert all(draft.text.count("| lamp") != 1 for draft in drafts)


def test_a_header_longer_than_half_a_passage_is_not_repeated() -> None:
    long = f"| {'x' * 200} | b |\n|---|---|\n"
    drafts = split_text(
        long + "".join(f"| {n} | some words here |\n" for n in range(40)), markdown=True, max_characters=300
    )
    assert sum("xxx" in draft.text for draft in drafts) == 1


def test_text_that_is_no_markdown_has_no_headers() -> None:
    drafts = split_text(HEADER + ROWS, markdown=False, max_characters=300)
    assert sum("Circuit" in draft.text for draft in drafts) == 1
