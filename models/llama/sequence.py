"""One sequence of the KV cache: which tokens it holds, whose they are, and how much of them a new prompt can use."""

from collections.abc import Iterator, Sequence

from models.llama.context import Context

# Fewer tokens at once are computed by other code, whose rounding can change a greedy answer.
LEAST_CHUNK_TOKENS = 8


class CachedSequence:
    """The tokens in the context, in order. Every call belongs to the `llama` thread."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._tokens: list[int] = []
        self.key = ""

    def __len__(self) -> int:
        return len(self._tokens)

    def take_over(self, key: str, prompt: Sequence[int]) -> int:
        """Keep what `prompt` shares with the tokens held and drop the rest; the number of tokens kept.

        At least the last tokens of the prompt are left to compute, because sampling needs their logits.
        """
        self.key = key
        return self.cut(min(self.shares(prompt), max(0, len(prompt) - LEAST_CHUNK_TOKENS)))

    def shares(self, prompt: Sequence[int]) -> int:
        """How many tokens a prompt has in common with those held."""
        return common_prefix(self._tokens, prompt)

    def cut(self, count: int) -> int:
        """Drop the tokens from `count` on; the number left, 0 for models that can only forget everything."""
        kept = count if self._context.keep(count) else 0
        del self._tokens[kept:]
        return kept

    def extend(self, tokens: Sequence[int]) -> None:
        """Compute tokens behind those held. On an error they are not held, and the context is as before."""
        done = False
        try:
            self._context.decode(tokens, len(self._tokens))
            done = True
        finally:
            if not done:
                self.cut(len(self._tokens))
        self._tokens.extend(tokens)

    def clear(self) -> int:
        """Drop everything; the number of tokens that were held."""
        count = len(self._tokens)
        self.cut(0)
        self.key = ""
        return count


def common_prefix(first: Sequence[int], second: Sequence[int]) -> int:
    """How many tokens both begin with."""
    for index, (one, other) in enumerate(zip(first, second, strict=False)):
        if one != other:
            return index
    return min(len(first), len(second))


def chunks(tokens: Sequence[int], start: int, size: int) -> Iterator[Sequence[int]]:
    """The tokens from `start` in chunks of at most `size`, none shorter than LEAST_CHUNK_TOKENS if it can be helped."""
    while start < len(tokens):
        left = len(tokens) - start
        count = min(left, size)
        if 0 < left - count < LEAST_CHUNK_TOKENS and count > 2 * LEAST_CHUNK_TOKENS:
            count -= LEAST_CHUNK_TOKENS
        yield tokens[start : start + count]
        start += count
