"""Choice of a slot for a conversation, and its content."""

import pytest

from models.engine import STATELESS_PREFIX
from models.llama.kv_cache.cache_keys import cache_key_of
from models.llama.kv_cache.prefix_cache import PrefixCache, PrefixMatch
from models.llama.kv_cache.slots import Slot
from models.llama.kv_cache.snapshot_store import SnapshotStore
from models.llama.kv_cache.tokenized_prompt import TokenizedPrompt
from models.llama.native.context import TokenRun

_ANNA, _BEN, _CARL = cache_key_of("anna"), cache_key_of("ben"), cache_key_of("carl")
_API = cache_key_of(f"{STATELESS_PREFIX}api:editor")
_TOKENS = list(range(40))


class _FakeContext:
    """Fake llama.cpp context: keeps the tokens of four sequences."""

    size_tokens = 100
    sequence_count = 4
    can_truncate = True

    def __init__(self, can_truncate_restored: bool = True) -> None:
        self.can_truncate_restored = can_truncate_restored
        self.keeps_all_cells = can_truncate_restored
        self.held: dict[int, list[int]] = {number: [] for number in range(self.sequence_count)}

    def prefill(self, run: TokenRun) -> None:
        self.held[run.sequence].extend(run.tokens)

    def truncate_sequence(self, sequence: int, count: int) -> bool:
        del self.held[sequence][count:]
        return True

    def min_truncation(self, sequence: int) -> int:
        return 0 if self.can_truncate_restored else len(self.held[sequence]) - 1

    def save_sequence(self, sequence: int) -> memoryview:
        return memoryview(bytearray(self.held[sequence]))

    def restore_sequence(self, sequence: int, state: memoryview) -> bool:
        self.held[sequence] = list(state)
        return True


def _idle_conversations(context: _FakeContext) -> tuple[PrefixCache, dict[str, Slot]]:
    """Three idle conversations in consecutive sequences."""
    prefix_cache = PrefixCache(context, SnapshotStore(1 << 20, None), 1)  # type: ignore[arg-type]
    slots = {}
    for name, cache_key in (("anna", _ANNA), ("ben", _BEN), ("carl", _CARL)):
        slots[name] = prefix_cache.acquire_slot(PrefixMatch(), cache_key, None)
        slots[name].prefill(_TOKENS)
    for slot in slots.values():
        prefix_cache.release_slot(slot, len(_TOKENS))
    return prefix_cache, slots


def test_a_conversation_that_runs_alone_goes_on_in_its_own_slot() -> None:
    prefix_cache, slots = _idle_conversations(_FakeContext())
    match = prefix_cache.find_match([*_TOKENS, 50], _CARL)
    assert match.slot is slots["carl"]
    assert prefix_cache.acquire_slot(match, _CARL, None) is slots["carl"]


def test_a_conversation_is_brought_beside_the_one_that_runs() -> None:
    context = _FakeContext()
    prefix_cache, slots = _idle_conversations(context)
    running = prefix_cache.acquire_slot(prefix_cache.find_match([*_TOKENS, 50], _ANNA), _ANNA, None)
    adjacent = prefix_cache.acquire_slot(prefix_cache.find_match([*_TOKENS[:30], 50], _CARL), _CARL, None)
    assert (running.sequence, adjacent.sequence) == (0, 1)
    assert list(adjacent.tokens) == context.held[1] == _TOKENS[:30]
    prefix_cache.release_slot(adjacent, 30)
    assert len(slots["carl"]) == 0
    # The conversation whose slot it took has a snapshot.
    match = prefix_cache.find_match([*_TOKENS, 50], _BEN)
    assert match.snapshot is not None and match.tokens == len(_TOKENS)


def test_a_neighbour_of_the_one_that_runs_stays_where_it_is() -> None:
    prefix_cache, slots = _idle_conversations(_FakeContext())
    prefix_cache.acquire_slot(prefix_cache.find_match([*_TOKENS, 50], _BEN), _BEN, None)
    assert prefix_cache.acquire_slot(prefix_cache.find_match([*_TOKENS, 50], _CARL), _CARL, None) is slots["carl"]


def test_a_state_that_could_not_be_cut_once_it_is_moved_stays_where_it_is() -> None:
    prefix_cache, slots = _idle_conversations(_FakeContext(can_truncate_restored=False))
    prefix_cache.acquire_slot(prefix_cache.find_match([*_TOKENS, 50], _ANNA), _ANNA, None)
    assert prefix_cache.acquire_slot(prefix_cache.find_match([*_TOKENS, 50], _CARL), _CARL, None) is slots["carl"]


def _answer(prefix_cache: PrefixCache, tokens: list[int], answer: tuple[int, ...] = (98, 99)) -> Slot:
    """A call of an API caller, whose last two tokens begin the reply; returns the slot that it used."""
    prompt = TokenizedPrompt(tokens, 0, 0, "", len(tokens) - 2)
    slot = prefix_cache.acquire_slot(prefix_cache.find_match(tokens, _API), _API, None)
    prefix_cache.snapshot_at_boundary(slot, prompt)
    for end in (*(each for each in prefix_cache.snapshot_boundaries(slot, prompt) if each > len(slot)), len(tokens)):
        slot.prefill(tokens[len(slot) : end])
        prefix_cache.snapshot_at_boundary(slot, prompt)
    slot.prefill(answer)
    prefix_cache.release_slot(slot, len(slot))
    return slot


@pytest.mark.parametrize("can_truncate_restored", [True, False])
def test_a_prompt_that_shares_a_few_tokens_takes_an_empty_slot(can_truncate_restored: bool) -> None:
    context = _FakeContext(can_truncate_restored)
    prefix_cache = PrefixCache(context, SnapshotStore(1 << 20, None), 1)  # type: ignore[arg-type]
    chat = _answer(prefix_cache, _TOKENS)
    title = _answer(prefix_cache, [*_TOKENS[:8], *range(50, 70)])
    assert title is not chat
    assert list(chat.tokens) == [*_TOKENS, 98, 99]
    assert prefix_cache.find_match([*_TOKENS[:-2], 98, 60, 61, 62], _API).tokens >= len(_TOKENS) - 2


def test_a_chat_that_branches_off_copies_its_beginning_into_an_empty_slot() -> None:
    context = _FakeContext()
    prefix_cache = PrefixCache(context, SnapshotStore(1 << 20, None), 1)  # type: ignore[arg-type]
    chat = _answer(prefix_cache, _TOKENS)
    prompt = [*_TOKENS[:20], *range(50, 70)]
    match = prefix_cache.find_match(prompt, _API)
    assert match.tokens == 20
    branch = prefix_cache.acquire_slot(match, _API, None)
    assert branch is not chat
    assert context.held[branch.sequence] == list(branch.tokens) == _TOKENS[:20]
    assert list(chat.tokens) == [*_TOKENS, 98, 99]


@pytest.mark.parametrize("shared_tokens", [8, 20])
def test_where_all_slots_are_taken_the_one_used_longest_ago_is_displaced(shared_tokens: int) -> None:
    context = _FakeContext()
    prefix_cache = PrefixCache(context, SnapshotStore(1 << 20, None), 1)  # type: ignore[arg-type]
    slots = [_answer(prefix_cache, [number * 50, *_TOKENS[1:]]) for number in range(4)]
    prompt = [50, *_TOKENS[1:shared_tokens], *range(60, 80)]
    assert prefix_cache.find_match(prompt, _API).tokens == (20 if shared_tokens == 20 else 0)
    assert _answer(prefix_cache, prompt) is slots[0]
    assert context.held[0] == [*prompt, 98, 99]
    assert prefix_cache.find_match([50, *_TOKENS[1:], 98], _API).slot is slots[1]
    assert prefix_cache.find_match([0, *_TOKENS[1:], 98], _API).snapshot is not None


def test_a_state_that_cannot_be_cut_is_stored_where_the_next_prompt_branches_off() -> None:
    context = _FakeContext(can_truncate_restored=False)
    prefix_cache = PrefixCache(context, store := SnapshotStore(1 << 20, None), 1)  # type: ignore[arg-type]
    slot = _answer(prefix_cache, _TOKENS)
    prefix_cache.snapshot_slot(slot)
    # One before the beginning of the reply, and none with the answer, which the template would write differently.
    assert [entry.header.tokens for entry in store.find_snapshots((_API,))] == [_TOKENS[:-2]]


class _FailingContext(_FakeContext):
    """Fake context whose states cannot be read or restored, as without memory or on a card that is gone."""

    failure = ""

    def save_sequence(self, sequence: int) -> memoryview:
        if self.failure == "memory":
            raise MemoryError
        return memoryview(b"") if self.failure == "none" else super().save_sequence(sequence)

    def restore_sequence(self, sequence: int, state: memoryview) -> bool:
        if self.failure == "rejected" or not state:
            self.held[sequence] = []
            return False
        return super().restore_sequence(sequence, state)


@pytest.mark.parametrize("failure", ["memory", "none"])
def test_a_state_that_cannot_be_read_is_computed_again_with_one_line(
    failure: str, caplog: pytest.LogCaptureFixture
) -> None:
    context = _FailingContext()
    prefix_cache = PrefixCache(context, store := SnapshotStore(1 << 20, None), 1)  # type: ignore[arg-type]
    chat = _answer(prefix_cache, _TOKENS)
    context.failure = failure
    prompt = [*_TOKENS[:20], *range(50, 70)]
    branch = prefix_cache.acquire_slot(prefix_cache.find_match(prompt, _API), _API, None)
    assert (len(branch), context.held[branch.sequence]) == (0, [])
    assert len(caplog.records) == 1
    prefix_cache.snapshot_slot(chat)
    assert store.find_snapshots((_API,)) == []
    assert len(caplog.records) == 2


def test_a_state_that_is_rejected_is_dropped_and_computed_again_with_one_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    context = _FailingContext()
    prefix_cache = PrefixCache(context, store := SnapshotStore(1 << 20, None), 1)  # type: ignore[arg-type]
    prefix_cache.snapshot_slot(_answer(prefix_cache, _TOKENS))
    assert prefix_cache.clear_slots(_API) > 0
    context.failure = "rejected"
    match = prefix_cache.find_match([*_TOKENS, 50], _API)
    assert match.snapshot is not None
    slot = prefix_cache.acquire_slot(match, _API, store.get_resident_state(match.snapshot))
    assert len(slot) == 0
    assert store.find_snapshots((_API,)) == []
    assert len(caplog.records) == 1
