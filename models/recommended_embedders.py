"""Recommended embedding models and rerankers: files, size, languages and licence, and the choice for a machine."""

from collections.abc import Collection
from dataclasses import dataclass

from models.weights_sources import HubSource

_MANY = "many"
# Inputs, activations of a batch and the runtime itself, on top of the weights.
_OVERHEAD_BYTES = 250_000_000
# The language model and the other services need memory too.
_MEMORY_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class KnownEmbedder:
    """An embedding model, under the name that `knowledge.embedding.model` takes.

    `sources` is empty where fastembed fetches the model by its name. `languages`: `en`, or `many`. `french` and
    `english`: published nDCG@10 on MIRACL-fr (hard) and HotpotQA (hard), from embeddings-benchmark/results.
    """

    name: str
    title: str
    licence: str
    size_bytes: int
    languages: str
    french: float | None = None
    english: float | None = None
    sources: tuple[HubSource, ...] = ()

    @property
    def memory_bytes(self) -> int:
        """Bytes needed to run it."""
        return self.size_bytes + _OVERHEAD_BYTES

    @property
    def is_free(self) -> bool:
        """Whether its licence allows any use, as Apache-2.0 and MIT do."""
        return self.licence in ("Apache-2.0", "MIT")

    def speaks(self, languages: Collection[str]) -> bool:
        """Whether it was made for all of the languages."""
        return self.languages == _MANY or set(languages) <= {self.languages}


@dataclass(frozen=True, slots=True)
class KnownReranker:
    """A reranker that fastembed fetches by name, under the name that `knowledge.reranking.model` takes."""

    name: str
    licence: str
    size_bytes: int
    languages: str


def _files(repository: str, model: str) -> tuple[HubSource, ...]:
    names = (model, "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "config.json")
    return tuple(HubSource(repository=repository, file=name) for name in names)


KNOWN_EMBEDDERS = (
    KnownEmbedder("all-MiniLM-L6-v2-int8", "all-MiniLM-L6-v2, int8", "Apache-2.0", 23_000_000, "en", 0.134, 0.499),
    KnownEmbedder(
        "multilingual-e5-small",
        "multilingual-e5-small, int8",
        "MIT",
        118_000_000,
        _MANY,
        0.492,
        0.664,
        _files("Xenova/multilingual-e5-small", "onnx/model_quantized.onnx"),
    ),
    KnownEmbedder(
        "snowflake-arctic-embed-m-v2.0",
        "Snowflake arctic-embed-m v2.0, int8",
        "Apache-2.0",
        311_000_000,
        _MANY,
        0.551,
        0.719,
        _files("Snowflake/snowflake-arctic-embed-m-v2.0", "onnx/model_int8.onnx"),
    ),
    KnownEmbedder(
        "gte-multilingual-base",
        "gte-multilingual-base, int8",
        "Apache-2.0",
        340_000_000,
        _MANY,
        0.557,
        0.641,
        _files("onnx-community/gte-multilingual-base", "onnx/model_int8.onnx"),
    ),
    KnownEmbedder(
        "bge-m3",
        "bge-m3, int8",
        "MIT",
        570_000_000,
        _MANY,
        0.594,
        0.695,
        _files("Xenova/bge-m3", "onnx/model_quantized.onnx"),
    ),
    KnownEmbedder(
        "Qwen/Qwen3-Embedding-0.6B-Q", "Qwen3-Embedding 0.6B, int8", "Apache-2.0", 600_000_000, _MANY, 0.550, 0.677
    ),
    KnownEmbedder(
        "google/embeddinggemma-300m", "EmbeddingGemma 300M", "Gemma terms of use", 1_240_000_000, _MANY, 0.580, 0.715
    ),
    KnownEmbedder(
        "jinaai/jina-embeddings-v3", "jina-embeddings-v3", "CC BY-NC 4.0 (not for business)", 2_290_000_000, _MANY
    ),
)
"""In order of size, the smallest first."""

KNOWN_RERANKERS = (
    KnownReranker("Xenova/ms-marco-MiniLM-L-6-v2", "Apache-2.0", 80_000_000, "en"),
    KnownReranker("Xenova/ms-marco-MiniLM-L-12-v2", "Apache-2.0", 120_000_000, "en"),
    KnownReranker("BAAI/bge-reranker-v2-m3-int8", "Apache-2.0", 570_000_000, _MANY),
    KnownReranker("BAAI/bge-reranker-base", "MIT", 1_040_000_000, _MANY),
    KnownReranker("jinaai/jina-reranker-v2-base-multilingual", "CC BY-NC 4.0 (not for business)", 1_110_000_000, _MANY),
)
"""In order of size, the smallest first."""

_CHOICES = ("all-MiniLM-L6-v2-int8", "multilingual-e5-small", "snowflake-arctic-embed-m-v2.0", "bge-m3")
"""The embedders to choose from by need: each is better in French than the one before it, and several times slower."""
_SLOW_BYTES = 500_000_000
"""From this size on an embedder takes more than a second a passage on a small CPU."""


def find_embedder(name: str) -> KnownEmbedder | None:
    """The known embedder of a name, with or without its owner (`intfloat/…`); None for another."""
    return next((known for known in KNOWN_EMBEDDERS if _plain_name(known.name) == _plain_name(name)), None)


def recommend_embedder(languages: Collection[str], memory_bytes: int, *, has_gpu: bool = False) -> KnownEmbedder:
    """The best free embedder that speaks the languages (none: any language) in a quarter of the memory.

    Without a GPU none that a small CPU takes more than a second a passage for; the smallest that speaks them when
    nothing fits.
    """
    wanted = languages or ("en", _MANY)
    speaking = [known for name in _CHOICES if (known := find_embedder(name)) and known.speaks(wanted)]
    fitting = [
        known
        for known in speaking
        if known.memory_bytes <= memory_bytes * _MEMORY_SHARE and (has_gpu or known.size_bytes < _SLOW_BYTES)
    ]
    return (fitting or speaking[:1])[-1]


def _plain_name(name: str) -> str:
    return name.rpartition("/")[2].casefold()
