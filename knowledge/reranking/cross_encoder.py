"""Cross-encoder in ONNX, run by fastembed on a thread of its own."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import xxhash

from knowledge.onnx_models import (
    check_tokenizer,
    find_model_file,
    onnx_errors,
    prepare_onnx,
    return_free_memory,
    usable_cores,
)
from knowledge.reranking.reranker import RerankingFailed
from knowledge.reranking.settings import RerankingSettings
from knowledge.worker_thread import WorkerThread

if TYPE_CHECKING:
    from fastembed.rerank.cross_encoder import TextCrossEncoder

_BATCH = 4
"""Pairs scored at once: a call that is given up goes on for one batch."""


class CrossEncoderReranker:
    """Loaded on first use. `model_folder` holds the ONNX file and its tokenizer; without it fastembed downloads the
    model of this name into `cache`.
    """

    def __init__(self, settings: RerankingSettings, model_folder: Path | None, cache: Path) -> None:
        self._settings = settings
        self._folder = model_folder
        self._cache = cache
        self._thread = WorkerThread("rerank")
        self._model: TextCrossEncoder | None = None

    @property
    def name(self) -> str:
        """The model's name in the settings."""
        return self._settings.model

    async def prepare(self) -> None:
        """Load the model, which takes seconds, or minutes where fastembed downloads it. Raises RerankingFailed."""
        await self._thread.run(self._get_model)

    async def score_passages(self, question: str, texts: Sequence[str]) -> list[float]:
        """A score for each text. A cancelled call ends with the batch that is being computed.

        Raises RerankingFailed.
        """
        scores = [0.0] * len(texts)
        async for batch in self._thread.run_slices(self._score_batches(question, texts)):
            for number, score in batch:
                scores[number] = score
        return scores

    async def close(self) -> None:
        """End the thread."""
        await self._thread.close()

    def _score_batches(self, question: str, texts: Sequence[str]) -> Iterator[tuple[int, float]]:
        # Batches of similar length: a batch costs its longest text times the number of texts.
        order = sorted(range(len(texts)), key=lambda number: len(texts[number]))
        model = self._get_model()
        try:
            for start in range(0, len(order), _BATCH):
                batch = order[start : start + _BATCH]
                scores = list(model.rerank(question, [texts[number] for number in batch], batch_size=_BATCH))
                if not all(map(math.isfinite, scores)):
                    raise RerankingFailed(f"The reranker {self.name} gave a score that is no number.")
                yield from zip(batch, scores, strict=True)
        except onnx_errors() as error:
            raise RerankingFailed(f"The reranker {self.name} failed: {error}") from error

    def _get_model(self) -> "TextCrossEncoder":
        if self._model is None:
            try:
                self._model = self._load()
            except onnx_errors() as error:
                raise RerankingFailed(f"The reranker {self.name} cannot be loaded: {error}") from error
            return_free_memory()
        return self._model

    def _load(self) -> "TextCrossEncoder":
        prepare_onnx()
        from fastembed.rerank.cross_encoder import TextCrossEncoder

        name = self._settings.model
        if self._folder is not None:
            check_tokenizer(self._folder)
            name = _register_local_model(self._settings, self._folder)
        return TextCrossEncoder(
            name,
            cache_dir=str(self._cache),
            # A question waits for it, so it gets every core.
            threads=usable_cores(),
            specific_model_path=str(self._folder) if self._folder else None,
            enable_cpu_mem_arena=False,
        )


def _register_local_model(settings: RerankingSettings, folder: Path) -> str:
    """Register a local model with fastembed, whose registry is global, under a name of its own."""
    from fastembed.common.model_description import ModelSource
    from fastembed.rerank.cross_encoder import TextCrossEncoder

    file = settings.model_file or find_model_file(folder)
    name = f"hearth/rerank-{xxhash.xxh3_64_hexdigest(repr((settings.model, file)).encode())}"
    if name not in {known["model"] for known in TextCrossEncoder.list_supported_models()}:
        TextCrossEncoder.add_custom_model(model=name, sources=ModelSource(hf=name), model_file=file)
    return name
