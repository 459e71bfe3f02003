import json

from knowledge.loaders import load_documents
from knowledge.loaders.types import ExtractedDocument, LoadLimits, RawFile


def loaded(value: object) -> ExtractedDocument:
    (document,) = load_documents(RawFile("export.json", json.dumps(value).encode()), LoadLimits())
    return document


def test_messages_of_a_chat_stay_apart_below_the_name_of_their_list() -> None:
    messages = [{"from": "Ben", "text": "the key"}, {"from": "Ada", "text": "with the baker", "tags": ["a", "b"]}]
    document = loaded({"name": "Home", "messages": messages})
    assert document.title == "Home"
    assert (
        document.text
        == "name: Home\n\n## messages\n\nfrom: Ben\ntext: the key\n\nfrom: Ada\ntext: with the baker\ntags: a, b"
    )


def test_a_list_is_a_paragraph_for_each_object() -> None:
    assert loaded([{"a": 1, "b": {"c": True}}, {"a": None, "d": "x"}]).text == "a: 1\nb.c: true\n\nd: x"


def test_encoded_data_is_left_out() -> None:
    assert loaded({"name": "Home", "picture": "iVBO" * 1000}).text == "name: Home"
