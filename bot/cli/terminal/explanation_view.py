"""Explanation of a hit for people: the parts of its score, and what would have to change for a better place."""

from collections.abc import Iterator, Mapping
from typing import Any

_SHOWN_WORDS = 8
_LEAST_SHARE = 0.005
"""Shares of a score below this are shown as none."""


def explain_hit(hit: Mapping[str, Any], better: Mapping[str, Any] | None) -> Iterator[str]:
    """Lines on a hit with its explanation; `better` is the hit one place above, None for the first."""
    parts = hit["explanation"]
    previous = f" + previous question {parts['context']:.2f}" if parts["context"] else ""
    yield f"score {hit['score']:.2f} = words {parts['lexical']:.2f} + meaning {parts['vector']:.2f}{previous}"
    if words := ", ".join(_word(word) for word in parts["words"][:_SHOWN_WORDS]):
        yield f"words: {words}"
    if parts["cosine"] is not None:
        yield f"meaning: cosine {parts['cosine']:.2f}, all passages on average {parts['background']:.2f}"
    if parts["reranker"] is not None:
        yield f"reranker: {parts['reranker']:.2f}"
    yield from (f"→ {sentence}" for sentence in _changes(hit, better))


def _word(word: Mapping[str, Any]) -> str:
    if word["share"] >= _LEAST_SHARE:
        return f"{word['word']} {word['share']:.2f}"
    return f"{word['word']} –"


def _changes(hit: Mapping[str, Any], better: Mapping[str, Any] | None) -> Iterator[str]:
    parts = hit["explanation"]
    if hit["score"] < parts["threshold"]:
        lacking = parts["threshold"] - hit["score"]
        yield f"It lacks {lacking:.2f} to support an answer, which needs {parts['threshold']:.2f}."
    missing = [word for word in parts["words"] if word["share"] < _LEAST_SHARE]
    elsewhere = [word for word in missing if word["passages"]]
    if elsewhere:
        named = ", ".join(f"{word['word']} ({word['most']:.2f})" for word in elsewhere[:_SHOWN_WORDS])
        yield f"These words of the question are in other passages only; here they would add about: {named}."
    unknown = [word["word"] for word in missing if not word["passages"]]
    if unknown:
        yield f"No passage has these words of the question: {', '.join(unknown[:_SHOWN_WORDS])}."
    if parts["cosine"] is None:
        yield "It is compared by words only: it has no vector, or the embedding model does not work (`hearth doctor`)."
    elif parts["vector"] <= 0:
        yield "Its meaning is no nearer to the question than that of the average passage."
    if better is not None and better["score"] >= hit["score"]:
        yield f"The place above needs {better['score'] - hit['score']:.2f} more."
    elif better is not None:
        yield "The reranker put it below the one above, which has the lower score."
