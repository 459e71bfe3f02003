import pytest

from knowledge.loaders import load_documents
from knowledge.loaders.jsonl_rows import flatten_json
from knowledge.loaders.types import ExtractedDocument, LoadLimits, RawFile
from knowledge.reader import FileUnreadable


def loaded(source: str, template: str = "") -> list[ExtractedDocument]:
    return load_documents(RawFile("faq.jsonl", source.encode(), template), LoadLimits())


def test_a_line_is_a_document_with_nested_values_flattened() -> None:
    (document,) = loaded('{"title": "Router", "at": {"shelf": "B3", "row": 2}, "tags": ["a", 1, true], "none": null}\n')
    assert document.text == "title: Router\nat.shelf: B3\nat.row: 2\ntags: a, 1, true"
    assert (document.title, document.row) == ("Router", 1)


def test_lists_of_objects_are_numbered() -> None:
    assert list(flatten_json({"a": [{"b": 1}, {"b": 2}]})) == [("a.1.b", "1"), ("a.2.b", "2")]


def test_a_template_reaches_nested_values_and_leaves_missing_ones_blank() -> None:
    documents = loaded('{"q": "Where?", "a": {"text": "Here"}}\n{"q": "Why?"}\n', "{q} {a.text}")
    assert [document.text for document in documents] == ["Where? Here", "Why?"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"a": 1', "Expecting ',' delimiter at character 8"),
        ("[1, 2]", "it is not a JSON object"),
        ('{"a":' * 50_000 + "1" + "}" * 50_000, "it is nested too deeply"),
        ('{"a": ' + "1" * 5000 + "}", "it holds a number that is too long"),
    ],
)
def test_a_bad_line_is_named_by_number_and_the_others_live(line: str, reason: str) -> None:
    documents = loaded('{"a": "one"}\n\n' + line + '\n{"a": "two"}\n')
    assert [document.text for document in documents if not document.problem] == ["a: one", "a: two"]
    (bad,) = [document for document in documents if document.problem]
    assert (bad.row, bad.text) == (2, "")
    assert bad.problem == f"Line 3 cannot be read: {reason}."


def test_many_bad_lines_are_counted_and_not_all_named() -> None:
    documents = loaded('{"a": "one"}\n' + "x\n" * 1000)
    problems = [document.problem for document in documents if document.problem]
    assert len(problems) == 21
    assert problems[-1] == "980 more lines from here on cannot be read either."


def test_a_file_of_nothing_but_bad_lines_is_refused_with_the_first_reason() -> None:
    with pytest.raises(FileUnreadable, match=r"^Line 1 cannot be read"):
        loaded("hello\nthere\n")


def test_line_separators_inside_a_string_do_not_cut_the_line() -> None:
    assert loaded('{"a": "one\u2028two"}\n')[0].text == "a: one\ntwo"


def test_half_a_surrogate_pair_does_not_reach_the_text() -> None:
    assert loaded('{"a": "x\\ud83dy"}\n')[0].text == "a: xy"
