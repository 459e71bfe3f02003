"""Presets of embedding models: prefixes, pooling, dimension and languages, by the family that a model's name tells."""

import re
from collections.abc import Callable, Set
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict

from knowledge.settings import EmbeddingSettings

Pooling = Literal["mean", "cls", "last_token", "none"]

_ENGLISH = frozenset({"en"})
_FALLBACK_DIMENSION = 384
_SEARCH_INSTRUCTION = "Represent this sentence for searching relevant passages: "
_TASK = "Given a web search query, retrieve relevant passages that answer the query"


@dataclass(frozen=True, slots=True)
class EmbeddingPreset:
    """What a family of embedding models expects, as its makers document it.

    `dimension` is None where the sizes of a family differ. `languages`: ISO 639-1 codes; None for a model of some
    fifty languages or more.
    """

    pooling: Pooling = "mean"
    question_prefix: str = ""
    passage_prefix: str = ""
    dimension: int | None = None
    languages: Set[str] | None = None


class EmbeddingRecipe(BaseModel):
    """The settings of an embedder with nothing left open. Its JSON is part of the fingerprint of the vectors."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["fastembed", "hashing"]
    model: str
    model_file: str
    dimension: int
    pooling: Pooling
    question_prefix: str
    passage_prefix: str


_PRESETS: tuple[tuple[str, EmbeddingPreset], ...] = (
    (r"multilingual-e5-.*instruct", EmbeddingPreset("mean", f"Instruct: {_TASK}\nQuery: ", "", 1024)),
    (r"multilingual-e5-small", EmbeddingPreset("mean", "query: ", "passage: ", 384)),
    (r"multilingual-e5-base", EmbeddingPreset("mean", "query: ", "passage: ", 768)),
    (r"multilingual-e5-large", EmbeddingPreset("mean", "query: ", "passage: ", 1024)),
    (r"e5-small", EmbeddingPreset("mean", "query: ", "passage: ", 384, _ENGLISH)),
    (r"e5-base", EmbeddingPreset("mean", "query: ", "passage: ", 768, _ENGLISH)),
    (r"e5-large", EmbeddingPreset("mean", "query: ", "passage: ", 1024, _ENGLISH)),
    (r"arctic-embed-m-v2", EmbeddingPreset("cls", "query: ", "", 768)),
    (r"arctic-embed-l-v2", EmbeddingPreset("cls", "query: ", "", 1024)),
    (r"arctic-embed-(xs|s)\b", EmbeddingPreset("cls", _SEARCH_INSTRUCTION, "", 384, _ENGLISH)),
    (r"arctic-embed-m", EmbeddingPreset("cls", _SEARCH_INSTRUCTION, "", 768, _ENGLISH)),
    (r"arctic-embed-l", EmbeddingPreset("cls", _SEARCH_INSTRUCTION, "", 1024, _ENGLISH)),
    (r"bge-m3", EmbeddingPreset("cls", "", "", 1024)),
    (r"bge-small-en", EmbeddingPreset("cls", _SEARCH_INSTRUCTION, "", 384, _ENGLISH)),
    (r"bge-base-en", EmbeddingPreset("cls", _SEARCH_INSTRUCTION, "", 768, _ENGLISH)),
    (r"bge-large-en", EmbeddingPreset("cls", _SEARCH_INSTRUCTION, "", 1024, _ENGLISH)),
    (
        r"bge-small-zh",
        EmbeddingPreset("cls", "为这个句子生成表示以用于检索相关文章：", "", 512, frozenset({"zh"})),
    ),
    (r"gte-multilingual-base", EmbeddingPreset("cls", "", "", 768)),
    (r"gte-modernbert-base", EmbeddingPreset("cls", "", "", 768, _ENGLISH)),
    (r"gte-small", EmbeddingPreset("mean", "", "", 384, _ENGLISH)),
    (r"gte-base", EmbeddingPreset("mean", "", "", 768, _ENGLISH)),
    (r"gte-large", EmbeddingPreset("mean", "", "", 1024, _ENGLISH)),
    (r"nomic-embed-text-v1", EmbeddingPreset("mean", "search_query: ", "search_document: ", 768, _ENGLISH)),
    (r"mxbai-embed-large", EmbeddingPreset("cls", _SEARCH_INSTRUCTION, "", 1024, _ENGLISH)),
    (
        r"embeddinggemma",
        EmbeddingPreset("none", "task: search result | query: ", "title: none | text: ", 768),
    ),
    (r"qwen3-embedding-0\.6b", EmbeddingPreset("last_token", f"Instruct: {_TASK}\nQuery:", "", 1024)),
    (r"granite-embedding-107m-multilingual", EmbeddingPreset("cls", "", "", 384)),
    (r"granite-embedding-278m-multilingual", EmbeddingPreset("cls", "", "", 768)),
    (r"granite-embedding-small-english", EmbeddingPreset("cls", "", "", 384, _ENGLISH)),
    (r"paraphrase-multilingual-minilm", EmbeddingPreset("mean", "", "", 384)),
    (r"paraphrase-multilingual-mpnet", EmbeddingPreset("mean", "", "", 768)),
    (r"potion-multilingual", EmbeddingPreset("none", "", "", 256)),
    (r"all-minilm-l(6|12)", EmbeddingPreset("mean", "", "", 384, _ENGLISH)),
    (r"all-mpnet-base", EmbeddingPreset("mean", "", "", 768, _ENGLISH)),
    (r"multi-qa-minilm", EmbeddingPreset("mean", "", "", 384, _ENGLISH)),
    (r"jina-embeddings-v2-small-en", EmbeddingPreset("mean", "", "", 512, _ENGLISH)),
    (r"jina-embeddings-v2-base-en", EmbeddingPreset("mean", "", "", 768, _ENGLISH)),
    (r"jina-embeddings-v2-base-de", EmbeddingPreset("mean", "", "", 768, frozenset({"de", "en"}))),
    (r"jina-embeddings-v2-base-es", EmbeddingPreset("mean", "", "", 768, frozenset({"es", "en"}))),
    (r"jina-embeddings-v2-base-zh", EmbeddingPreset("mean", "", "", 768, frozenset({"zh", "en"}))),
    (r"jina-embeddings-v3", EmbeddingPreset("mean", "", "", 1024)),
)
"""By pattern on the name in lower case; the first that matches counts."""


def find_preset(model: str) -> EmbeddingPreset | None:
    """The preset of a model's family; None for an unknown name."""
    name = model.casefold()
    return next((preset for pattern, preset in _PRESETS if re.search(pattern, name)), None)


def complete_settings(
    settings: EmbeddingSettings,
    *,
    model_file: str = "model.onnx",
    dimension: Callable[[], int | None] = lambda: None,
) -> EmbeddingRecipe:
    """The settings, with what they leave open taken from the model's preset.

    `model_file` and `dimension` are what the model itself tells; the latter is asked after settings and preset.
    """
    preset = find_preset(settings.model) or EmbeddingPreset()
    return EmbeddingRecipe(
        kind=settings.kind,
        model=settings.model,
        model_file=settings.model_file or model_file,
        dimension=settings.dimension or preset.dimension or dimension() or _FALLBACK_DIMENSION,
        pooling=settings.pooling or preset.pooling,
        question_prefix=_chosen(settings.question_prefix, preset.question_prefix),
        passage_prefix=_chosen(settings.passage_prefix, preset.passage_prefix),
    )


def spoken_languages(settings: EmbeddingSettings) -> Set[str] | None:
    """The languages that the configured model was made for, as ISO 639-1 codes.

    None for a multilingual or unknown model, and for hashing, which compares spellings in any language.
    """
    preset = find_preset(settings.model)
    return preset.languages if preset and settings.kind == "fastembed" else None


def _chosen(configured: str | None, preset: str) -> str:
    return preset if configured is None else configured
