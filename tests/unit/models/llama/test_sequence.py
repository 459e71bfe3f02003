from itertools import accumulate, chain

from hypothesis import given
from hypothesis import strategies as st

from models.llama.sequence import LEAST_CHUNK_TOKENS, chunks, common_prefix

_TOKENS = st.lists(st.integers(0, 2), max_size=40)


@given(_TOKENS, _TOKENS)
def test_the_common_prefix_is_equal_and_as_long_as_possible(first: list[int], second: list[int]) -> None:
    count = common_prefix(first, second)
    assert first[:count] == second[:count]
    assert first[: count + 1] != second[: count + 1] or count == min(len(first), len(second))


@given(st.integers(0, 3000), st.integers(0, 200), st.integers(32, 512))
def test_chunks_cover_the_rest_of_the_prompt_and_are_never_tiny(length: int, start: int, size: int) -> None:
    prompt = list(range(length))
    cut = [list(chunk) for chunk in chunks(prompt, start, size)]
    assert list(chain.from_iterable(cut)) == prompt[start:]
    assert all(len(chunk) <= size for chunk in cut)
    if length - start >= LEAST_CHUNK_TOKENS:
        assert all(len(chunk) >= LEAST_CHUNK_TOKENS for chunk in cut)


def test_chunk_borders_follow_from_the_prompt_alone() -> None:
    ends = list(accumulate(len(chunk) for chunk in chunks(list(range(1000)), 0, 128)))
    assert ends == [128, 256, 384, 512, 640, 768, 896, 1000]
