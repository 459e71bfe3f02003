"""The chunks in which prompts are computed: whole batches, or what fits into a pause at the measured pace."""

from collections.abc import Collection

from models.llama.kv_cache.tokenized_prompt import TokenizedPrompt
from models.llama.loading.loader import LoadedModel
from models.llama.plan.prefill_chunks import MIN_CHUNK_TOKENS, even_chunk_end, iter_chunks
from models.llama.scheduling.prefill_pace import PrefillPace

# llama.cpp computes chunks of at least so many tokens on the graphics card also with weights that are in main memory.
_MIN_OFFLOADED_TOKENS = 32


class PromptChunks:
    """Chooses the chunks for one model. Used on the inference thread only."""

    def __init__(self, loaded: LoadedModel) -> None:
        self._plan = loaded.prefill_plan
        self._anywhere = loaded.limits.chunks_end_anywhere
        self._can_truncate = loaded.context.can_truncate
        self._batch_tokens = loaded.context.batch_tokens
        self._min_tokens = min(
            self._batch_tokens, _MIN_OFFLOADED_TOKENS if loaded.memory_plan.gpu_layers else MIN_CHUNK_TOKENS
        )
        self._pace = PrefillPace()
        self.last_tokens = 0
        """Number of tokens of the last chunk."""

    def next_end(self, start: int, prompt: TokenizedPrompt, boundaries: Collection[int], limit_s: float | None) -> int:
        """End of the chunk that begins at `start`. It ends at the `boundaries`, and takes about `limit_s` seconds at
        most; None: as many tokens as a batch holds. On a grid neither matters.
        """
        length = len(prompt.tokens)
        if self._anywhere:
            max_tokens = self._batch_tokens if limit_s is None else self._tokens_within(start, limit_s)
            return even_chunk_end(start, length, boundaries, max_tokens)
        stops, ends = (prompt.system_tokens, prompt.history_tokens), self._plan.chunk_ends(length)
        return next(iter_chunks(start, length, stops, ends, exact=not self._can_truncate))[1]

    def _tokens_within(self, start: int, limit_s: float) -> int:
        if not self._pace.is_known:
            return max(self._min_tokens, self._plan.first_chunk_tokens)
        return self._pace.tokens_within(
            limit_s, lambda tokens: self.cost(start, start + tokens), self._min_tokens, self._batch_tokens
        )

    def cost(self, start: int, end: int) -> float:
        """Cost of the tokens from `start` to `end`, in units of a token at position 0."""
        return self._plan.cost(start, end)

    def seconds(self, start: int, end: int) -> float:
        """Expected seconds of a chunk; 0 before the first."""
        return self._pace.seconds(end - start, self.cost(start, end))

    def record(self, start: int, end: int, seconds: float) -> None:
        """Record a chunk that was computed."""
        self.last_tokens = end - start
        self._pace.record(end - start, self.cost(start, end), seconds)
