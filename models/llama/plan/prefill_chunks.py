"""How a prompt is cut into chunks: at places that follow from the conversation alone, never from the load; or anywhere,
where that was proven to change nothing.
"""

from bisect import bisect_right
from collections.abc import Collection, Iterator
from dataclasses import dataclass

# Fewer tokens at once are computed by other code, whose rounding can change a greedy answer.
MIN_CHUNK_TOKENS = 8

# Multiplications and additions a second that one thread does while it reads a prompt: 81 billion of two threads
# measured with SmolLM2-135M Q4_1 on a 2.5 GHz Xeon; half as many for weights and processors without such kernels.
_OPERATIONS_PER_S_AND_THREAD = 20e9
# What is left of the longest gap for the reply's own step.
_SHARE_OF_GAP = 0.75


@dataclass(frozen=True, slots=True)
class PrefillPlan:
    """Where chunks end, if nothing else ends them. `cost_doubles_at` is the position at which a token costs twice as
    much, because attention to what stands before it costs as much as the weights.
    """

    first_chunk_tokens: int
    cost_doubles_at: float

    def chunk_ends(self, length: int) -> list[int]:
        """The ends of all chunks up to the first at or behind `length`."""
        found: list[int] = []
        position = 0
        while position < length:
            wanted = self.first_chunk_tokens / (1 + position / self.cost_doubles_at)
            position += max(MIN_CHUNK_TOKENS, int(wanted) // MIN_CHUNK_TOKENS * MIN_CHUNK_TOKENS)
            found.append(position)
        return found

    def cost(self, start: int, end: int) -> float:
        """What computing the tokens from `start` to `end` costs, in tokens that stand at the very beginning."""
        return max(0, end - start) * (1 + (start + end) / 2 / self.cost_doubles_at)

    def tokens_for_cost(self, start: int, weight: float) -> int:
        """About how many tokens from `start` on cost that much."""
        return int(weight / (1 + start / self.cost_doubles_at))


def cpu_prefill_plan(
    gap_s: float, threads: int, parameters: int, attention_width: int, most_tokens: int
) -> PrefillPlan:
    """Chunks that take about `gap_s` on a CPU. `attention_width`: length of all heads in all layers together."""
    tokens_in_gap = _SHARE_OF_GAP * gap_s * threads * _OPERATIONS_PER_S_AND_THREAD / (2 * max(1, parameters))
    first = min(most_tokens, max(MIN_CHUNK_TOKENS, int(tokens_in_gap)))
    # A token multiplies each weight once, and each value of its heads twice for each token before it.
    return PrefillPlan(
        first // MIN_CHUNK_TOKENS * MIN_CHUNK_TOKENS, max(1.0, parameters / (2 * max(1, attention_width)))
    )


def iter_chunks(
    start: int, length: int, stops: Collection[int], ends: list[int], exact: bool = False
) -> Iterator[tuple[int, int]]:
    """The chunks, as (start, end), of the tokens from `start` to `length`.

    They end at the `stops` and at `chunk_ends`, except where a chunk would be shorter than LEAST_CHUNK_TOKENS; with
    `exact` at all stops.
    """
    least = 1 if exact else MIN_CHUNK_TOKENS
    borders = sorted(stop for stop in stops if start < stop and length - stop >= least)
    while start < length:
        stop = next((border for border in borders if border - start >= least), length)
        end = _planned_end(start, ends)
        end = stop if stop - end < MIN_CHUNK_TOKENS else end
        yield start, end
        start = end


def unaligned_chunk_end(start: int, length: int, stops: Collection[int], most: int) -> int:
    """Where a chunk that may end anywhere ends: `most` tokens on, or at the next of the `stops`. A rest that would be
    shorter than LEAST_CHUNK_TOKENS goes along.
    """
    stop = min((stop for stop in stops if start < stop), default=length)
    end = start + max(most, MIN_CHUNK_TOKENS)
    return stop if stop - end < MIN_CHUNK_TOKENS else end


def _planned_end(start: int, ends: list[int]) -> int:
    index = bisect_right(ends, start + MIN_CHUNK_TOKENS - 1)
    return ends[index] if index < len(ends) else ends[-1] + MIN_CHUNK_TOKENS
