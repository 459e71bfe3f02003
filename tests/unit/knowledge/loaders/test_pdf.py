from pathlib import Path

import pytest

from knowledge.loaders import load_documents
from knowledge.loaders import pdf as pdf_loader
from knowledge.loaders.types import ExtractedDocument, LoadLimits, RawFile
from knowledge.reader import FileUnreadable
from tests.fakes.pdfs import pdf, placed_pdf

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


def loaded(data: bytes, name: str = "a_b.pdf") -> ExtractedDocument:
    (document,) = load_documents(RawFile(name, data), LoadLimits(recognised_pages=0))
    return document


def test_columns_drawn_row_by_row_are_read_one_after_the_other_with_their_lines() -> None:
    left = [(60, 700 - 14 * line, f"left line {line} of") for line in range(8)]
    right = [(320, 700 - 14 * line, f"right line {line} of") for line in range(8)]
    rows = [text for pair in zip(left, right, strict=True) for text in pair]
    assert loaded(placed_pdf([rows])).text.split() == " ".join(text for _, _, text in left + right).split()
    assert "line 6 of\nleft line 7" in loaded(placed_pdf([rows])).text


def test_values_of_a_form_are_text() -> None:
    labels = [(60, 705, "Policy number:"), (60, 665, "Amount claimed:")]
    text = loaded(placed_pdf([labels], values=[("policy", "HV-20-4471"), ("amount", "1,240 EUR"), ("none", "")])).text
    assert "HV-20-4471" in text
    assert "1,240 EUR" in text
    assert "none" not in text


def test_pages_that_are_pictures_are_named() -> None:
    pages = [[(60, 705, "Text of the first page.")], [], [], [(60, 700, "The last words.")], []]
    document = loaded(placed_pdf(pages, pictures=True))
    assert document.unread.startswith("Pages 2–3, 5 are pictures without text (a scan): ")
    assert loaded(placed_pdf(pages)).unread == ""


def test_a_single_picture_is_named_as_one() -> None:
    document = loaded(placed_pdf([[(60, 705, "Text of the first page.")], []], pictures=True))
    assert document.unread.startswith("Page 2 is a picture without text")


def test_lines_that_run_over_all_pages_are_left_out() -> None:
    pages = [
        [
            (60, 800, "House rules 2026"),
            (60, 700, f"Body {number} of it."),
            (60, 600, f"More {number}."),
            (280, 30, f"Page {number} of 5"),
        ]
        for number in range(1, 6)
    ]
    text = loaded(placed_pdf(pages)).text
    assert "House rules" not in text
    assert "of 5" not in text
    assert all(f"Body {number} of it." in text and f"More {number}." in text for number in range(1, 6))


@pytest.mark.parametrize(
    "title",
    [
        "",
        "Microsoft Word - Invoice_template.docx",
        "untitled",
        "Untitled-3",
        "flyer.indd",
        "Document1",
        "PowerPoint Presentation",
    ],
)
def test_what_programs_write_as_title_is_none(title: str) -> None:
    assert loaded(pdf(["Invoice for March."], title=title), "2025-03_power.pdf").title == "2025-03 power"


def test_where_the_layout_loses_letters_pdfiums_text_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf_loader, "page_markdown", lambda page: "? ? ? ?")
    assert loaded(pdf(["The backup drive."])).text == "The backup drive."


def test_a_page_that_the_layout_lacks_is_pdfiums(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf_loader, "_parsed", lambda data: {})
    assert loaded(pdf(["The backup drive."])).text == "The backup drive."
