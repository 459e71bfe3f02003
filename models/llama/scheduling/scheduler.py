"""What the `llama` thread does with its jobs: many answers together, step by step, and what waits for quiet moments."""

import time
from dataclasses import dataclass, field

from models.engine import EngineFailed, PromptTooLong, Usage
from models.llama.decoding.draft_length import DraftLengthController
from models.llama.decoding.generation import Generation, answer_token_limit
from models.llama.decoding.prompt_lookup import PromptLookup
from models.llama.decoding.token_stream import TokenStream
from models.llama.kv_cache.cache_keys import CacheKey, cache_key_of
from models.llama.kv_cache.chat_template import ChatTemplate
from models.llama.kv_cache.prefix_cache import PrefixCache, PrefixMatch
from models.llama.kv_cache.snapshot_store import CachedSnapshot, SnapshotStore
from models.llama.kv_cache.tokenized_prompt import PromptTokenizer, TokenizedPrompt
from models.llama.loading.loader import LoadedModel
from models.llama.native.context import DecodeAborted, DecodeFailed, TokenRun
from models.llama.plan.prefill_chunks import MIN_CHUNK_TOKENS, iter_chunks, unaligned_chunk_end
from models.llama.scheduling.prefill_policy import PendingPrefill, StepState, choose_prefill, should_prefill
from models.llama.scheduling.requests import DropState, Generate, Request, RequestQueue, WarmUp
from models.llama.scheduling.throughput import Throughput
from models.llama.scheduling.warmup import WarmUpQueue
from models.llama.settings import LlamaSettings

# Questions read ahead of their turn, so that the shortest of them can be chosen.
_TOKENIZE_AHEAD = 4


@dataclass(eq=False, slots=True)
class _Waiting:
    """A question that has no slot yet; `state` is what the disk gave for `snapshot`."""

    generate: Generate
    cache_key: CacheKey
    prompt: TokenizedPrompt | None = None
    prefill_cost: float = 0.0
    snapshot: CachedSnapshot | None = None
    state: memoryview | None = None
    fetching: bool = False


@dataclass(eq=False, slots=True)
class _Running:
    """A question with a slot; `discard_state` when nothing of it may be kept."""

    generate: Generate
    cache_key: CacheKey
    generation: Generation
    request_id: int
    discard_state: bool = False


@dataclass(eq=False, slots=True)
class _Times:
    """When the running replies were last given a token, and whether the last step read a prompt."""

    decoded_at: float = field(default_factory=time.monotonic)
    prefilled_last: bool = False


class Scheduler:
    """One model and its sequences. Every call belongs to the `llama` thread."""

    def __init__(
        self, loaded: LoadedModel, settings: LlamaSettings, pace: Throughput, parked: SnapshotStore, jobs: RequestQueue
    ) -> None:
        self._loaded = loaded
        self._settings = settings
        self._context = loaded.context
        self._throughput = pace
        self._snapshots = parked
        self._requests = jobs
        self._tokenizer = PromptTokenizer(ChatTemplate(loaded.model, settings.thinking))
        # What cannot be cut back goes on exactly where a state was kept, however little is left.
        anywhere = loaded.is_chunk_invariant or not loaded.context.can_truncate
        self._prefix_cache = PrefixCache(loaded.context, parked, 1 if anywhere else MIN_CHUNK_TOKENS)
        self._warm_ups = WarmUpQueue(loaded, self._tokenizer, self._prefix_cache, jobs)
        self._draft_length = DraftLengthController(loaded.max_draft_tokens if settings.speculation else 0)
        self._waiting: list[_Waiting] = []
        self._running: list[_Running] = []
        self._times = _Times()
        self._last_id = 0

    @property
    def has_work(self) -> bool:
        """Whether there is something to compute now."""
        return bool(self._running) or any(not each.fetching for each in self._waiting) or self._may_warm_up

    @property
    def _may_warm_up(self) -> bool:
        return not self._running and not self._waiting and self._warm_ups.has_pending

    @property
    def has_unsaved(self) -> bool:
        """Whether something is to be parked when nothing else is to be done."""
        return bool(self._prefix_cache.unsaved_slots)

    def accept_request(self, job: Request) -> None:
        """Take note of a new job."""
        match job:
            case Generate():
                self._warm_ups.drop_pending(job.request.key)
                self._waiting.append(_Waiting(job, cache_key_of(job.request.key)))
            case WarmUp():
                self._warm_ups.add(job)
            case DropState():
                self._warm_ups.drop_pending(job.key)
                self._drop_state(job)

    def run_step(self) -> None:
        """Drop what is no longer wanted, give free slots away, and compute once."""
        self._drop_cancelled()
        self._tokenize_next()
        self._admit()
        reading = [each for each in self._running if each.generation.prefilling]
        # In the order of their sequences: llama.cpp computes others in several goes.
        writing = sorted(
            (each for each in self._running if not each.generation.prefilling),
            key=lambda each: each.generation.slot.sequence,
        )
        if reading and self._should_prefill(reading, writing):
            self._prefill_chunk(
                reading[choose_prefill([self._pending_prefill(each) for each in reading])], bool(writing)
            )
        elif writing:
            for first in range(0, len(writing), self._loaded.max_decode_batch):
                self._decode_step(writing[first : first + self._loaded.max_decode_batch])
        elif self._may_warm_up:
            self._warm_ups.run_oldest()
        TokenStream.notify_readers(each.generate.request.stream for each in self._running)

    def snapshot_one(self) -> None:
        """Park one slot at rest."""
        for slot in self._prefix_cache.unsaved_slots[:1]:
            self._prefix_cache.snapshot_slot(slot)

    def close(self) -> None:
        """Give everything back, and park what is worth it; who waits was told already."""
        for running in list(self._running):
            self._end(running, None)
        for slot in self._prefix_cache.unsaved_slots:
            self._prefix_cache.snapshot_slot(slot)

    def _drop_cancelled(self) -> None:
        for waiting in [each for each in self._waiting if each.generate.cancel_flag.is_set]:
            self._reject(waiting, None)
        for running in [each for each in self._running if each.generate.cancel_flag.is_set]:
            self._end(running, None)

    def _reject(self, waiting: _Waiting, error: Exception | None) -> None:
        self._waiting.remove(waiting)
        self._throughput.record_abandoned()
        if error is not None:
            waiting.generate.request.stream.set_end(error)
        self._requests.mark_done(waiting.generate)

    def _tokenize_next(self) -> None:
        """Turn one more of the waiting questions into tokens, and have its state fetched from the disk."""
        ahead = self._waiting[: self._context.sequence_count + _TOKENIZE_AHEAD]
        waiting = next((each for each in ahead if each.prompt is None), None)
        if waiting is None:
            return
        try:
            self._loaded.model.require_unchanged()
            prompt = self._tokenizer.tokenize_prompt(waiting.generate.prompt)
            answer_token_limit(
                len(prompt.tokens), self._context.size_tokens, waiting.generate.request.sampling.max_tokens
            )
        except (EngineFailed, PromptTooLong) as error:
            self._reject(waiting, error)
            return
        waiting.prompt = prompt
        source = self._prefix_cache.find_match(prompt.tokens, waiting.cache_key)
        waiting.prefill_cost = self._loaded.prefill_plan.cost(source.tokens, len(prompt.tokens))
        self._fetch_snapshot(waiting, source)

    def _fetch_snapshot(self, waiting: _Waiting, source: PrefixMatch) -> bool:
        """Have the disk read for a source that is only there; False when there is nothing to wait for."""
        entry = source.snapshot
        if entry is None or entry is waiting.snapshot or self._snapshots.get_resident_state(entry) is not None:
            return False
        waiting.snapshot, waiting.fetching = entry, True

        def then(state: memoryview | None) -> None:
            waiting.state, waiting.fetching = state, False
            self._requests.wake_thread()

        self._snapshots.fetch_state(entry, then)
        return waiting.fetching

    def _admit(self) -> None:
        while self._prefix_cache.has_free_slot:
            ready = [each for each in self._waiting if each.prompt is not None and not each.fetching]
            if not ready:
                return
            now = time.monotonic()
            readings = [
                PendingPrefill(self._throughput.prefill_s(each.prefill_cost), now - each.generate.request.submitted_at)
                for each in ready
            ]
            self._start(ready[choose_prefill(readings)])

    def _start(self, waiting: _Waiting) -> None:
        prompt, ask = waiting.prompt, waiting.generate.request
        assert prompt is not None
        source = self._prefix_cache.find_match(prompt.tokens, waiting.cache_key)
        if self._fetch_snapshot(waiting, source):
            return
        state = None
        if source.snapshot is not None:
            state = (
                waiting.state
                if source.snapshot is waiting.snapshot
                else self._snapshots.get_resident_state(source.snapshot)
            )
            source = source if state is not None else PrefixMatch()
        slot = self._prefix_cache.acquire_slot(source, waiting.cache_key, state)
        self._prefix_cache.snapshot_at_boundary(slot, prompt)
        try:
            generation = Generation(
                ask,
                prompt,
                slot,
                model=self._loaded.model,
                room_tokens=answer_token_limit(len(prompt.tokens), self._context.size_tokens, ask.sampling.max_tokens),
            )
        except EngineFailed as error:
            self._prefix_cache.release_slot(slot, len(slot))
            self._reject(waiting, error)
            return
        if self._draft_length.is_enabled:
            generation.prompt_lookup = PromptLookup(prompt.tokens[prompt.history_tokens :])
        self._waiting.remove(waiting)
        self._last_id += 1
        self._running.append(_Running(waiting.generate, waiting.cache_key, generation, self._last_id))
        self._throughput.record_admitted(self._last_id)

    def _next_chunk(self, generation: Generation, writing: bool) -> tuple[int, int]:
        """Where the next chunk of a prompt starts and ends."""
        prompt, start, length = generation.prompt, len(generation.slot), len(generation.prompt.tokens)
        if self._loaded.is_chunk_invariant:
            return start, unaligned_chunk_end(
                start, length, (prompt.system_tokens,), self._max_chunk_tokens(start, writing)
            )
        stops, ends = (prompt.system_tokens, prompt.history_tokens), self._loaded.prefill_plan.chunk_ends(length)
        return next(iter_chunks(start, length, stops, ends, exact=not self._context.can_truncate))

    def _max_chunk_tokens(self, start: int, writing: bool) -> int:
        """Tokens of a prompt that can be computed in what is left of the longest gap, and always half of a usual chunk:
        short ones cost more each. While nobody's answer pauses, twice the gap: so long may somebody new wait.
        """
        grid, left_s = self._loaded.prefill_plan, 2 * self._settings.max_decode_pause_s
        if writing:
            left_s = (
                self._settings.max_decode_pause_s
                - (time.monotonic() - self._times.decoded_at)
                - self._throughput.step_s
            )
        fitting = grid.tokens_for_cost(start, self._throughput.cost_within(left_s))
        most = self._context.batch_tokens - MIN_CHUNK_TOKENS
        return min(most, max(fitting, grid.first_chunk_tokens // 2))

    def _pending_prefill(self, running: _Running) -> PendingPrefill:
        generation = running.generation
        weight = self._loaded.prefill_plan.cost(len(generation.slot), len(generation.prompt.tokens))
        return PendingPrefill(
            self._throughput.prefill_s(weight), time.monotonic() - running.generate.request.submitted_at
        )

    def _should_prefill(self, reading: list[_Running], writing: list[_Running]) -> bool:
        chunk = max((self._next_chunk(each.generation, bool(writing)) for each in reading), key=lambda ends: ends[1])
        moment = StepState(
            is_decoding=bool(writing),
            is_prefilling=bool(reading),
            since_decode_s=time.monotonic() - self._times.decoded_at,
            chunk_s=self._throughput.prefill_s(self._loaded.prefill_plan.cost(*chunk)),
            step_s=self._throughput.step_s,
            prefilled_last=self._times.prefilled_last,
        )
        return should_prefill(moment, self._settings.max_decode_pause_s)

    def _prefill_chunk(self, running: _Running, writing: bool) -> None:
        generation = running.generation
        start, end = self._next_chunk(generation, writing)
        weight = self._loaded.prefill_plan.cost(start, end)
        began = time.monotonic()
        self._times.prefilled_last = True
        self._context.set_abort_flag(running.generate.cancel_flag)
        try:
            generation.prefill_to(self._context, end)
        except DecodeAborted:
            self._end(running, None)
        except (DecodeFailed, EngineFailed) as error:
            self._fail(running, error)
        else:
            self._throughput.record_prefill(weight, time.monotonic() - began)
            self._prefix_cache.snapshot_at_boundary(generation.slot, generation.prompt)
            if generation.usage is not None:
                self._end(running, generation.usage)
        finally:
            self._context.set_abort_flag(self._requests.closing)

    def _decode_step(self, writing: list[_Running]) -> None:
        """One token, or more where guesses are right, for each of the running replies."""
        began = time.monotonic()
        guessed = self._draft_length.draft_length(writing[0].generation.prompt_lookup) if len(writing) == 1 else 0
        tokens = [each.generation.next_tokens(guessed) for each in writing]
        slots = [each.generation.slot for each in writing]
        try:
            self._context.decode(
                [TokenRun(slot.sequence, len(slot), run) for slot, run in zip(slots, tokens, strict=True)]
            )
        except DecodeAborted:
            for slot in slots:
                slot.drop_uncommitted()
            return
        except DecodeFailed as error:
            for running in writing:
                self._fail(running, error)
            return
        first = chosen = 0
        for running, run in zip(writing, tokens, strict=True):
            chosen = self._sample(running, run, first)
            first += len(run)
        self._times.decoded_at, self._times.prefilled_last = time.monotonic(), False
        self._throughput.record_decode_step(self._times.decoded_at - began)
        if len(writing) == 1:
            guesser = writing[0].generation.prompt_lookup
            self._draft_length.observe_step(guesser, len(tokens[0]) - 1, chosen, self._times.decoded_at - began)

    def _sample(self, running: _Running, decoded: list[int], first: int) -> int:
        try:
            chosen = running.generation.sample_decoded(self._context, decoded, first)
        except EngineFailed as error:
            running.generation.slot.drop_uncommitted()
            self._fail(running, error)
            return 0
        if running.generation.usage is not None:
            self._end(running, running.generation.usage)
        return chosen

    def _fail(self, running: _Running, error: EngineFailed | DecodeFailed) -> None:
        if isinstance(error, DecodeFailed):
            running.generation.slot.clear()
            error = EngineFailed(str(error))
        running.generate.request.stream.set_end(error)
        self._end(running, None)

    def _end(self, running: _Running, usage: Usage | None) -> None:
        generation = running.generation
        generation.free()
        # A conversation's next prompt goes on from its history; who brings the whole history may repeat all of it.
        keep = generation.prompt.history_tokens if running.cache_key.is_conversation else len(generation.slot)
        self._prefix_cache.release_slot(generation.slot, 0 if running.discard_state else keep)
        self._running.remove(running)
        self._throughput.record_ended(running.request_id, usage)
        if usage is not None:
            running.generate.request.stream.set_end(usage)
        self._requests.mark_done(running.generate)

    def _drop_state(self, job: DropState) -> None:
        owner = cache_key_of(job.key)
        for running in self._running:
            running.discard_state = running.discard_state or running.cache_key == owner
        tokens = self._prefix_cache.clear_slots(owner)
        held = self._loaded.header.kv_bytes(tokens, self._settings.kv_cache_type)

        def done(parked_bytes: int) -> None:
            # The same tokens may be held in both places; what a person is told is what was known of them, once.
            job.set_result(max(held, parked_bytes))
            self._requests.mark_done(job)

        self._snapshots.drop_all_of(owner, done)
