import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.loaders.decoding import decode_text, normalise_text
from knowledge.reader import FileUnreadable

FRENCH = "Où est le câble réseau ? À l'étagère B3, près du boîtier."


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1", "cp1252"]
)
@pytest.mark.parametrize("text", [FRENCH, "Où est le câble ?", FRENCH * 50])
def test_western_text_is_read_whatever_its_encoding(text: str, encoding: str) -> None:
    assert decode_text(text.encode(encoding)) == text


def test_typographic_signs_of_windows_are_kept() -> None:
    text = "Prix : 12 € – “bon marché” … œuvre"
    assert decode_text(text.encode("cp1252")) == text


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Резервный диск лежит на полке. Копии делаются каждую ночь в два часа.", "cp1251"),
        ("Ο εφεδρικός δίσκος βρίσκεται στο ράφι. Τα αντίγραφα γίνονται κάθε βράδυ.", "cp1253"),
    ],
)
def test_other_scripts_are_guessed(text: str, encoding: str) -> None:
    assert decode_text((text * 3).encode(encoding)) == text * 3


def test_windows_bytes_pasted_into_utf8_are_both_read() -> None:
    assert (
        decode_text("déjà vu à côté, ".encode() * 3 + "étagère".encode("cp1252")) == "déjà vu à côté, " * 3 + "étagère"
    )


def test_a_declared_encoding_is_believed_when_it_fits() -> None:
    text = "Zażółć gęślą jaźń"
    assert decode_text(text.encode("iso8859-2"), "iso-8859-2") == text
    assert decode_text("café".encode(), "no-such-charset") == "café"


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (os.urandom(100_000), "binary data"),
        (bytes(1000), "binary data"),
        (b"\x89PNG\r\n\x1a\n" + os.urandom(500), "a picture"),
        (b"PK\x03\x04" + os.urandom(500), "a ZIP archive or an office document"),
        (b"\x7fELF" + os.urandom(500), "a program"),
    ],
)
def test_binary_data_is_refused_with_a_sentence(data: bytes, sentence: str) -> None:
    with pytest.raises(FileUnreadable, match=sentence):
        decode_text(data)


def test_a_few_stray_nuls_do_not_make_a_text_binary() -> None:
    assert (
        normalise_text(decode_text(b"name,place\nbackup\0 drive,shelf B3\0\n")) == "name,place\nbackup drive,shelf B3\n"
    )


@pytest.mark.parametrize(
    ("text", "tidied"),
    [
        ("a\r\nb\rc\u2028d\x0ce", "a\nb\nc\nd\ne"),
        ("e\u0301te\u0301", "été"),
        ("\ufeffbell\x07 and \x1b[1mbold", "bell and [1mbold"),
        ("tab\tstays", "tab\tstays"),
        ("half \ud83d of a pair", "half  of a pair"),
    ],
)
def test_tidying_leaves_text_and_line_ends(text: str, tidied: str) -> None:
    assert normalise_text(text) == tidied


@given(st.binary(max_size=400))
def test_any_bytes_become_text_that_can_be_stored_or_a_sentence(data: bytes) -> None:
    try:
        text = normalise_text(decode_text(data))
    except FileUnreadable as error:
        assert str(error).endswith(".")
    else:
        assert "\0" not in text
        assert text.encode().decode() == text
