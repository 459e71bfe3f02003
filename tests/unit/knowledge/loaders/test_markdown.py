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
        ("---\ntitle: The shelf\n---\n# Other\n\ntext", "Other"),
        ("---\ntitle: The shelf\n---\n## Small\n\ntext", "The shelf"),
        ("+++\ntitle = 'The shelf'\ndate = 2024-05-01\n+++\ntext", "The shelf"),
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
def test_the_title_is_the_first_heading_or_the_front_matters_or_the_name(source: str, title: str) -> None:
    assert loaded(source).title == title


@pytest.mark.parametrize(
    ("front", "lines"),
    [
        ("title: T", "title: T"),
        (
            "tags:\n  - a\n  - b\naliases: [x, y]\nwarranty: 2028-05-13\nempty:\nnone: ~",
            "tags: a, b\naliases: x, y\nwarranty: 2028-05-13",
        ),
        ("car:\n  plate: HH-X 17", "car.plate: HH-X 17"),
        ("serial: [broken", "serial: [broken"),
    ],
)
def test_front_matter_is_a_line_for_each_field_before_the_text(front: str, lines: str) -> None:
    assert loaded(f"---\r\n{front}\r\n---\r\n# One\r\n\r\ntext").text == f"{lines}\n\n# One\n\ntext"


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("a <!-- the\n\ncode --> b", "a  b"),
        ("a %%private%% b %%\n50%% c", "a  b %%\n50%% c"),
        ("a\n%%\nprivate\n%%\nb", "a\n\nb"),
        ("<script>\nlet a\n</script>\ntext", "\ntext"),
        ("![gauge](data:image/png;base64,iVBORw0KGgo=)", "gauge"),
        ("![a][p]\n\n[p]: <data:image/png;base64,iVBO>", "![a][p]\n\n"),
        (
            "a <b>bold</b> <span class=x>word</span><br>of <host> <http://x.example>",
            "a bold word of <host> <http://x.example>",
        ),
        ('<div><input placeholder="Search"><img src=x.png alt="the plan"></div>', "the plan"),
        ("[[People/Mirela|the neighbour]]", "the neighbour (Mirela)"),
        ("[[Garden tools|the garden tools]] and [[Shed.md]]", "the garden tools and Shed"),
        ("Key: ![[Keys#Shed]] ![[plan.png|300]] ^key", "Key: Keys > Shed plan"),
        ('<input type="checkbox" checked> Oil\n<input disabled type=checkbox> Sand', "[x] Oil\n[ ] Sand"),
        (
            "<table><tr><th>Side<th>Length</tr><tr><td>north<td>4.20 m</table>",
            "\n\n| Side | Length |\n| --- | --- |\n| north | 4.20 m |\n\n",
        ),
        ("It dries.[^1] Then `[^1]`.[^2]\n\n[^1]: 21 days\n", "It dries. (21 days) Then `[^1]`.[^2]\n\n"),
        ("soft\u00adhyphen and \ufb01lter and zero\u200bwidth", "softhyphen and filter and zerowidth"),
    ],
)
def test_what_only_programs_read_is_left_out_and_links_read_as_names(source: str, text: str) -> None:
    assert loaded(source).text == text


@pytest.mark.parametrize(
    "code",
    ["`<!-- kept -->`", "``a ` [[b]]``", "```html\n<script>kept</script>\n<!-- kept -->\n```", "~~~\n[[kept]]\n~~~"],
)
def test_code_keeps_what_it_says(code: str) -> None:
    assert loaded(f"text\n\n{code}\n\n<!-- gone -->end").text == f"text\n\n{code}\n\nend"


def test_imports_of_mdx_are_left_out() -> None:
    source = "import Tabs from '@theme/Tabs'\nexport const x = 1\n\n# One\n\nimport duties are low"
    assert loaded(source, "a.mdx").text == "\n# One\n\nimport duties are low"


@pytest.mark.parametrize("sign", ["`", "<!--", "%%", "[[", "![[", "<script>", "<table>", "data:a/b;base64,", "~~~\n"])
def test_marks_that_are_never_closed_are_read_in_time(sign: str) -> None:
    assert loaded("The backup drive.\n" + f"{sign} x " * 3000).text.startswith("The backup drive.")


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
