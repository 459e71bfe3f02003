import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.loaders import load_documents
from knowledge.loaders.csv_rows import detect_delimiter
from knowledge.loaders.types import ExtractedDocument, LoadLimits, RawFile
from knowledge.reader import FileUnreadable


def loaded(source: str, template: str = "", limits: LoadLimits | None = None) -> list[ExtractedDocument]:
    return load_documents(RawFile("lists/services.csv", source.encode(), template), limits or LoadLimits())


def test_a_row_is_a_document_with_a_line_for_each_filled_column() -> None:
    first, second = loaded("Name,Port,Note\nJellyfin,8096,\nImmich,2283,photos\n")
    assert (first.text, first.title, first.row) == ("Name: Jellyfin\nPort: 8096", "Jellyfin", 1)
    assert (second.text, second.row) == ("Name: Immich\nPort: 2283\nNote: photos", 2)


def test_a_template_renders_a_row() -> None:
    (document,) = loaded("Name,Port\nJellyfin,8096\n", "{name} listens on port {Port}.")
    assert document.text == "Jellyfin listens on port 8096."


def test_braces_in_a_cell_are_not_rendered_again() -> None:
    assert loaded("a,b\n{b},x\n", "{a}")[0].text == "{b}"


def test_a_template_with_an_unknown_column_is_refused_with_the_columns_there_are() -> None:
    with pytest.raises(FileUnreadable, match=r"column 'Prot' that the file does not have; it has: Name, Port"):
        loaded("Name,Port\nJellyfin,8096\n", "{Name} {Prot}")


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(delimiter: str) -> None:
    rows = [["what", "price", "note"], ["cable", "1,50", "x; y"], ["switch", "20,00", "new"]]
    text = "\n".join(delimiter.join(f'"{cell}"' if delimiter in cell else cell for cell in row) for row in rows)
    assert detect_delimiter(text) == delimiter
    assert loaded(text)[0].text == "what: cable\nprice: 1,50\nnote: x; y"


def test_ragged_rows_are_read_as_far_as_they_go() -> None:
    short, long = loaded("a,b\n1\n1,2,3\n")
    assert short.text == "a: 1"
    assert long.text == "a: 1\nb: 2\ncolumn 3: 3"


def test_blank_and_repeated_column_names_are_numbered() -> None:
    assert loaded("a,,a\n1,2,3\n")[0].text == "a: 1\ncolumn 2: 2\na 3: 3"


def test_a_file_without_header_keeps_its_first_row() -> None:
    documents = loaded("1,2.5\n3,4\n")
    assert [document.text for document in documents] == ["column 1: 1\ncolumn 2: 2.5", "column 1: 3\ncolumn 2: 4"]
    assert [document.row for document in documents] == [1, 2]


def test_quoted_line_ends_and_blank_lines_do_not_make_rows() -> None:
    documents = loaded('a,b\n"one\r\ntwo",x\n\n , \ny,z\n')
    assert [document.text for document in documents] == ["a: one\ntwo\nb: x", "a: y\nb: z"]


def test_a_huge_field_is_kept_whole() -> None:
    (document,) = loaded("a,b\n" + "word " * 100_000 + ",x\n")
    assert len(document.text) > 499_000


def test_a_row_without_a_telling_column_is_titled_by_the_file_alone() -> None:
    assert loaded("code,port\nx,1\n")[0].title == "services"


def test_more_rows_than_the_limit_are_refused_with_the_key_to_raise() -> None:
    with pytest.raises(FileUnreadable, match=r"more than 2 rows.*row_limit"):
        loaded("a,b\n1,x\n2,y\n3,z\n", limits=LoadLimits(rows=2))


def test_a_header_alone_is_refused_with_a_sentence() -> None:
    with pytest.raises(FileUnreadable, match="no rows"):
        loaded("a,b\n")


def test_nuls_are_dropped() -> None:
    assert loaded("na\0me,b\nback\0up,x\n")[0].text == "name: backup\nb: x"


@pytest.mark.parametrize("line", ["sep=;\r\n", '"sep=;"\n', "SEP=;\n"])
def test_excels_line_with_the_separator_is_no_header(line: str) -> None:
    assert loaded(line + "Item;Price, net\nhammer;3\n")[0].text == "Item: hammer\nPrice, net: 3"


@pytest.mark.parametrize("later", ["saw,4\nx,5\n", 'saw,4\n"x",5\n', 'saw,"4"\nx,5\n'])
def test_a_quotation_mark_that_is_never_closed_swallows_no_row_and_is_reported(later: str) -> None:
    documents = loaded('item,shelf\nhammer,"3\n' + later)
    assert [document.text for document in documents if not document.problem] == [
        'item: hammer\nshelf: "3',
        "item: saw\nshelf: 4",
        "item: x\nshelf: 5",
    ]
    assert [document.problem for document in documents if document.problem] == [
        "Line 2 has a quotation mark that is not closed; it was read as it stands."
    ]


def test_inches_and_doubled_quotation_marks_are_text() -> None:
    documents = loaded('a,b\n5" disk,1\n"7"" disk",2\n"a"b,3\n')
    assert [document.text for document in documents] == ['a: 5" disk\nb: 1', 'a: 7" disk\nb: 2', "a: ab\nb: 3"]


@given(st.text(alphabet='a,;"\n\r\t |', max_size=200))
def test_any_table_is_read_or_refused_in_a_sentence(source: str) -> None:
    try:
        loaded("a,b\n" + source)
    except FileUnreadable as error:
        assert error.reason.endswith(".")


@pytest.mark.parametrize(
    "above",
    ["Inventory of the house;;;\nexported 03.03.2025;;;\n;;;\n", "Inventory of the house\nexported 03.03.2025\n\n"],
)
def test_lines_above_the_header_are_a_document_of_their_own(above: str) -> None:
    source = f"{above}Item;Room;Price;Shelf\nDrill;Workshop;129,00;Quince\nWasher;;210,00;Medlar\n"
    head, drill, washer = load_documents(RawFile("inventory.csv", source.encode()), LoadLimits())
    assert (head.text, head.row) == ("Inventory of the house\nexported 03.03.2025", None)
    assert (drill.text, drill.row) == ("Item: Drill\nRoom: Workshop\nPrice: 129,00\nShelf: Quince", 1)
    assert washer.text == "Item: Washer\nPrice: 210,00\nShelf: Medlar"


def test_a_sparse_first_row_of_a_plain_table_is_its_header() -> None:
    (row,) = load_documents(RawFile("a.csv", b"Item,,Shelf\nDrill,x,Quince\n"), LoadLimits())
    assert row.text == "Item: Drill\ncolumn 2: x\nShelf: Quince"
