import pytest

from knowledge.loaders import READABLE_SUFFIXES, load_documents
from knowledge.loaders.types import LoadLimits, RawFile
from knowledge.reader import FileUnreadable


def test_a_text_is_titled_by_its_name() -> None:
    (document,) = load_documents(RawFile("notes/spare_keys.txt", b"On the hook."), LoadLimits())
    assert (document.text, document.title, document.markdown) == ("On the hook.", "spare keys", False)


@pytest.mark.parametrize("suffix", sorted(READABLE_SUFFIXES))
@pytest.mark.parametrize("data", [b"", b"  \n\t\r\n "])
def test_an_empty_file_of_any_kind_is_refused_with_a_sentence(suffix: str, data: bytes) -> None:
    with pytest.raises(FileUnreadable, match=r"^The file is (empty|blank)"):
        load_documents(RawFile("a" + suffix, data), LoadLimits())


@pytest.mark.parametrize("name", ["readme", "script.py", "a.unknown"])
def test_an_unknown_suffix_is_tried_as_text(name: str) -> None:
    assert load_documents(RawFile(name, b"print('hello')"), LoadLimits())[0].text == "print('hello')"


@pytest.mark.parametrize("suffix", [".txt", ".md", ".html", ".csv", ".jsonl"])
def test_more_text_than_the_limit_is_refused_with_the_key_to_raise(suffix: str) -> None:
    with pytest.raises(FileUnreadable, match=r"more than 1,000 characters.*text_limit_characters"):
        load_documents(RawFile("a" + suffix, b"long " * 300), LoadLimits(text_characters=1000))
