"""The check of doctor on languages: told where a share of the documents is in one that the embedder does not speak."""

from collections.abc import Mapping
from typing import Any

import pytest

from bot.cli.language_checks import check_languages
from bot.config.schema import Config


def config(**embedding: Any) -> Config:
    return Config.model_validate({"knowledge": {"embedding": embedding}})


def states(*languages: Mapping[str, int]) -> list[dict[str, Any]]:
    return [{"languages": dict(each)} for each in languages]


def test_french_documents_and_an_english_embedder_are_told_with_the_way_out() -> None:
    check = check_languages(config(), states({"fr": 40, "en": 10}, {"fr": 2, "": 7}))
    assert check.status == "warning"
    assert "Of 52 documents 42 are in French" in check.sentence
    assert "all-MiniLM-L6-v2-int8 speaks English only" in check.sentence
    assert "hearth models recommend" in check.sentence
    assert check.figures == {"fr": 42, "en": 10}


@pytest.mark.parametrize(
    ("embedding", "languages"),
    [
        ({}, {"en": 50}),
        ({}, {"en": 50, "fr": 2}),
        ({}, {"en": 50, "": 100}),
        ({}, {"en": 1, "fr": 2}),
        ({}, {}),
        ({"model": "multilingual-e5-small"}, {"fr": 50}),
        ({"model": "jinaai/jina-embeddings-v2-base-de"}, {"de": 50, "en": 3}),
        ({"model": "mine"}, {"fr": 50}),
        ({"kind": "hashing"}, {"fr": 50}),
    ],
)
def test_nothing_is_told_where_the_embedder_fits(embedding: dict[str, str], languages: dict[str, int]) -> None:
    assert check_languages(config(**embedding), states(languages)).status == "ok"


def test_several_languages_are_named() -> None:
    check = check_languages(config(), states({"de": 30, "fr": 20, "en": 20, "xx": 20}))
    assert "30 are in German, 20 are in French, 20 are in xx" in check.sentence
