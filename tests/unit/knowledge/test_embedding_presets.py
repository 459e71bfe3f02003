"""Presets: what each family of embedding models expects, and what the settings override."""

import pytest

from knowledge.embedding_presets import complete_settings, find_preset, spoken_languages
from knowledge.settings import EmbeddingSettings


def test_the_default_recipe_is_what_indexes_of_earlier_versions_were_made_with() -> None:
    assert complete_settings(EmbeddingSettings()).model_dump_json() == (
        '{"kind":"fastembed","model":"all-MiniLM-L6-v2-int8","model_file":"model.onnx","dimension":384,'
        '"pooling":"mean","question_prefix":"","passage_prefix":""}'
    )


@pytest.mark.parametrize(
    ("model", "pooling", "question", "passage", "dimension"),
    [
        ("multilingual-e5-small", "mean", "query: ", "passage: ", 384),
        ("intfloat/multilingual-e5-large", "mean", "query: ", "passage: ", 1024),
        ("intfloat/multilingual-e5-large-instruct", "mean", "Instruct: ", "", 1024),
        ("intfloat/e5-base-v2", "mean", "query: ", "passage: ", 768),
        ("Snowflake/snowflake-arctic-embed-m-v2.0", "cls", "query: ", "", 768),
        ("snowflake/snowflake-arctic-embed-xs", "cls", "Represent this sentence", "", 384),
        ("BAAI/bge-m3", "cls", "", "", 1024),
        ("BAAI/bge-small-en-v1.5", "cls", "Represent this sentence", "", 384),
        ("Alibaba-NLP/gte-multilingual-base", "cls", "", "", 768),
        ("thenlper/gte-base", "mean", "", "", 768),
        ("nomic-ai/nomic-embed-text-v1.5-Q", "mean", "search_query: ", "search_document: ", 768),
        ("google/embeddinggemma-300m", "none", "task: search result", "title: none", 768),
        ("Qwen/Qwen3-Embedding-0.6B-Q", "last_token", "Instruct: ", "", 1024),
        ("sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2", "mean", "", "", 384),
        ("somebody/something-else", "mean", "", "", 384),
    ],
)
def test_a_family_is_told_by_the_name(model: str, pooling: str, question: str, passage: str, dimension: int) -> None:
    recipe = complete_settings(EmbeddingSettings(model=model))
    assert (recipe.pooling, recipe.dimension) == (pooling, dimension)
    assert recipe.question_prefix.startswith(question)
    assert recipe.passage_prefix.startswith(passage)
    assert bool(recipe.question_prefix) == bool(question)
    assert bool(recipe.passage_prefix) == bool(passage)


def test_settings_override_the_preset_even_with_nothing() -> None:
    settings = EmbeddingSettings(model="multilingual-e5-small", question_prefix="", pooling="cls", dimension=128)
    recipe = complete_settings(settings, model_file="other.onnx", dimension=lambda: 999)
    assert (recipe.question_prefix, recipe.passage_prefix) == ("", "passage: ")
    assert (recipe.pooling, recipe.dimension, recipe.model_file) == ("cls", 128, "other.onnx")


def test_an_unknown_models_own_dimension_counts() -> None:
    assert complete_settings(EmbeddingSettings(model="mine"), dimension=lambda: 512).dimension == 512
    assert complete_settings(EmbeddingSettings(model="mine", dimension=64), dimension=lambda: 512).dimension == 64


def test_a_known_model_is_not_asked_for_its_dimension() -> None:
    def fail() -> int:
        raise AssertionError("it was asked")

    assert complete_settings(EmbeddingSettings(model="bge-m3"), dimension=fail).dimension == 1024


@pytest.mark.parametrize(
    ("settings", "languages"),
    [
        ({}, {"en"}),
        ({"model": "multilingual-e5-small"}, None),
        ({"model": "jinaai/jina-embeddings-v2-base-de"}, {"de", "en"}),
        ({"model": "mine"}, None),
        ({"kind": "hashing"}, None),
    ],
)
def test_the_languages_of_a_model(settings: dict[str, str], languages: set[str] | None) -> None:
    assert spoken_languages(EmbeddingSettings.model_validate(settings)) == languages


def test_presets_agree_with_fastembed_on_every_model_that_both_know() -> None:
    from fastembed import TextEmbedding

    for known in TextEmbedding.list_supported_models():
        preset = find_preset(known["model"])
        if preset and preset.dimension and "clip" not in known["model"]:
            assert preset.dimension == known["dim"], known["model"]
