"""Prefix cache: brings the longest reusable prefix of a prompt into a slot, and takes snapshots of slots."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

from models.llama.kv_cache.cache_keys import SHARED, CacheKey, new_snapshot_name
from models.llama.kv_cache.slots import Slot, common_prefix
from models.llama.kv_cache.snapshot_file import NO_NAME, SnapshotHeader
from models.llama.kv_cache.snapshot_store import CachedSnapshot, SnapshotStore
from models.llama.kv_cache.tokenized_prompt import TokenizedPrompt
from models.llama.native.context import LlamaContext
from models.llama.plan.prefill_chunks import MIN_CHUNK_TOKENS

_log = logging.getLogger(__name__)

# A state of fewer tokens is cheaper to compute again than to store.
_MIN_SNAPSHOT_TOKENS = 16


@dataclass(frozen=True, slots=True)
class PrefixMatch:
    """Source of a prompt's prefix, and its length in tokens: a slot, a snapshot, or neither for no match."""

    tokens: int = 0
    slot: Slot | None = None
    snapshot: CachedSnapshot | None = None


class PrefixCache:
    """The slots of the context, and the snapshots. Used on the inference thread only."""

    def __init__(self, context: LlamaContext, snapshots: SnapshotStore, min_prefill_tokens: int) -> None:
        """`min_prefill_tokens`: tokens of a prompt that are always computed, even when all of it is cached."""
        self._context = context
        self._min_prefill_tokens = min_prefill_tokens
        self._snapshots = snapshots
        self._slots = [Slot(context, sequence) for sequence in range(context.sequence_count)]

    @property
    def has_free_slot(self) -> bool:
        """Whether another request could be admitted now."""
        return any(not slot.in_use for slot in self._slots)

    @property
    def slot_tokens(self) -> int:
        """Number of tokens in all slots."""
        return sum(len(slot) for slot in self._slots)

    @property
    def unsaved_slots(self) -> list[Slot]:
        """Idle slots whose state needs a snapshot."""
        return [slot for slot in self._slots if slot.unsaved and not slot.in_use]

    def find_match(self, prompt: Sequence[int], cache_key: CacheKey) -> PrefixMatch:
        """The best state to reuse: one of the same key, or for conversations that of a system prompt."""
        best_match = PrefixMatch()
        for slot in self._slots:
            if not slot.in_use and slot.cache_key == cache_key:
                match = PrefixMatch(slot.usable_tokens(prompt, self._min_prefill_tokens), slot=slot)
                if self._is_worthwhile(match, len(prompt)):
                    best_match = max(best_match, match, key=_matched_tokens)
        readable_keys = (cache_key, SHARED) if cache_key.is_conversation else (cache_key,)
        for entry in self._snapshots.find_snapshots(readable_keys):
            usable_tokens = self._usable_tokens(entry.header.tokens, prompt)
            if usable_tokens >= best_match.tokens + MIN_CHUNK_TOKENS:
                best_match = PrefixMatch(usable_tokens, snapshot=entry)
        return best_match

    def cached_prompts(self, cache_key: CacheKey) -> list[tuple[int, list[int]]]:
        """The date, as a proleptic ordinal, and the tokens of each state of a key."""
        slots = [(slot.day, list(slot.tokens)) for slot in self._slots if slot.cache_key == cache_key]
        entries = self._snapshots.find_snapshots((cache_key,))
        return slots + [(entry.header.day, entry.header.tokens) for entry in entries]

    def _is_worthwhile(self, match: PrefixMatch, prompt_tokens: int) -> bool:
        """Whether a slot is better than an empty one. A caller's prompts that have no more than their first tokens in
        common would displace each other; where that beginning cannot be copied, it must be most of the prompt.
        """
        if not self._is_branch(match):
            return match.tokens > 0
        has_empty = any(not slot.in_use and len(slot) == 0 for slot in self._slots)
        if has_empty and not self._context.can_truncate_restored:
            return 2 * match.tokens >= prompt_tokens
        return match.tokens >= _MIN_SNAPSHOT_TOKENS

    @staticmethod
    def _is_branch(match: PrefixMatch) -> bool:
        """Whether a match would cut off something of a slot that other prompts of its caller may continue."""
        slot = match.slot
        return slot is not None and not slot.cache_key.is_conversation and match.tokens < slot.turn_tokens

    def _usable_tokens(self, cached_tokens: Sequence[int], prompt: Sequence[int]) -> int:
        shared_tokens = min(common_prefix(cached_tokens, prompt), max(0, len(prompt) - self._min_prefill_tokens))
        return shared_tokens if shared_tokens == len(cached_tokens) or self._context.can_truncate_restored else 0

    def acquire_slot(self, match: PrefixMatch, cache_key: CacheKey, state: memoryview | None) -> Slot:
        """A slot that holds the matched prefix, in use from now on; one must be free.

        `state` is that of the matched snapshot. When llama.cpp rejects it, the snapshot is dropped and the slot empty.
        """
        slot = self._choose_slot(match)
        if match.slot is not slot or self._is_branch(match):
            self.snapshot_slot(slot)  # the tokens truncated now may be the prefix of a later call
        if match.slot is None:
            slot.clear()
            if match.snapshot and state is not None and not slot.restore_state(match.snapshot.header.tokens, state):
                _log.warning("Could not restore a conversation's state: llama.cpp rejects it. It is computed again.")
                self._snapshots.drop_snapshot(match.snapshot)
        elif match.slot is not slot:
            slot.restore_state(match.slot.tokens, self._save_state(match.slot))
        slot.truncate(match.tokens)
        slot.cache_key, slot.in_use = cache_key, True
        return slot

    def acquire_resident(self, prompt: Sequence[int], cache_key: CacheKey) -> Slot:
        """As `acquire_slot`, with the best state in memory; the slot may hold the whole prompt already."""
        key_slots = [slot for slot in self._slots if not slot.in_use and slot.cache_key == cache_key]
        whole_match = next((slot for slot in key_slots if slot.usable_tokens(prompt, 0) == len(prompt)), None)
        match = PrefixMatch(len(prompt), slot=whole_match) if whole_match else self.find_match(prompt, cache_key)
        state = self._snapshots.get_resident_state(match.snapshot) if match.snapshot else None
        return self.acquire_slot(match if state is not None or match.slot else PrefixMatch(), cache_key, state)

    def _choose_slot(self, match: PrefixMatch) -> Slot:
        """A free slot, adjacent to one in use where possible: llama.cpp computes only consecutive sequences together,
        and copying a state to another slot takes milliseconds.
        """
        free = [slot for slot in self._slots if not slot.in_use]
        used_sequences = {slot.sequence for slot in self._slots if slot.in_use}
        adjacent = [slot for slot in free if used_sequences & {slot.sequence - 1, slot.sequence + 1}]
        stays = (not adjacent or match.slot in adjacent) and not self._is_branch(match)
        if match.slot is not None and (stays or not self._context.can_truncate_restored):
            return match.slot
        return min(adjacent or free, key=lambda slot: (len(slot) > 0, slot.used_at))

    def release_slot(self, slot: Slot, keep_tokens: int) -> None:
        """Free a slot; its first `keep_tokens` tokens stay cached for its key."""
        slot.truncate(keep_tokens)
        slot.in_use, slot.used_at = False, time.monotonic()
        if slot.cache_key.is_conversation:
            for other in self._slots:
                if other is not slot and not other.in_use and other.cache_key == slot.cache_key:
                    other.clear()

    def snapshot_slot(self, slot: Slot) -> None:
        """Store a snapshot of a slot, unless its state is too short or stored already."""
        is_needed = slot.unsaved and len(slot) >= _MIN_SNAPSHOT_TOKENS
        if is_needed and not self._is_stored(slot, slot.cache_key) and not self._has_stored_turn(slot):
            self._store_snapshot(slot, slot.cache_key)
        slot.unsaved = False

    def _has_stored_turn(self, slot: Slot) -> bool:
        """Whether there is a snapshot of an API caller's prompt without its answer, where the state of the answer could
        not be truncated: templates write an answer differently once another turn follows.
        """
        if slot.cache_key.is_conversation or self._context.can_truncate_restored or len(slot) <= slot.turn_tokens:
            return False
        turn = slot.tokens[: slot.turn_tokens]
        return any(entry.header.tokens == turn for entry in self._snapshots.find_snapshots((slot.cache_key,)))

    def snapshot_at_boundary(self, slot: Slot, prompt: TokenizedPrompt, *, is_discarded: bool = False) -> None:
        """Store a snapshot where other prompts branch off, in the course of a prefill: the system prompt for all
        conversations, and, unless its state is discarded, where the next prompt does if the model cannot truncate to
        it later.
        """
        slot.turn_tokens, slot.day = min(prompt.turn_tokens, len(slot)), prompt.day
        if len(slot) == prompt.system_tokens and slot.cache_key.is_conversation:
            self._snapshot_shared(slot)
        if len(slot) == self._next_branch(slot, prompt) and not is_discarded:
            self.snapshot_slot(slot)

    def snapshot_boundaries(self, slot: Slot, prompt: TokenizedPrompt) -> tuple[int, ...]:
        """The positions in a prompt at which `snapshot_at_boundary` may have something to store."""
        system = (prompt.system_tokens,) if slot.cache_key.is_conversation else ()
        branch = self._next_branch(slot, prompt)
        return system if branch is None else (*system, branch)

    def _next_branch(self, slot: Slot, prompt: TokenizedPrompt) -> int | None:
        """Where the next prompt of the slot's key branches off, if a snapshot is needed there: a conversation's after
        the history, as its passages change, an API caller's after the last message.
        """
        if slot.cache_key.is_conversation:
            return None if self._context.keeps_all_cells else prompt.history_tokens
        return None if self._context.can_truncate_restored else prompt.turn_tokens

    def _snapshot_shared(self, slot: Slot) -> None:
        if len(slot) >= _MIN_SNAPSHOT_TOKENS and not self._is_stored(slot, SHARED):
            self._store_snapshot(slot, SHARED)

    def _is_stored(self, slot: Slot, cache_key: CacheKey) -> bool:
        """Whether a snapshot holds all of the slot's tokens, and can be truncated to them if it holds more."""
        stored = [entry.header.tokens for entry in self._snapshots.find_snapshots((cache_key,))]
        if not self._context.can_truncate_restored:
            return slot.tokens in stored
        return any(common_prefix(tokens, slot.tokens) == len(slot) for tokens in stored)

    def _store_snapshot(self, slot: Slot, cache_key: CacheKey) -> None:
        if not (state := self._save_state(slot)):
            return
        if not cache_key.is_conversation:
            self._drop_prefixes(slot.tokens, cache_key)
        name, shared_name = new_snapshot_name(cache_key), self._shared_name(slot, cache_key)
        self._snapshots.put_snapshot(
            SnapshotHeader(name, cache_key, list(slot.tokens), len(state), slot.day, shared_name), state
        )

    @staticmethod
    def _save_state(slot: Slot) -> memoryview:
        """The state of a slot; empty, with a line in the log, when it cannot be read: it is computed again then."""
        reason = "llama.cpp returned none"
        try:
            if state := slot.save_state():
                return state
        except MemoryError:
            reason = "there is too little memory"
        _log.warning("Could not read a conversation's state: %s. It will be computed again.", reason)
        return memoryview(b"")

    def _shared_name(self, slot: Slot, cache_key: CacheKey) -> bytes:
        """The name of the snapshot of a conversation's system prompt, if there is one."""
        shared = self._snapshots.find_snapshots((SHARED,)) if cache_key.is_conversation else []
        prefixes = [entry.header for entry in shared if slot.tokens[: len(entry.header.tokens)] == entry.header.tokens]
        return max(prefixes, key=lambda header: len(header.tokens)).name if prefixes else NO_NAME

    def _drop_prefixes(self, tokens: Sequence[int], cache_key: CacheKey) -> None:
        """Drop snapshots that are prefixes of `tokens`, except shared ones: redundant if a state can be truncated."""
        for entry in self._snapshots.find_snapshots((cache_key,)) if self._context.can_truncate_restored else ():
            if cache_key != SHARED and common_prefix(entry.header.tokens, tokens) == len(entry.header.tokens):
                self._snapshots.drop_snapshot(entry)

    def clear_slots(self, cache_key: CacheKey) -> int:
        """Empty the idle slots of a key; returns the number of tokens they held."""
        key_slots = [slot for slot in self._slots if cache_key.covers(slot.cache_key) and not slot.in_use]
        return sum(slot.clear() for slot in key_slots)


def _matched_tokens(match: PrefixMatch) -> int:
    return match.tokens
