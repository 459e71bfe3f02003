"""Prefill chunks: as many tokens as there is time for, or on a grid that follows from the conversation alone.

The grid never follows from the load, for answers that must be the same bit for bit.
"""

from bisect import bisect_right
from collections.abc import Collection, Iterator
from dataclasses import dataclass

# Fewer tokens at once are computed by other kernels, whose rounding can change a greedy reply.
MIN_CHUNK_TOKENS = 8

# A chunk of fewer tokens takes longer for each: weights are read from memory for every chunk.
_FEW_TOKENS = 32

# Multiplications and additions per second of one thread during prefill: 81 billion with two threads were measured with
# SmolLM2-135M Q4_1 on a 2.5 GHz Xeon; half as many for weights and processors without such kernels.
_OPERATIONS_PER_S_AND_THREAD = 20e9
# Part of the longest decode pause that a chunk may take; the rest is for the replies' own step.
_SHARE_OF_PAUSE = 0.75


@dataclass(frozen=True, slots=True)
class PrefillPlan:
    """Regular chunk boundaries of a prompt. `cost_doubles_at` is the position at which a token costs twice as much,
    because attention to the preceding tokens costs as much as the weights.
    """

    first_chunk_tokens: int
    cost_doubles_at: float

    def chunk_ends(self, length: int) -> list[int]:
        """The ends of all chunks, up to the first at or after `length`."""
        ends: list[int] = []
        position = 0
        while position < length:
            chunk_tokens = self.first_chunk_tokens / (1 + position / self.cost_doubles_at)
            position += max(MIN_CHUNK_TOKENS, int(chunk_tokens) // MIN_CHUNK_TOKENS * MIN_CHUNK_TOKENS)
            ends.append(position)
        return ends

    def cost(self, start: int, end: int) -> float:
        """Cost of computing the tokens from `start` to `end`, in units of a token at position 0."""
        return max(0, end - start) * (1 + (start + end) / 2 / self.cost_doubles_at)

    def tokens_for_cost(self, start: int, cost: float) -> int:
        """Approximate number of tokens from `start` on that have this cost."""
        return int(cost / (1 + start / self.cost_doubles_at))


def cpu_prefill_plan(
    max_pause_s: float, threads: int, parameter_count: int, attention_width: int, max_tokens: int
) -> PrefillPlan:
    """Chunks that fit into a decode pause of `max_pause_s` on a CPU. `attention_width`: length of all heads of all
    layers together.
    """
    tokens_in_pause = (
        _SHARE_OF_PAUSE * max_pause_s * threads * _OPERATIONS_PER_S_AND_THREAD / (2 * max(1, parameter_count))
    )
    first = min(max_tokens, max(MIN_CHUNK_TOKENS, int(tokens_in_pause)))
    # A token multiplies each weight once, and each value of its heads twice for each preceding token.
    return PrefillPlan(
        first // MIN_CHUNK_TOKENS * MIN_CHUNK_TOKENS, max(1.0, parameter_count / (2 * max(1, attention_width)))
    )


def iter_chunks(
    start: int, length: int, stops: Collection[int], ends: list[int], exact: bool = False
) -> Iterator[tuple[int, int]]:
    """The chunks, as (start, end), of the tokens from `start` to `length`.

    They end at the `stops` and at the `ends` of the plan, except where a chunk would be shorter than MIN_CHUNK_TOKENS;
    with `exact` at all stops.
    """
    min_tokens = 1 if exact else MIN_CHUNK_TOKENS
    usable_stops = sorted(stop for stop in stops if start < stop and length - stop >= min_tokens)
    while start < length:
        stop = next((border for border in usable_stops if border - start >= min_tokens), length)
        end = _planned_end(start, ends)
        end = stop if stop - end < MIN_CHUNK_TOKENS else end
        yield start, end
        start = end


def even_chunk_end(start: int, length: int, stops: Collection[int], max_tokens: int) -> int:
    """End of a chunk that may end anywhere: after `max_tokens` tokens, or at the next of the `stops`. What would leave
    only a few tokens for the next chunk is cut in two halves instead.
    """
    stop = min((stop for stop in stops if start < stop < length), default=length)
    rest = stop - start
    if rest <= max_tokens:
        return stop
    if rest < max_tokens + _FEW_TOKENS:
        half = (rest + 1) // 2
        return start + min(max_tokens, -(-half // MIN_CHUNK_TOKENS) * MIN_CHUNK_TOKENS)
    return start + max_tokens


def _planned_end(start: int, ends: list[int]) -> int:
    index = bisect_right(ends, start + MIN_CHUNK_TOKENS - 1)
    return ends[index] if index < len(ends) else ends[-1] + MIN_CHUNK_TOKENS
