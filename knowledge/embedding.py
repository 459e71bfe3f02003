"""Embedding of texts as unit vectors: with an ONNX model (fastembed), or by feature hashing without a model."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt
import xxhash

from knowledge.embedding_presets import EmbeddingRecipe, complete_settings
from knowledge.lexical import split_words, strip_accents
from knowledge.onnx_models import (
    check_tokenizer,
    find_model_file,
    hash_file,
    known_dimension,
    onnx_errors,
    prepare_onnx,
    read_dimension,
    return_free_memory,
)
from knowledge.settings import EmbeddingSettings
from knowledge.stop_words import STOP_WORDS

if TYPE_CHECKING:
    from fastembed import TextEmbedding

FloatArray = npt.NDArray[np.float32]

_HASHING_DIMENSION = 384
_BATCH = 16
_BATCH_CHARACTERS = 600
"""Most characters of a batch, padding included: what a model computes for more does not fit into a core's cache.

Passages of 700 characters: 15 a second alone, 9 in batches of 8; questions of 60: 130 alone, 190 (all-MiniLM-L6, int8).
"""


class Embedder(Protocol):
    """Embeds texts. Its methods block and may be called from several threads at the same time."""

    @property
    def name(self) -> str:
        """The model's name, for people."""
        ...

    @property
    def fingerprint(self) -> str:
        """Identifies the vectors: changes with model, dimension, prefix or file. May read the model's file."""
        ...

    @property
    def dimension(self) -> int:
        """Length of the vectors."""
        ...

    def embed_passages(self, texts: Sequence[str]) -> FloatArray:
        """Embed passages. Returns shape (len(texts), dimension), float32, unit length, so that the inner product is
        the cosine; zeros for a text without content. Raises EmbeddingFailed.
        """
        ...

    def embed_question(self, text: str) -> FloatArray:
        """Embed a question. Returns shape (dimension,), float32, unit length or zeros. Raises EmbeddingFailed."""
        ...


@dataclass(eq=False)
class EmbeddingFailed(Exception):
    """The embedding model cannot be loaded or run; `reason` is a sentence for the log and the admin."""

    user_facing = True
    reason: str

    def __str__(self) -> str:
        return self.reason


def text_to_embed(title: str, heading: Sequence[str], text: str) -> str:
    """The text to embed for a passage: with title and headings, which often name the topic that the chunk does not."""
    return "\n".join(part for part in (title, " > ".join(heading), text) if part)


def build_embedder(settings: EmbeddingSettings, model_folder: Path | None, cache: Path) -> Embedder:
    """The configured embedder; no model is loaded yet.

    `model_folder` holds the ONNX file and its tokenizer; without it fastembed downloads the model of this name
    into `cache`. What the settings leave open comes from the model's preset, or else from its files.
    """
    if settings.kind == "hashing":
        return HashingEmbedder(settings.dimension or _HASHING_DIMENSION)
    recipe = complete_settings(
        settings,
        model_file=find_model_file(model_folder),
        dimension=lambda: read_dimension(model_folder) if model_folder else known_dimension(settings.model),
    )
    return FastembedEmbedder(recipe, model_folder, cache)


class HashingEmbedder:
    """Feature hashing of words and their character 4-grams: deterministic, without a model, without semantics."""

    def __init__(self, dimension: int = 384) -> None:
        self._dimension = dimension

    @property
    def name(self) -> str:
        """The embedder's name, for people."""
        return "hashing"

    @property
    def fingerprint(self) -> str:
        """Changes with the dimension and the hashing scheme."""
        return f"hashing-3:{self._dimension}"

    @property
    def dimension(self) -> int:
        """Length of the vectors."""
        return self._dimension

    def embed_passages(self, texts: Sequence[str]) -> FloatArray:
        """Embed passages; shape (len(texts), dimension), unit length, or zeros for a text without words."""
        vectors = np.zeros((len(texts), self._dimension), dtype=np.float32)
        for row, text in zip(vectors, texts, strict=True):
            self._hash_text(row, text)
        return vectors

    def embed_question(self, text: str) -> FloatArray:
        """Embed a question like a passage; shape (dimension,)."""
        vector: FloatArray = self.embed_passages([text])[0]
        return vector

    def _hash_text(self, row: FloatArray, text: str) -> None:
        for word in split_words(text):
            folded = strip_accents(word)
            if folded in STOP_WORDS:
                continue
            self._add_feature(row, folded, 1.0)
            framed = f"^{folded}$"
            pieces = [framed[i : i + 4] for i in range(len(framed) - 3)]
            for piece in pieces:
                self._add_feature(row, piece, 0.5 / len(pieces) ** 0.5)
        # Dampened term frequency: ten occurrences do not make a text ten times as relevant.
        np.copyto(row, np.sign(row) * np.log1p(np.abs(row)))
        length = float(np.linalg.norm(row))
        if length > 0:
            row /= length

    def _add_feature(self, row: FloatArray, feature: str, weight: float) -> None:
        digest = xxhash.xxh3_64_intdigest(feature.encode())
        row[(digest >> 1) % self._dimension] += weight if digest & 1 else -weight


class FastembedEmbedder:
    """A sentence-embedding model in ONNX, loaded on first use. One instance serves all threads."""

    def __init__(self, recipe: EmbeddingRecipe, model_folder: Path | None, cache: Path) -> None:
        self._recipe = recipe
        self._folder = model_folder
        self._cache = cache
        self._loading = threading.Lock()
        self._model: TextEmbedding | None = None
        self._fingerprint = ""

    @property
    def name(self) -> str:
        """The model's name in the settings."""
        return self._recipe.model

    @property
    def fingerprint(self) -> str:
        """Hash of the settings and, for a local model, of its ONNX and tokenizer files. Raises EmbeddingFailed."""
        if not self._fingerprint:
            digest = xxhash.xxh3_128(self._recipe.model_dump_json().encode())
            for path in self._files():
                digest.update(_file_hash(path))
            self._fingerprint = f"fastembed-1:{self.name}:{digest.hexdigest()}"
        return self._fingerprint

    @property
    def dimension(self) -> int:
        """Length of the vectors, as the settings say."""
        return self._recipe.dimension

    def embed_passages(self, texts: Sequence[str]) -> FloatArray:
        """Embed passages, truncated to the model's window. Raises EmbeddingFailed."""
        return self._embed([self._recipe.passage_prefix + text for text in texts])

    def embed_question(self, text: str) -> FloatArray:
        """Embed a question; shape (dimension,). Raises EmbeddingFailed."""
        vector: FloatArray = self._embed([self._recipe.question_prefix + text])[0]
        return vector

    def _embed(self, texts: list[str]) -> FloatArray:
        if not texts:
            return np.zeros((0, self.dimension), dtype=np.float32)
        model = self._get_model()
        vectors = [np.empty(0, dtype=np.float32)] * len(texts)
        try:
            for batch in _batches(texts):
                made = model.embed([texts[number] for number in batch], batch_size=len(batch))
                for number, vector in zip(batch, made, strict=True):
                    vectors[number] = np.asarray(vector, dtype=np.float32)
        except onnx_errors() as error:
            raise EmbeddingFailed(f"The embedding model {self.name} failed: {error}") from error
        if (made_dimension := vectors[0].size) != self.dimension:
            raise EmbeddingFailed(
                f"The embedding model {self.name} makes vectors of {made_dimension} numbers, "
                f"and the settings say {self.dimension}: set embedding.dimension to {made_dimension}."
            )
        return _normalised(np.stack(vectors))

    def _get_model(self) -> "TextEmbedding":
        with self._loading:
            if self._model is None:
                self._model = self._load()
                return_free_memory()
            return self._model

    def _load(self) -> "TextEmbedding":
        prepare_onnx()
        from fastembed import TextEmbedding  # its import takes most of a second

        name = self._recipe.model
        if self._folder is not None:
            name = _register_local_model(self._recipe)
        try:
            if self._folder is not None:
                check_tokenizer(self._folder)
            return TextEmbedding(
                name,
                cache_dir=str(self._cache),
                threads=1,
                specific_model_path=str(self._folder) if self._folder else None,
                # The arena never gives memory back, and one long passage makes it large for good.
                enable_cpu_mem_arena=False,
            )
        except onnx_errors() as error:
            where = f"from {self._folder}" if self._folder else "by fastembed"
            raise EmbeddingFailed(f"The embedding model {self.name} cannot be loaded {where}: {error}") from error

    def _files(self) -> list[Path]:
        if self._folder is None:
            return []
        return [self._folder / self._recipe.model_file, self._folder / "tokenizer.json"]


def _batches(texts: Sequence[str]) -> Iterator[list[int]]:
    """The texts' numbers in batches of similar length: a batch costs its longest text times the number of texts."""
    batch: list[int] = []
    for number in sorted(range(len(texts)), key=lambda number: len(texts[number])):
        if batch and (len(batch) == _BATCH or (len(batch) + 1) * len(texts[number]) > _BATCH_CHARACTERS):
            yield batch
            batch = []
        batch.append(number)
    if batch:
        yield batch


def _register_local_model(recipe: EmbeddingRecipe) -> str:
    """Register a local model with fastembed under a name with a hash of its settings: the registry is global."""
    from fastembed import TextEmbedding
    from fastembed.common.model_description import ModelSource, PoolingType

    pooling = {
        "mean": PoolingType.MEAN,
        "cls": PoolingType.CLS,
        "last_token": PoolingType.LAST_TOKEN,
        "none": PoolingType.DISABLED,
    }[recipe.pooling]
    name = f"hearth/{xxhash.xxh3_64_hexdigest(recipe.model_dump_json().encode())}"
    if name not in {known["model"] for known in TextEmbedding.list_supported_models()}:
        TextEmbedding.add_custom_model(
            model=name,
            pooling=pooling,
            normalization=True,
            sources=ModelSource(hf=name),
            dim=recipe.dimension,
            model_file=recipe.model_file,
        )
    return name


def _file_hash(path: Path) -> bytes:
    try:
        return hash_file(path)
    except OSError as error:
        raise EmbeddingFailed(f"The embedding model's file {path} cannot be read: {error.strerror}.") from error


def _normalised(vectors: FloatArray) -> FloatArray:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: FloatArray = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    return scaled
