"""Embedders for tests: one that counts what it embeds, and one whose model is broken."""

from collections.abc import Callable, Sequence

from knowledge.embedding import EmbeddingFailed, FloatArray, HashingEmbedder


class CountingEmbedder(HashingEmbedder):
    """A hashing embedder that remembers the passages it embedded, and calls `before` first."""

    def __init__(self, dimension: int = 64, before: Callable[[], None] = lambda: None) -> None:
        super().__init__(dimension)
        self.before = before
        self.embedded: list[str] = []

    def embed_passages(self, texts: Sequence[str]) -> FloatArray:
        self.before()
        self.embedded += texts
        return super().embed_passages(texts)

    def embed_question(self, text: str) -> FloatArray:
        vector: FloatArray = super().embed_passages([text])[0]
        return vector


class BrokenEmbedder:
    """An embedder that cannot run its model; without a fingerprint not even its file is there."""

    name = "broken"
    dimension = 64

    def __init__(self, fingerprint: str = "") -> None:
        self._fingerprint = fingerprint

    @property
    def fingerprint(self) -> str:
        if not self._fingerprint:
            raise EmbeddingFailed("The model's file is missing.")
        return self._fingerprint

    def embed_passages(self, texts: Sequence[str]) -> FloatArray:
        raise EmbeddingFailed("The model's file is missing.")

    def embed_question(self, text: str) -> FloatArray:
        raise EmbeddingFailed("The model's file is missing.")
