"""Brings the state that spares a prompt the most computing into a slot, and parks what slots hold."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from models.llama.kv_cache.cache_keys import SHARED, CacheKey, new_snapshot_name
from models.llama.kv_cache.slots import Slot, common_prefix
from models.llama.kv_cache.snapshot_file import SnapshotHeader
from models.llama.kv_cache.snapshot_store import CachedSnapshot, SnapshotStore
from models.llama.kv_cache.tokenized_prompt import TokenizedPrompt
from models.llama.native.context import LlamaContext
from models.llama.plan.prefill_chunks import MIN_CHUNK_TOKENS

# A state of fewer tokens is computed again sooner than it is kept.
_MIN_SNAPSHOT_TOKENS = 16


@dataclass(frozen=True, slots=True)
class PrefixMatch:
    """Where the beginning of a prompt comes from, and how many of its tokens; from nowhere without both."""

    tokens: int = 0
    slot: Slot | None = None
    snapshot: CachedSnapshot | None = None


class PrefixCache:
    """The slots of the context and what is parked beside them. Every call belongs to the `llama` thread."""

    def __init__(self, context: LlamaContext, parked: SnapshotStore, least_left: int) -> None:
        """`least_left`: tokens of a prompt that are computed again even where all of them are known."""
        self._context = context
        self._min_prefill_tokens = least_left
        self._snapshots = parked
        self._slots = [Slot(context, sequence) for sequence in range(context.sequence_count)]

    @property
    def has_free_slot(self) -> bool:
        """Whether another prompt could be served now."""
        return any(not slot.in_use for slot in self._slots)

    @property
    def unsaved_slots(self) -> list[Slot]:
        """Slots at rest whose state is to be parked."""
        return [slot for slot in self._slots if slot.unsaved and not slot.in_use]

    def find_match(self, prompt: Sequence[int], owner: CacheKey) -> PrefixMatch:
        """The best state that the owner may use: its own, or that of a system prompt."""
        best = PrefixMatch()
        for slot in self._slots:
            if not slot.in_use and slot.cache_key == owner:
                best = max(
                    best,
                    PrefixMatch(slot.usable_tokens(prompt, self._min_prefill_tokens), slot=slot),
                    key=_matched_tokens,
                )
        readable = (owner, SHARED) if owner.is_conversation else (owner,)
        for entry in self._snapshots.find_snapshots(readable):
            usable = self._usable_tokens(entry.header.tokens, prompt)
            if usable >= best.tokens + MIN_CHUNK_TOKENS:
                best = PrefixMatch(usable, snapshot=entry)
        return best

    def _usable_tokens(self, held: Sequence[int], prompt: Sequence[int]) -> int:
        shared = min(common_prefix(held, prompt), max(0, len(prompt) - self._min_prefill_tokens))
        return shared if shared == len(held) or self._context.can_truncate_restored else 0

    def acquire_slot(self, source: PrefixMatch, owner: CacheKey, state: memoryview | None) -> Slot:
        """A slot that holds the beginning of the prompt, in use from now on; one must be free.

        `state` is that of the source's entry. When llama.cpp refuses it, it is dropped and the slot is empty.
        """
        slot = self._choose_slot(source)
        if source.slot is not slot or not owner.is_conversation:
            self.snapshot_slot(slot)  # what is cut off now may be the beginning of a later call
        if source.slot is None:
            slot.clear()
            if source.snapshot and state is not None and not slot.restore_state(source.snapshot.header.tokens, state):
                self._snapshots.drop_snapshot(source.snapshot)
        elif source.slot is not slot:
            slot.restore_state(source.slot.tokens, source.slot.save_state())
        slot.truncate(source.tokens)
        slot.cache_key, slot.in_use = owner, True
        return slot

    def acquire_resident(self, prompt: Sequence[int], owner: CacheKey) -> Slot:
        """As `acquire_slot`, with the best state that needs no reading from the disk; all of the prompt may be held
        already.
        """
        held = [slot for slot in self._slots if not slot.in_use and slot.cache_key == owner]
        whole = next((slot for slot in held if slot.usable_tokens(prompt, 0) == len(prompt)), None)
        source = PrefixMatch(len(prompt), slot=whole) if whole else self.find_match(prompt, owner)
        state = self._snapshots.get_resident_state(source.snapshot) if source.snapshot else None
        return self.acquire_slot(source if state is not None or source.slot else PrefixMatch(), owner, state)

    def _choose_slot(self, source: PrefixMatch) -> Slot:
        """Beside a slot in use, where there is one: llama.cpp computes only sequences that follow each other together,
        and bringing a state to another slot takes milliseconds.
        """
        free = [slot for slot in self._slots if not slot.in_use]
        busy = {slot.sequence for slot in self._slots if slot.in_use}
        beside = [slot for slot in free if busy & {slot.sequence - 1, slot.sequence + 1}]
        if source.slot is not None and (not beside or source.slot in beside or not self._context.can_truncate_restored):
            return source.slot
        return min(beside or free, key=lambda slot: (len(slot) > 0, slot.used_at))

    def release_slot(self, slot: Slot, keep_tokens: int) -> None:
        """The slot is free again; of its tokens those up to `keep_tokens` are kept for its owner."""
        slot.truncate(keep_tokens)
        slot.in_use, slot.used_at = False, time.monotonic()
        if slot.cache_key.is_conversation:
            for other in self._slots:
                if other is not slot and not other.in_use and other.cache_key == slot.cache_key:
                    other.clear()

    def snapshot_slot(self, slot: Slot) -> None:
        """Keep what a slot holds also outside of it."""
        if slot.unsaved and len(slot) >= _MIN_SNAPSHOT_TOKENS and not self._is_stored(slot, slot.cache_key):
            self._store_snapshot(slot, slot.cache_key)
        slot.unsaved = False

    def snapshot_at_boundary(self, slot: Slot, prompt: TokenizedPrompt) -> None:
        """Keep what a slot holds where other prompts will begin, on the way through a prompt: the system prompt for
        all conversations, and the history where the model cannot go back to it later.
        """
        if len(slot) == prompt.system_tokens and slot.cache_key.is_conversation:
            self._snapshot_shared(slot)
        if len(slot) == prompt.history_tokens and not self._context.can_truncate:
            self.snapshot_slot(slot)

    def _snapshot_shared(self, slot: Slot) -> None:
        if len(slot) >= _MIN_SNAPSHOT_TOKENS and not self._is_stored(slot, SHARED):
            self._store_snapshot(slot, SHARED)

    def _is_stored(self, slot: Slot, owner: CacheKey) -> bool:
        """Whether a state that is parked holds all of it, and can be cut to it where it holds more."""
        parked = [entry.header.tokens for entry in self._snapshots.find_snapshots((owner,))]
        if not self._context.can_truncate_restored:
            return slot.tokens in parked
        return any(common_prefix(tokens, slot.tokens) == len(slot) for tokens in parked)

    def _store_snapshot(self, slot: Slot, owner: CacheKey) -> None:
        state = slot.save_state()
        if not owner.is_conversation:
            self._drop_prefixes(slot.tokens, owner)
        if len(state):
            self._snapshots.put_snapshot(
                SnapshotHeader(new_snapshot_name(owner), owner, list(slot.tokens), len(state)), state
            )

    def _drop_prefixes(self, tokens: Sequence[int], owner: CacheKey) -> None:
        """A state that another one goes on from is not needed beside it, where one can go back."""
        for entry in self._snapshots.find_snapshots((owner,)) if self._context.can_truncate_restored else ():
            if owner != SHARED and common_prefix(entry.header.tokens, tokens) == len(entry.header.tokens):
                self._snapshots.drop_snapshot(entry)

    def clear_slots(self, owner: CacheKey) -> int:
        """Empty the slots of an owner that are not in use; the number of tokens they held."""
        own = [slot for slot in self._slots if slot.cache_key == owner and not slot.in_use]
        return sum(slot.clear() for slot in own)


def _matched_tokens(source: PrefixMatch) -> int:
    return source.tokens
