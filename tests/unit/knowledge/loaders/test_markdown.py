import pytest

from knowledge.headings import Heading, find_headings
from knowledge.loaders import load_documents
from knowledge.loaders.types import ExtractedDocument, LoadLimits, RawFile


def loaded(source: str, name: str = "notes/the_shelf.md") -> ExtractedDocument:
    (document,) = load_documents(RawFile(name, source.encode()), LoadLimits())
    return document


@pytest.mark.parametrize(
    ("source", "title"),
    [
        ("---\ntitle: The shelf\n---\n# Other\n\ntext", "The shelf"),
        ("---\ntitle: 2024\n---\ntext", "2024"),
        ("---\ntitle: [broken\n---\n# Other\n\ntext", "Other"),
        ("---\ntags: [a]\n---\n## Small\n\ntext\n\n# Large", "Large"),
        ("# The `backup` **drive** &amp; [more](http://x.example)\n\ntext", "The backup drive & more"),
        ("Set\n===\n\ntext", "Set"),
        ("just text", "the shelf"),
        ("---\na: " + "[" * 50_000 + "\n---\n# Deep\n\ntext", "Deep"),
    ],
)
def test_the_title_is_the_front_matters_or_the_first_heading_or_the_name(source: str, title: str) -> None:
    assert loaded(source).title == title


def test_front_matter_is_no_part_of_the_text() -> None:
    assert loaded("---\r\ntitle: T\r\n---\r\n# One\r\n\r\ntext").text == "# One\n\ntext"


def test_a_rule_at_the_head_is_not_taken_for_front_matter() -> None:
    source = "---\nnot a field\n---\ntext"
    assert loaded(source).text == source


def test_headings_are_found_with_their_offsets_outside_code_and_quotes() -> None:
    text = "intro\n\n# One #\n\n```\n# code\n```\n\n> # quoted\n\nTwo\n---\ntext\n### Three"
    assert find_headings(text) == [
        Heading(1, "One", text.index("# One"), text.index("\n```")),
        Heading(2, "Two", text.index("Two"), text.index("text")),
        Heading(3, "Three", text.index("### Three"), len(text)),
    ]
