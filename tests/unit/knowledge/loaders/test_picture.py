from io import BytesIO

import pytest
from PIL import Image, ImageDraw

from knowledge.loaders import load_documents, picture
from knowledge.loaders.types import LoadLimits, RawFile
from knowledge.reader import FileUnreadable


def png(text: str) -> bytes:
    image = Image.new("RGB", (900, 120), "white")
    ImageDraw.Draw(image).text((20, 20), text, fill="black", font_size=48)
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def test_the_words_of_a_picture_are_text() -> None:
    (document,) = load_documents(RawFile("scan_1.png", png("Price 189 EUR")), LoadLimits())
    assert document.title == "scan 1"
    assert "".join(document.text.split()) == "Price189EUR"


def test_a_picture_without_words_is_named() -> None:
    with pytest.raises(FileUnreadable, match="No text was recognised"):
        load_documents(RawFile("a.png", png("")), LoadLimits())


def test_without_the_extra_a_picture_is_refused_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture, "can_recognise", lambda: False)
    with pytest.raises(FileUnreadable, match="install Hearth's extra `ocr`"):
        load_documents(RawFile("a.jpg", png("Price")), LoadLimits())
