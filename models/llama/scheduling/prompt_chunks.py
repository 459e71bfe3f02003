"""The chunks in which prompts are computed: whole batches, or what fits into a pause at the measured pace."""

from collections.abc import Collection
from dataclasses import dataclass

from models.llama.kv_cache.tokenized_prompt import TokenizedPrompt
from models.llama.plan.prefill_chunks import MIN_CHUNK_TOKENS, PrefillPlan, even_chunk_end, iter_chunks
from models.llama.scheduling.prefill_pace import PrefillPace

# While no reply is decoded, a chunk only delays a new request: at most by about so many pauses, but never in chunks
# that cost more for each token. 128 tokens take 0.3 % longer than 256, 64 take 2.5 % (a 4B model's layers in Q4_K_M).
_PAUSES_WHEN_IDLE, _EFFICIENT_TOKENS = 4, 128
# llama.cpp computes chunks of at least so many tokens on the graphics card also with weights that are in main memory.
_MIN_OFFLOADED_TOKENS = 32


@dataclass(frozen=True, slots=True)
class ChunkRules:
    """What chunks depend on: tokens of a batch, whether chunks may end anywhere, whether states can be truncated to a
    boundary afterwards, whether a graphics card computes, and the longest pause of replies in seconds.
    """

    batch_tokens: int
    anywhere: bool
    can_truncate: bool
    is_offloaded: bool
    max_pause_s: float


class PromptChunks:
    """Chooses the chunks for one model. Used on the inference thread only."""

    def __init__(self, plan: PrefillPlan, rules: ChunkRules) -> None:
        self._plan = plan
        self._rules = rules
        batch = rules.batch_tokens
        self._min_tokens = min(batch, _MIN_OFFLOADED_TOKENS if rules.is_offloaded else MIN_CHUNK_TOKENS)
        # Each chunk sends weights to the card again.
        self._min_idle_tokens = batch if rules.is_offloaded else min(batch, _EFFICIENT_TOKENS)
        self._pace = PrefillPace()
        self.last_tokens = 0
        """Number of tokens of the last chunk."""

    def next_end(self, start: int, prompt: TokenizedPrompt, boundaries: Collection[int], limit_s: float | None) -> int:
        """End of the chunk that begins at `start`. It ends at the `boundaries`, and takes about `limit_s` seconds at
        most; None: as many tokens as a batch holds, unless that takes very long. On a grid neither matters.
        """
        length = len(prompt.tokens)
        if self._rules.anywhere:
            max_tokens = self._idle_tokens(start) if limit_s is None else self._tokens_within(start, limit_s)
            return even_chunk_end(start, length, boundaries, max_tokens)
        stops, ends = (prompt.system_tokens, prompt.history_tokens), self._plan.chunk_ends(length)
        return next(iter_chunks(start, length, stops, ends, exact=not self._rules.can_truncate))[1]

    def _idle_tokens(self, start: int) -> int:
        if not self._pace.is_known:
            return self._rules.batch_tokens
        return max(self._min_idle_tokens, self._tokens_within(start, _PAUSES_WHEN_IDLE * self._rules.max_pause_s))

    def _tokens_within(self, start: int, limit_s: float) -> int:
        if not self._pace.is_known:
            return max(self._min_tokens, self._plan.first_chunk_tokens)
        return self._pace.tokens_within(
            limit_s, lambda tokens: self.cost(start, start + tokens), self._min_tokens, self._rules.batch_tokens
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
