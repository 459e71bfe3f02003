import pytest

from knowledge.loaders import load_documents
from knowledge.loaders.types import ExtractedDocument, LoadLimits, RawFile
from knowledge.reader import FileUnreadable
from tests.fakes import office_files

TABLE = [["Device", "Shelf"], ["Router", "Bramble"]]
SHOWN = "| Device | Shelf |\n| --- | --- |\n| Router | Bramble |"


def loaded(name: str, data: bytes) -> ExtractedDocument:
    (document,) = load_documents(RawFile(name, data), LoadLimits())
    assert document.markdown
    return document


NOTEBOOK = (
    b'{"cells":[{"cell_type":"markdown","metadata":{},"source":["# House\\n","The router."]},{"cell_type":"code",'
    b'"metadata":{},"source":["print(1)"],"outputs":[],"execution_count":1}],"metadata":{},"nbformat":4,'
    b'"nbformat_minor":5}'
)


@pytest.mark.parametrize(
    ("name", "data", "title", "text"),
    [
        (
            "a.docx",
            office_files.docx(heading="House", paragraphs=["The <router>."], table=TABLE),
            "House",
            f"# House\n\nThe <router>.\n\n{SHOWN}",
        ),
        (
            "a.odt",
            office_files.odt(heading="House", paragraphs=["The router."], table=TABLE),
            "House",
            f"# House\n\nThe router.\n\n{SHOWN}",
        ),
        (
            "a_b.xlsx",
            office_files.xlsx({"Devices": TABLE, "Rooms": [["Room"], [3]]}),
            "a b",
            f"## Devices\n\n{SHOWN}\n\n## Rooms\n\n| Room |\n| --- |\n| 3 |",
        ),
        ("a.ods", office_files.ods({"Devices": TABLE}), "a", f"## Devices\n\n{SHOWN}"),
        ("a.pptx", office_files.pptx([("House", ["The router."], [])]), "House", "## House\n\nThe router."),
        ("a.epub", office_files.epub("Book", {"House": "<p>The rou&shy;ter.</p>"}), "Book", "# House\n\nThe router."),
        ("a.rtf", rb"{\rtf1\ansi The r\'f4uter.\par}", "a", "The rôuter."),
        ("a.ipynb", NOTEBOOK, "House", "# House\n\nThe router.\n\n```\nprint(1)\n```"),
        (
            "a.rst",
            b"House\n=====\n\nThe *router*.\n\n.. note:: Hot",
            "House",
            "# House\n\nThe *router*.\n\n> **note:** Hot",
        ),
        ("a.org", b"* House\n- [X] router", "House", "# House\n\n- [X] router"),
    ],
)
def test_each_kind_becomes_markdown_with_a_title(name: str, data: bytes, title: str, text: str) -> None:
    document = loaded(name, data)
    assert (document.title, document.text) == (title, text)


def test_slides_of_an_open_document_are_read() -> None:
    assert "The router." in loaded("a.odp", office_files.odp([("House", ["The router."])])).text


@pytest.mark.parametrize("name", ["a.txt", "a.doc", "a.xlsx", "a", "a.docx"])
def test_a_document_is_known_by_its_content_whatever_its_name(name: str) -> None:
    assert loaded(name, office_files.odt(paragraphs=["The router."])).text == "The router."


def test_more_text_than_the_limit_is_refused() -> None:
    data = office_files.docx(paragraphs=["The router."] * 200)
    with pytest.raises(FileUnreadable, match="limit"):
        load_documents(RawFile("a.docx", data), LoadLimits(text_characters=1000))
