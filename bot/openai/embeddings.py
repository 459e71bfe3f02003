"""/v1/embeddings: texts as vectors of the model that also embeds the house's documents."""

import asyncio
import base64
from collections.abc import Sequence
from typing import Any, Literal

import numpy
from numpy.typing import NDArray
from pydantic import Field

from bot.openai.errors import RequestError
from bot.openai.requests import NullsAsMissing, parse_body
from knowledge.embedding import Embedder, EmbeddingFailed

MAX_TEXTS, MAX_CHARACTERS = 512, 32_768
BATCH = 8
"""Texts embedded before others get their turn: questions of people are embedded meanwhile."""


class EmbeddingsRequest(NullsAsMissing):
    """A request; the texts are documents, or questions where the model tells them apart by `input_type`."""

    model: str = ""
    input: str | list[Any]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = Field(None, ge=1)
    input_type: Literal["document", "query"] = "document"

    def texts(self) -> list[str]:
        """The texts. Raises RequestError for tokens, and for too many or too long texts."""
        texts = [self.input] if isinstance(self.input, str) else self.input
        if not all(isinstance(text, str) for text in texts):
            raise RequestError(400, "Only texts are embedded here, no tokens: send strings.", "input")
        if not 0 < len(texts) <= MAX_TEXTS:
            raise RequestError(400, f"From 1 to {MAX_TEXTS} texts are embedded in a request.", "input")
        if any(len(text) > MAX_CHARACTERS for text in texts):
            raise RequestError(400, f"A text may have {MAX_CHARACTERS} characters.", "input")
        return texts


class EmbeddingService:
    """Embeds for programs: one batch at a time, so that the house's own questions find a free core."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._turn = asyncio.Lock()

    @property
    def model_name(self) -> str:
        """The embedding model's name."""
        return self._embedder.name

    async def answer(self, body: bytes) -> dict[str, Any]:
        """The response object. Raises RequestError."""
        request = parse_body(EmbeddingsRequest, body)
        if request.model not in ("", self.model_name):
            sentence = f"No texts are embedded with {request.model[:80]!r} here, only with {self.model_name!r}."
            raise RequestError(404, sentence, "model", "model_not_found")
        texts = request.texts()
        if request.dimensions not in (None, self._embedder.dimension):
            sentence = f"The vectors have {self._embedder.dimension} dimensions: leave dimensions out."
            raise RequestError(400, sentence, "dimensions", "unsupported_parameter")
        try:
            vectors = await self._embed(texts, request.input_type)
        except EmbeddingFailed as error:
            raise RequestError(500, str(error), code="embedding_failed") from error
        data = [
            {"object": "embedding", "index": index, "embedding": _encode(vector, request.encoding_format)}
            for index, vector in enumerate(vectors)
        ]
        tokens = sum(len(text.split()) for text in texts)
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return {"object": "list", "model": self.model_name, "data": data, "usage": usage}

    async def _embed(self, texts: Sequence[str], kind: str) -> list[NDArray[numpy.float32]]:
        vectors: list[NDArray[numpy.float32]] = []
        for first in range(0, len(texts), BATCH):
            batch = texts[first : first + BATCH]
            async with self._turn:
                if kind == "query":
                    vectors += [await asyncio.to_thread(self._embedder.embed_question, text) for text in batch]
                else:
                    vectors += list(await asyncio.to_thread(self._embedder.embed_passages, batch))
        return vectors


def _encode(vector: NDArray[numpy.float32], encoding: str) -> str | list[float]:
    little = vector.astype("<f4")
    return base64.b64encode(little.tobytes()).decode("ascii") if encoding == "base64" else little.tolist()
