import pytest
from hypothesis import given
from hypothesis import strategies as st

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
        ("---\ndate: 2024-02-30\ncreated: 0000-00-00\ntitle: The shelf\n---\ntext", "The shelf"),
        ("---\ntitle: 2024-02-30\n---\ntext", "2024-02-30"),
        ("---\ntitle: ~\n---\n# Other\n\ntext", "Other"),
        ('---\ntitle: "\\UFFFFFFFF"\n---\n# Other\n\ntext', "Other"),
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


_SCALARS = st.one_of(
    st.sampled_from(
        ["2024-02-30", "0000-00-00", "0x", "0o9", "1_", "1:99:99", ".inf", "=", "<<", "!!int x", "!!binary é"]
    ),
    st.sampled_from(["*a", "&a [*a]", "? [a]", "{a: b}: c", '"\\uD800"', "!!python/object:os.system x", "9" * 5000]),
    st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=20),
)


@given(st.lists(st.tuples(st.sampled_from(["title", "date", "tags", "? x", "- y"]), _SCALARS), max_size=6))
def test_no_front_matter_keeps_a_text_from_being_read(fields: list[tuple[str, str]]) -> None:
    front = "\n".join(f"{key}: {value}" for key, value in fields)
    assert "The backup drive." in loaded(f"---\n{front}\n---\n\nThe backup drive.").text
