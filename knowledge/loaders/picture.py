"""Picture loader: the text of photographs and scans, with the extra `ocr`."""

import warnings
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from io import BytesIO
from typing import Any

from PIL import Image, UnidentifiedImageError

from knowledge.loaders.decoding import normalise_text
from knowledge.loaders.types import ExtractedDocument, LoadLimits, RawFile, document_title
from knowledge.reader import FileUnreadable

_LONGEST_SIDE = 2600
_DETECTED_SIDE = 1280
_MOST_PIXELS = 100_000_000


def load(raw: RawFile, limits: LoadLimits) -> list[ExtractedDocument]:
    """One document: the lines of text in a picture. Raises FileUnreadable without the extra, or without text."""
    if not can_recognise():
        raise FileUnreadable("The file is a picture: install Hearth's extra `ocr` to read the text in pictures.")
    text = recognise_text(_opened(raw.data))
    if not text.strip():
        raise FileUnreadable("No text was recognised in the picture.")
    return [ExtractedDocument(text=text, title=document_title("", raw.name), pages=())]


@cache
def can_recognise() -> bool:
    """Whether the extra `ocr` is installed."""
    return find_spec("rapidocr") is not None


def warm_up() -> None:
    """Import what opens a socket when it is imported (to see whether there is IPv6), before sockets are denied."""
    if can_recognise():
        import_module("urllib3.util.connection")


def recognise_text(picture: Image.Image) -> str:
    """The lines of text in a picture, from top to bottom."""
    import numpy

    picture = picture.convert("RGB")
    picture.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
    found = _recogniser()(numpy.asarray(picture))
    return normalise_text("\n".join(found.txts or ()))


@cache
def _recogniser() -> Any:
    from rapidocr import RapidOCR  # type: ignore[import-not-found,unused-ignore]

    return RapidOCR(
        params={
            "Global.log_level": "critical",
            "EngineConfig.onnxruntime.intra_op_num_threads": 1,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
            # By default small pictures are made larger, to gigabytes of working memory.
            "Det.limit_type": "max",
            "Det.limit_side_len": _DETECTED_SIDE,
        }
    )


def _opened(data: bytes) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            picture = Image.open(BytesIO(data))
            if picture.width * picture.height > _MOST_PIXELS:
                raise FileUnreadable(f"The picture has {picture.width:,} x {picture.height:,} pixels: make it smaller.")
            picture.load()
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise FileUnreadable("The picture is broken or of a kind that is not read.") from error
    return picture
