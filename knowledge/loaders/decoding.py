"""Decoding of files: encoding detection and text normalisation."""

import re
import unicodedata
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE, BOM_UTF32_BE, BOM_UTF32_LE

from charset_normalizer import from_bytes

from knowledge.reader import FileUnreadable

_BOMS = (
    (BOM_UTF8, "utf-8-sig"),
    (BOM_UTF32_LE, "utf-32"),
    (BOM_UTF32_BE, "utf-32"),
    (BOM_UTF16_LE, "utf-16"),
    (BOM_UTF16_BE, "utf-16"),
)
_SIGNATURES = (
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"GIF8", "a picture"),
    (b"PK\x03\x04", "a ZIP archive or an office document"),
    (b"\xd0\xcf\x11\xe0", "an office document in an old format"),
    (b"\x1f\x8b", "a compressed file"),
    (b"\x7fELF", "a program"),
    (b"SQLite format 3", "a database"),
)
_SAMPLE_BYTES = 32_768
_BINARY_SHARE = 0.05
"""Compressed data has about 10% control bytes; text with stray NULs far fewer."""
_STRAY_CONTROLS = 8
_CONTROL_BYTES = bytes(set(range(32)) - set(b"\t\n\r\f\x1b")) + b"\x7f"
_WESTERN = re.compile("[àâäáãåæçéèêëíìîïñóòôöõøœúùûüÿßÀÂÄÁÅÆÇÉÈÊËÎÏÑÓÔÖØŒÙÛÜŸ€‘’“”„–—…«»°²½•·™©®§£\xa0¡]")
_WESTERN_SHARE = 0.95
_WESTERN_DENSITY = 0.3
"""Largest fraction of accented letters in a Western text; misread Russian or Greek is nearly all accents."""
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f-\x84\x86-\x9f\ufeff\ufffe\uffff\ud800-\udfff]")
_INVISIBLE = re.compile("[\u00ad\u200b\u2060]")
"""Break points in words: a soft hyphen, a blank without width and a word joiner. Joiners of Persian letters stay."""
_LIGATURES = {0xFB00 + number: letters for number, letters in enumerate(("ff", "fi", "fl", "ffi", "ffl", "st", "st"))}
_NEWLINE = re.compile("\r\n?|[\x0c\x85\u2028\u2029]")
_STRAY_BYTES = {0xDC00 + byte: bytes([byte]).decode("cp1252", "ignore") or chr(byte) for byte in range(0x80, 0x100)}


def decode_text(data: bytes, declared: str = "") -> str:
    """The text of a file, not normalised yet.

    Byte-order marks decide first, then UTF-8, the `declared` encoding, UTF-8 with stray Western bytes and Windows-1252
    are tried, and last a statistical guess. Raises FileUnreadable for binary data.
    """
    for bom, encoding in _BOMS:
        if data.startswith(bom):
            return data.decode(encoding, "replace")
    sample = _sample(data)
    if wide := _wide_encoding(sample):
        return data.decode(wide, "replace")
    _refuse_binary(data, sample)
    for encoding in ("utf-8", declared):
        text = _strictly(data, encoding)
        if text is not None:
            return text
    return _mostly_utf8(data) or _western(data) or _guessed(data, sample)


def normalise_text(text: str) -> str:
    """Text in NFC, with `\\n` for every line ending, ligatures as letters, and without control characters.

    Invisible break points in words are taken out: with them no word is found.
    """
    if not text.isascii():
        text = unicodedata.normalize("NFC", _INVISIBLE.sub("", text).translate(_LIGATURES))
    return _FORBIDDEN.sub("", _NEWLINE.sub("\n", text))


def _sample(data: bytes) -> bytes:
    if len(data) <= 3 * _SAMPLE_BYTES:
        return data
    middle = len(data) // 4 * 2
    return data[:_SAMPLE_BYTES] + data[middle : middle + _SAMPLE_BYTES] + data[-_SAMPLE_BYTES:]


def _wide_encoding(sample: bytes) -> str:
    """UTF-16 without a byte-order mark: in a Western text every second byte is NUL, and only those."""
    even, odd = sample[::2], sample[1::2]
    half = max(1, len(odd))
    zeros = (even.count(0) / half, odd.count(0) / half)
    if zeros[1] > 0.4 and zeros[0] < 0.02:
        return "utf-16-le"
    return "utf-16-be" if zeros[0] > 0.4 and zeros[1] < 0.02 else ""


def _refuse_binary(data: bytes, sample: bytes) -> None:
    for signature, meaning in _SIGNATURES:
        if data.startswith(signature):
            raise FileUnreadable(f"The file is not text: it looks like {meaning}.")
    controls = len(sample) - len(sample.translate(None, _CONTROL_BYTES))
    if controls > max(_STRAY_CONTROLS, _BINARY_SHARE * len(sample)):
        raise FileUnreadable("The file is not text: it holds binary data.")


def _strictly(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding) if encoding else None
    except (UnicodeError, LookupError):
        return None


def _mostly_utf8(data: bytes) -> str:
    """UTF-8 with pasted bytes of an older encoding; empty when it is not."""
    lenient = data.decode("utf-8", "replace")
    bad = lenient.count("\ufffd")
    good = len(lenient) - len(lenient.encode("ascii", "ignore")) - bad
    return data.decode("utf-8", "surrogateescape").translate(_STRAY_BYTES) if good >= bad else ""


def _western(data: bytes) -> str:
    """Windows-1252 (and Latin-1, its subset for text); empty when not plausible."""
    text = data.decode("latin-1").translate({code - 0xDC00: char for code, char in _STRAY_BYTES.items()})
    high = len(text) - len(text.encode("ascii", "ignore"))
    likely = len(_WESTERN.findall(text))
    plausible = likely >= _WESTERN_SHARE * high and high <= _WESTERN_DENSITY * len(text)
    return text if plausible else ""


def _guessed(data: bytes, sample: bytes) -> str:
    best = from_bytes(sample).best()
    if best is None:
        raise FileUnreadable("The file's text encoding is not recognised: save it as UTF-8.")
    return data.decode(best.encoding, "replace")
