"""Check of `hearth doctor` on languages: whether the embedding model speaks those of the documents."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from adapters.platform import Check
from bot.config.schema import Config
from knowledge.embedding_presets import spoken_languages
from knowledge.languages import LANGUAGE_NAMES

_LEAST_SHARE = 0.1
"""A language of fewer documents is not told: detection errs, and most folders hold a foreign page or two."""
_FEWEST_DOCUMENTS = 3


def check_languages(config: Config, collections: Sequence[Mapping[str, Any]]) -> Check:
    """Whether the embedding model was made for the languages of the documents, by the collections of the state."""
    embedding = config.knowledge.embedding
    spoken = spoken_languages(embedding)
    counts: Counter[str] = Counter()
    for collection in collections:
        counts.update({code: count for code, count in collection["languages"].items() if code})
    figures = dict(counts.most_common())
    if spoken is None or not counts:
        return Check("languages", "ok", f"{embedding.model} is not limited to some languages.", figures)
    least = max(_FEWEST_DOCUMENTS, _LEAST_SHARE * counts.total())
    foreign = [(code, count) for code, count in counts.most_common() if code not in spoken and count >= least]
    own = " and ".join(language_name(code) for code in sorted(spoken))
    if not foreign:
        return Check("languages", "ok", f"{embedding.model} speaks {own}, as the documents do.", figures)
    told = ", ".join(f"{count} {'is' if count == 1 else 'are'} in {language_name(code)}" for code, count in foreign)
    sentence = (
        f"Of {counts.total()} documents {told}, and {embedding.model} speaks {own} only: they are found by their words,"
        " hardly by their meaning. `hearth models recommend` names embedding models that speak more."
    )
    return Check("languages", "warning", sentence, figures)


def language_name(code: str) -> str:
    """The English name of a language; its code when it has none here."""
    return LANGUAGE_NAMES.get(code, code)
