"""Which slot a conversation gets, and what is in it then."""

from models.llama.kv_cache.cache_keys import cache_key_of
from models.llama.kv_cache.prefix_cache import PrefixCache, PrefixMatch
from models.llama.kv_cache.slots import Slot
from models.llama.kv_cache.snapshot_store import SnapshotStore
from models.llama.native.context import TokenRun

_ANNA, _BEN, _CARL = cache_key_of("anna"), cache_key_of("ben"), cache_key_of("carl")
_TOKENS = list(range(40))


class _Cells:
    """Stands for the context: keeps the tokens of four sequences."""

    size_tokens = 100
    sequence_count = 4
    can_truncate = True

    def __init__(self, restored_rewinds: bool = True) -> None:
        self.can_truncate_restored = restored_rewinds
        self.held: dict[int, list[int]] = {number: [] for number in range(self.sequence_count)}

    def prefill(self, run: TokenRun) -> None:
        self.held[run.sequence].extend(run.tokens)

    def truncate_sequence(self, sequence: int, count: int) -> bool:
        del self.held[sequence][count:]
        return True

    def save_sequence(self, sequence: int) -> memoryview:
        return memoryview(bytearray(self.held[sequence]))

    def restore_sequence(self, sequence: int, state: memoryview) -> bool:
        self.held[sequence] = list(state)
        return True


def _house(cells: _Cells) -> tuple[PrefixCache, dict[str, Slot]]:
    """Three conversations at rest, side by side."""
    resuming = PrefixCache(cells, SnapshotStore(1 << 20, None), 1)  # type: ignore[arg-type]
    slots = {}
    for name, owner in (("anna", _ANNA), ("ben", _BEN), ("carl", _CARL)):
        slots[name] = resuming.acquire_slot(PrefixMatch(), owner, None)
        slots[name].prefill(_TOKENS)
    for slot in slots.values():
        resuming.release_slot(slot, len(_TOKENS))
    return resuming, slots


def test_a_conversation_that_runs_alone_goes_on_in_its_own_slot() -> None:
    resuming, slots = _house(_Cells())
    source = resuming.find_match([*_TOKENS, 50], _CARL)
    assert source.slot is slots["carl"]
    assert resuming.acquire_slot(source, _CARL, None) is slots["carl"]


def test_a_conversation_is_brought_beside_the_one_that_runs() -> None:
    cells = _Cells()
    resuming, slots = _house(cells)
    running = resuming.acquire_slot(resuming.find_match([*_TOKENS, 50], _ANNA), _ANNA, None)
    beside = resuming.acquire_slot(resuming.find_match([*_TOKENS[:30], 50], _CARL), _CARL, None)
    assert (running.sequence, beside.sequence) == (0, 1)
    assert list(beside.tokens) == cells.held[1] == _TOKENS[:30]
    resuming.release_slot(beside, 30)
    assert len(slots["carl"]) == 0
    # Whose place it took is parked.
    source = resuming.find_match([*_TOKENS, 50], _BEN)
    assert source.snapshot is not None and source.tokens == len(_TOKENS)


def test_a_neighbour_of_the_one_that_runs_stays_where_it_is() -> None:
    resuming, slots = _house(_Cells())
    resuming.acquire_slot(resuming.find_match([*_TOKENS, 50], _BEN), _BEN, None)
    assert resuming.acquire_slot(resuming.find_match([*_TOKENS, 50], _CARL), _CARL, None) is slots["carl"]


def test_a_state_that_could_not_be_cut_once_it_is_moved_stays_where_it_is() -> None:
    resuming, slots = _house(_Cells(restored_rewinds=False))
    resuming.acquire_slot(resuming.find_match([*_TOKENS, 50], _ANNA), _ANNA, None)
    assert resuming.acquire_slot(resuming.find_match([*_TOKENS, 50], _CARL), _CARL, None) is slots["carl"]
