"""Embedding of texts as unit vectors: with an ONNX model (fastembed), or by feature hashing without a model."""

import ctypes
import json
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt
import xxhash

from knowledge.lexical import split_words, strip_accents
from knowledge.settings import EmbeddingSettings
from knowledge.stop_words import STOP_WORDS

if TYPE_CHECKING:
    from fastembed import TextEmbedding

FloatArray = npt.NDArray[np.float32]


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
    """The configured embedder; nothing is loaded yet.

    `model_folder` holds the ONNX file and its tokenizer; without it fastembed downloads the model of this name
    into `cache`.
    """
    if settings.kind == "hashing":
        return HashingEmbedder(settings.dimension)
    return FastembedEmbedder(settings, model_folder, cache)


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

    def __init__(self, settings: EmbeddingSettings, model_folder: Path | None, cache: Path) -> None:
        self._settings = settings
        self._folder = model_folder
        self._cache = cache
        self._loading = threading.Lock()
        self._model: TextEmbedding | None = None
        self._fingerprint = ""

    @property
    def name(self) -> str:
        """The model's name in the settings."""
        return self._settings.model

    @property
    def fingerprint(self) -> str:
        """Hash of the settings and, for a local model, of its ONNX and tokenizer files. Raises EmbeddingFailed."""
        if not self._fingerprint:
            digest = xxhash.xxh3_128(self._settings.model_dump_json().encode())
            for path in self._files():
                digest.update(_file_hash(path))
            self._fingerprint = f"fastembed-1:{self.name}:{digest.hexdigest()}"
        return self._fingerprint

    @property
    def dimension(self) -> int:
        """Length of the vectors, as the settings say."""
        return self._settings.dimension

    def embed_passages(self, texts: Sequence[str]) -> FloatArray:
        """Embed passages, truncated to the model's window. Raises EmbeddingFailed."""
        return self._embed([self._settings.passage_prefix + text for text in texts])

    def embed_question(self, text: str) -> FloatArray:
        """Embed a question; shape (dimension,). Raises EmbeddingFailed."""
        vector: FloatArray = self._embed([self._settings.question_prefix + text])[0]
        return vector

    def _embed(self, texts: list[str]) -> FloatArray:
        if not texts:
            return np.zeros((0, self.dimension), dtype=np.float32)
        model = self._get_model()
        try:
            vectors = np.asarray(list(model.embed(texts, batch_size=8)), dtype=np.float32)
        except _onnx_errors() as error:
            raise EmbeddingFailed(f"The embedding model {self.name} failed: {error}") from error
        if vectors.shape != (len(texts), self.dimension):
            raise EmbeddingFailed(
                f"The embedding model {self.name} makes vectors of {vectors.shape[-1]} numbers, "
                f"and the settings say {self.dimension}: set embedding.dimension to {vectors.shape[-1]}."
            )
        return _normalised(vectors)

    def _get_model(self) -> "TextEmbedding":
        with self._loading:
            if self._model is None:
                self._model = self._load()
                _return_free_memory()
            return self._model

    def _load(self) -> "TextEmbedding":
        # Must be set before fastembed imports onnxruntime, which otherwise sends telemetry.
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
        from fastembed import TextEmbedding  # its import takes most of a second

        name = self._settings.model
        if self._folder is not None:
            name = _register_local_model(self._settings)
        try:
            self._check_tokenizer()
            return TextEmbedding(
                name,
                cache_dir=str(self._cache),
                threads=1,
                specific_model_path=str(self._folder) if self._folder else None,
                # The arena never gives memory back, and one long passage makes it large for good.
                enable_cpu_mem_arena=False,
            )
        except _onnx_errors() as error:
            where = f"from {self._folder}" if self._folder else "by fastembed"
            raise EmbeddingFailed(f"The embedding model {self.name} cannot be loaded {where}: {error}") from error

    def _check_tokenizer(self) -> None:
        """Parse the tokenizer file first: its library raises a bare Exception for a broken one."""
        if self._folder is not None:
            json.loads((self._folder / "tokenizer.json").read_text(encoding="utf-8"))

    def _files(self) -> list[Path]:
        if self._folder is None:
            return []
        return [self._folder / self._settings.model_file, self._folder / "tokenizer.json"]


def _return_free_memory() -> None:
    """Make glibc return freed memory: loading a model of 23 MB leaves 60 MB of it."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _register_local_model(settings: EmbeddingSettings) -> str:
    """Register a local model with fastembed under a name with a hash of its settings: the registry is global."""
    from fastembed import TextEmbedding
    from fastembed.common.model_description import ModelSource, PoolingType

    pooling = {
        "mean": PoolingType.MEAN,
        "cls": PoolingType.CLS,
        "last_token": PoolingType.LAST_TOKEN,
        "none": PoolingType.DISABLED,
    }[settings.pooling]
    name = f"hearth/{xxhash.xxh3_64_hexdigest(settings.model_dump_json().encode())}"
    if name not in {known["model"] for known in TextEmbedding.list_supported_models()}:
        TextEmbedding.add_custom_model(
            model=name,
            pooling=pooling,
            normalization=True,
            sources=ModelSource(hf=name),
            dim=settings.dimension,
            model_file=settings.model_file,
        )
    return name


def _onnx_errors() -> tuple[type[Exception], ...]:
    """Errors of loading and running a model; onnxruntime's have no common base below Exception."""
    from onnxruntime.capi import onnxruntime_pybind11_state as onnx  # type: ignore[import-untyped]

    return (
        OSError,
        RuntimeError,
        ValueError,
        onnx.EPFail,
        onnx.Fail,
        onnx.InvalidArgument,
        onnx.InvalidGraph,
        onnx.InvalidProtobuf,
        onnx.NoModel,
        onnx.NoSuchFile,
        onnx.NotImplemented,
        onnx.RuntimeException,
    )


def _normalised(vectors: FloatArray) -> FloatArray:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: FloatArray = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    return scaled


def _file_hash(path: Path) -> bytes:
    digest = xxhash.xxh3_128()
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise EmbeddingFailed(f"The embedding model's file {path} cannot be read: {error.strerror}.") from error
    return digest.digest()
