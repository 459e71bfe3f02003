"""Loads plain text."""

from knowledge.loaders.decoding import decode, tidy
from knowledge.loaders.types import Extracted, Limits, Raw, title_of, within


def load_text(raw: Raw, limits: Limits) -> list[Extracted]:
    """One document: the decoded text, titled by the file's name."""
    text = tidy(decode(raw.data))
    within(limits, len(text))
    return [Extracted(text=text, title=title_of("", raw.name))]
