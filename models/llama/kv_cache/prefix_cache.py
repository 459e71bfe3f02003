"""Brings the state that spares a prompt the most computing into a slot, and parks what slots hold."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from models.llama.kv_cache.cache_keys import EVERYBODY, Owner, state_name
from models.llama.kv_cache.slots import Slot, common_prefix
from models.llama.kv_cache.snapshot_file import Label
from models.llama.kv_cache.snapshot_store import Entry, Parked
from models.llama.kv_cache.tokenized_prompt import ReadPrompt
from models.llama.native.context import Context
from models.llama.plan.prefill_chunks import LEAST_CHUNK_TOKENS

# A state of fewer tokens is computed again sooner than it is kept.
_LEAST_WORTH_TOKENS = 16


@dataclass(frozen=True, slots=True)
class Source:
    """Where the beginning of a prompt comes from, and how many of its tokens; from nowhere without both."""

    tokens: int = 0
    slot: Slot | None = None
    entry: Entry | None = None


class Resuming:
    """The slots of the context and what is parked beside them. Every call belongs to the `llama` thread."""

    def __init__(self, context: Context, parked: Parked, least_left: int) -> None:
        """`least_left`: tokens of a prompt that are computed again even where all of them are known."""
        self._context = context
        self._least_left = least_left
        self._parked = parked
        self._slots = [Slot(context, sequence) for sequence in range(context.sequences)]

    @property
    def has_free_slot(self) -> bool:
        """Whether another prompt could be served now."""
        return any(not slot.in_use for slot in self._slots)

    @property
    def unsaved(self) -> list[Slot]:
        """Slots at rest whose state is to be parked."""
        return [slot for slot in self._slots if slot.unsaved and not slot.in_use]

    def source(self, prompt: Sequence[int], owner: Owner) -> Source:
        """The best state that the owner may use: its own, or that of a system prompt."""
        best = Source()
        for slot in self._slots:
            if not slot.in_use and slot.owner == owner:
                best = max(best, Source(slot.usable(prompt, self._least_left), slot=slot), key=_tokens)
        readable = (owner, EVERYBODY) if owner.lasting else (owner,)
        for entry in self._parked.candidates(readable):
            usable = self._usable(entry.label.tokens, prompt)
            if usable >= best.tokens + LEAST_CHUNK_TOKENS:
                best = Source(usable, entry=entry)
        return best

    def _usable(self, held: Sequence[int], prompt: Sequence[int]) -> int:
        shared = min(common_prefix(held, prompt), max(0, len(prompt) - self._least_left))
        return shared if shared == len(held) or self._context.restored_rewinds else 0

    def take(self, source: Source, owner: Owner, state: memoryview | None) -> Slot:
        """A slot that holds the beginning of the prompt, in use from now on; one must be free.

        `state` is that of the source's entry. When llama.cpp refuses it, it is dropped and the slot is empty.
        """
        slot = self._place(source)
        if source.slot is not slot or not owner.lasting:
            self.park(slot)  # what is cut off now may be the beginning of a later call
        if source.slot is None:
            slot.clear()
            if source.entry and state is not None and not slot.restore(source.entry.label.tokens, state):
                self._parked.drop(source.entry)
        elif source.slot is not slot:
            slot.restore(source.slot.tokens, source.slot.save())
        slot.cut(source.tokens)
        slot.owner, slot.in_use = owner, True
        return slot

    def take_at_once(self, prompt: Sequence[int], owner: Owner) -> Slot:
        """As `take`, with the best state that needs no reading from the disk; all of the prompt may be held already."""
        held = [slot for slot in self._slots if not slot.in_use and slot.owner == owner]
        whole = next((slot for slot in held if slot.usable(prompt, 0) == len(prompt)), None)
        source = Source(len(prompt), slot=whole) if whole else self.source(prompt, owner)
        state = self._parked.state(source.entry) if source.entry else None
        return self.take(source if state is not None or source.slot else Source(), owner, state)

    def _place(self, source: Source) -> Slot:
        """Beside a slot in use, where there is one: llama.cpp computes only sequences that follow each other together,
        and bringing a state to another slot takes milliseconds.
        """
        free = [slot for slot in self._slots if not slot.in_use]
        busy = {slot.sequence for slot in self._slots if slot.in_use}
        beside = [slot for slot in free if busy & {slot.sequence - 1, slot.sequence + 1}]
        if source.slot is not None and (not beside or source.slot in beside or not self._context.restored_rewinds):
            return source.slot
        return min(beside or free, key=lambda slot: (len(slot) > 0, slot.used_at))

    def release(self, slot: Slot, keep_tokens: int) -> None:
        """The slot is free again; of its tokens those up to `keep_tokens` are kept for its owner."""
        slot.cut(keep_tokens)
        slot.in_use, slot.used_at = False, time.monotonic()
        if slot.owner.lasting:
            for other in self._slots:
                if other is not slot and not other.in_use and other.owner == slot.owner:
                    other.clear()

    def park(self, slot: Slot) -> None:
        """Keep what a slot holds also outside of it."""
        if slot.unsaved and len(slot) >= _LEAST_WORTH_TOKENS and not self._is_parked(slot, slot.owner):
            self._keep(slot, slot.owner)
        slot.unsaved = False

    def keep_landmark(self, slot: Slot, prompt: ReadPrompt) -> None:
        """Keep what a slot holds where other prompts will begin, on the way through a prompt: the system prompt for
        all conversations, and the history where the model cannot go back to it later.
        """
        if len(slot) == prompt.system and slot.owner.lasting:
            self._share(slot)
        if len(slot) == prompt.history and not self._context.rewinds:
            self.park(slot)

    def _share(self, slot: Slot) -> None:
        if len(slot) >= _LEAST_WORTH_TOKENS and not self._is_parked(slot, EVERYBODY):
            self._keep(slot, EVERYBODY)

    def _is_parked(self, slot: Slot, owner: Owner) -> bool:
        """Whether a state that is parked holds all of it, and can be cut to it where it holds more."""
        parked = [entry.label.tokens for entry in self._parked.candidates((owner,))]
        if not self._context.restored_rewinds:
            return slot.tokens in parked
        return any(common_prefix(tokens, slot.tokens) == len(slot) for tokens in parked)

    def _keep(self, slot: Slot, owner: Owner) -> None:
        state = slot.save()
        if not owner.lasting:
            self._drop_beginnings(slot.tokens, owner)
        if len(state):
            self._parked.keep(Label(state_name(owner), owner, list(slot.tokens), len(state)), state)

    def _drop_beginnings(self, tokens: Sequence[int], owner: Owner) -> None:
        """A state that another one goes on from is not needed beside it, where one can go back."""
        for entry in self._parked.candidates((owner,)) if self._context.restored_rewinds else ():
            if owner != EVERYBODY and common_prefix(entry.label.tokens, tokens) == len(entry.label.tokens):
                self._parked.drop(entry)

    def forget(self, owner: Owner) -> int:
        """Empty the slots of an owner that are not in use; the number of tokens they held."""
        own = [slot for slot in self._slots if slot.owner == owner and not slot.in_use]
        return sum(slot.clear() for slot in own)


def _tokens(source: Source) -> int:
    return source.tokens
