"""Tells the language of a text."""

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier  # type: ignore[import-untyped]

_LANGUAGES = """
ar bg ca cs da de el en es et fa fi fr he hi hr hu id it ja ko lt lv nl no pl pt ro ru sk sl sr sv th tr uk vi zh
"""
"""Fewer languages, fewer mistakes: of all 140 the rare ones mostly win on names and numbers."""
_SAMPLE_CHARACTERS = 2000
_FEWEST_LETTERS = 20
_LEAST_PROBABILITY = 0.6


def detect(text: str) -> str:
    """The ISO 639-1 code of a document's language; empty when the text is too short or the answer unclear.

    The first call loads a model: most of a second and 50 MB, so call it in the reading process.
    """
    sample = text[:_SAMPLE_CHARACTERS]
    if sum(character.isalpha() for character in sample) < _FEWEST_LETTERS:
        return ""
    language, probability = _identifier().classify(sample)
    return str(language) if probability >= _LEAST_PROBABILITY else ""


@cache
def _identifier() -> "LanguageIdentifier":
    """The model, cut to our languages: what is left out would take another 25 MB."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    full = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    full.set_languages(_LANGUAGES.split())
    return LanguageIdentifier(
        full.nb_ptc, full.nb_pc, full.nb_classes, full.tk_nextmove, full.tk_output, norm_probs=True, tk_row=full.tk_row
    )
