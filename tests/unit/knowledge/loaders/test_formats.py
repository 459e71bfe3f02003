import pytest

from knowledge.loaders import READABLE_SUFFIXES, load_documents
from knowledge.loaders.formats import LOADER_MODULES, OFFICE, find_loader
from knowledge.loaders.types import LoadLimits, RawFile

PAGE = b"<!DOCTYPE html><html><body><table><tr><th>Device</th></tr><tr><td>Router</td></tr></table></body></html>"


@pytest.mark.parametrize(
    ("name", "data", "text"),
    [
        ("export.xls", PAGE, "| Device |\n| --- |\n| Router |"),
        ("letter.doc", PAGE, "| Device |\n| --- |\n| Router |"),
        ("letter.doc", rb"{\rtf1 The router.}", "The router."),
        ("letter.doc", b"The router.", "The router."),
        ("export.xls", b"Device\tShelf\nRouter\tBramble\n", "Device: Router\nShelf: Bramble"),
        (
            "mail.msg",
            b"From: a@example.org\nSubject: House\n\nThe router.",
            "# House\n\nFrom: a@example.org\n\nThe router.",
        ),
    ],
)
def test_text_under_an_office_name_is_read_as_what_it_is(name: str, data: bytes, text: str) -> None:
    assert load_documents(RawFile(name, data), LoadLimits())[0].text == text


def test_every_suffix_has_a_loader_and_every_loader_is_used() -> None:
    modules = {
        find_loader(RawFile(f"a{suffix}", b"x,y")).__module__
        for suffix in READABLE_SUFFIXES
        if suffix[1:] not in OFFICE
    }
    assert modules | {"knowledge.loaders.office", "knowledge.loaders.picture"} == {
        f"knowledge.loaders.{module}" for module in LOADER_MODULES
    }
    assert len(READABLE_SUFFIXES) > 60
