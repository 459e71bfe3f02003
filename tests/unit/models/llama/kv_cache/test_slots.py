from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.llama.kv_cache.slots import Slot, common_prefix
from models.llama.native.context import DecodeFailed, TokenRun

_TOKENS = st.lists(st.integers(0, 2), max_size=40)


class _FakeContext:
    """Fake llama.cpp context: keeps the tokens of one sequence."""

    size_tokens = 100

    def __init__(self, can_truncate: bool = True, can_truncate_restored: bool = True) -> None:
        self.can_truncate = can_truncate
        self.can_truncate_restored = can_truncate_restored
        self.held: list[int] = []
        self.restored_tokens = 0
        self.refuses = False

    def prefill(self, run: TokenRun) -> None:
        assert run.start == len(self.held)
        if self.refuses:
            self.held.append(run.tokens[0])
            raise DecodeFailed(1)
        self.held.extend(run.tokens)

    def truncate_sequence(self, sequence: int, count: int) -> bool:
        del sequence
        if count > 0 and (self.can_truncate or count == len(self.held)):
            del self.held[count:]
            return True
        self.held.clear()
        return count == 0

    def min_truncation(self, sequence: int) -> int:
        del sequence
        return 0 if self.can_truncate_restored else self.restored_tokens

    def save_sequence(self, sequence: int) -> memoryview:
        del sequence
        return memoryview(bytearray(self.held))

    def restore_sequence(self, sequence: int, state: memoryview) -> bool:
        del sequence
        self.held = [] if self.refuses else list(state)
        self.restored_tokens = len(self.held)
        return not self.refuses


def _slot(context: _FakeContext, tokens: Sequence[int] = ()) -> Slot:
    slot = Slot(context, 0)  # type: ignore[arg-type]
    if tokens:
        slot.prefill(tokens)
    return slot


@given(_TOKENS, _TOKENS)
def test_the_common_prefix_is_equal_and_as_long_as_possible(first: list[int], second: list[int]) -> None:
    count = common_prefix(first, second)
    assert first[:count] == second[:count]
    assert first[: count + 1] != second[: count + 1] or count == min(len(first), len(second))


@pytest.mark.parametrize("index", [0, 511, 512, 513, 1500])
def test_long_common_prefixes_are_found_too(index: int) -> None:
    first = list(range(1500))
    assert common_prefix(first, [*first[:index], -1, *first[index + 1 :]]) == index


def test_a_slot_offers_what_it_shares_with_a_prompt_but_never_its_end() -> None:
    slot = _slot(_FakeContext(), [1, 2, 3, 4])
    assert slot.usable_tokens([1, 2, 9, 9, 9], min_prefill_tokens=2) == 2
    assert slot.usable_tokens([1, 2, 3, 4, 5], min_prefill_tokens=2) == 3
    assert slot.usable_tokens([9], min_prefill_tokens=2) == 0


def test_a_model_that_cannot_go_back_offers_all_or_nothing() -> None:
    slot = _slot(_FakeContext(can_truncate=False), [1, 2, 3, 4])
    assert slot.usable_tokens([1, 2, 9, 9], min_prefill_tokens=1) == 0
    assert slot.usable_tokens([1, 2, 3, 4, 9], min_prefill_tokens=1) == 4
    slot.truncate(2)
    assert len(slot) == 0


def test_a_restored_window_can_be_extended_and_cut_back_to_where_it_was_restored() -> None:
    context = _FakeContext(can_truncate_restored=False)
    slot = _slot(context)
    assert slot.restore_state([1, 2, 3], memoryview(bytearray([1, 2, 3])))
    slot.prefill([4, 5])
    slot.truncate(3)
    assert context.held == [1, 2, 3]
    assert slot.usable_tokens([1, 2, 9], min_prefill_tokens=1) == 0
    slot.truncate(2)
    assert context.held == []
    assert len(slot) == 0


def test_what_fails_leaves_the_slot_as_it_was() -> None:
    context = _FakeContext()
    slot = _slot(context, [1, 2])
    context.refuses = True
    with pytest.raises(DecodeFailed):
        slot.prefill([3, 4])
    assert context.held == list(slot.tokens) == [1, 2]


def test_a_refused_state_leaves_an_empty_slot() -> None:
    context = _FakeContext()
    slot = _slot(context, [1, 2])
    context.refuses = True
    assert not slot.restore_state([5, 6], memoryview(bytearray([5, 6])))
    assert len(slot) == 0


def test_a_state_longer_than_the_context_is_not_even_tried() -> None:
    slot = _slot(_FakeContext())
    assert not slot.restore_state(list(range(101)), memoryview(bytearray(101)))
