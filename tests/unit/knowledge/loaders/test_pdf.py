from pathlib import Path

import pytest

from knowledge.loaders import load_documents
from knowledge.loaders.types import LoadLimits, RawFile
from knowledge.reader import FileUnreadable
from tests.fakes.pdfs import pdf

ENCRYPTED = Path(__file__).parents[3] / "data" / "encrypted.pdf"


def test_pages_keep_their_numbers_by_offset() -> None:
    (document,) = load_documents(
        RawFile("manual.pdf", pdf(["First page.", "", "Troisième page."], title="Manual")), LoadLimits()
    )
    assert document.text == "First page.\n\n\n\nTroisième page."
    assert document.title == "Manual"
    assert [document.text[start:][:5] for start in document.pages] == ["First", "\n\nTro", "Trois"]


def test_a_word_cut_at_a_lines_end_is_whole_again() -> None:
    (document,) = load_documents(RawFile("a.pdf", pdf(["The back-\nup drive and\nthe rest"])), LoadLimits())
    assert document.text == "The backup drive and\nthe rest"


def test_a_pdf_is_known_by_its_first_bytes_whatever_its_name() -> None:
    assert load_documents(RawFile("manual.txt", pdf(["Hello there."])), LoadLimits())[0].text == "Hello there."


def test_an_encrypted_pdf_is_refused_with_the_way_out() -> None:
    with pytest.raises(FileUnreadable, match="encrypted: save a copy without a password"):
        load_documents(RawFile("a.pdf", ENCRYPTED.read_bytes()), LoadLimits())


@pytest.mark.parametrize("data", [pdf(["Hello there."])[:200], b"%PDF-1.4 garbage", b"no pdf at all"])
def test_a_broken_pdf_is_refused_with_a_sentence(data: bytes) -> None:
    with pytest.raises(FileUnreadable, match="The PDF is broken"):
        load_documents(RawFile("a.pdf", data), LoadLimits())


def test_a_scan_is_told_from_a_broken_file() -> None:
    with pytest.raises(FileUnreadable, match=r"only pictures \(a scan\)"):
        load_documents(RawFile("a.pdf", pdf(["", ""])), LoadLimits())


def test_a_pdf_with_more_text_than_the_limit_is_refused() -> None:
    with pytest.raises(FileUnreadable, match="more than 1,000 characters"):
        load_documents(RawFile("a.pdf", pdf(["\n".join(["Hello there."] * 50)] * 5)), LoadLimits(text_characters=1000))
