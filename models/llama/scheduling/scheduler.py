"""The scheduler: continuous batching of all requests, step by step, with warm-ups and snapshots when idle."""

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

# Requests tokenized before a slot is free, so that the one with the shortest prefill can be chosen.
_TOKENIZE_AHEAD = 4


@dataclass(eq=False, slots=True)
class _Waiting:
    """A request without a slot; `state` is the state of `snapshot`, read from disk. `discard_state` as below."""

    generate: Generate
    cache_key: CacheKey
    prompt: TokenizedPrompt | None = None
    prefill_cost: float = 0.0
    snapshot: CachedSnapshot | None = None
    state: memoryview | None = None
    fetching: bool = False
    discard_state: bool = False


@dataclass(eq=False, slots=True)
class _Running:
    """A request with a slot; `discard_state` when none of its state may be cached."""

    generate: Generate
    cache_key: CacheKey
    generation: Generation
    request_id: int
    discard_state: bool = False


@dataclass(eq=False, slots=True)
class _Times:
    """When the running replies last got a token, and whether the last step was a prefill chunk."""

    decoded_at: float = field(default_factory=time.monotonic)
    prefilled_last: bool = False


class Scheduler:
    """Schedules one model and its sequences. Used on the inference thread only."""

    def __init__(
        self,
        loaded: LoadedModel,
        settings: LlamaSettings,
        throughput: Throughput,
        snapshots: SnapshotStore,
        requests: RequestQueue,
    ) -> None:
        self._loaded = loaded
        self._settings = settings
        self._context = loaded.context
        self._throughput = throughput
        self._snapshots = snapshots
        self._requests = requests
        self._tokenizer = PromptTokenizer(ChatTemplate(loaded.model, settings.thinking))
        # A state that cannot be truncated is continued exactly where its snapshot was taken, however little remains.
        can_resume_anywhere = loaded.is_chunk_invariant or not loaded.context.can_truncate
        self._prefix_cache = PrefixCache(loaded.context, snapshots, 1 if can_resume_anywhere else MIN_CHUNK_TOKENS)
        self._warm_ups = WarmUpQueue(loaded, self._tokenizer, self._prefix_cache, requests)
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
        """Whether an idle slot needs a snapshot."""
        return bool(self._prefix_cache.unsaved_slots)

    def accept_request(self, request: Request) -> None:
        """Add a new request."""
        match request:
            case Generate():
                self._warm_ups.drop_pending(request.request.key)
                self._waiting.append(_Waiting(request, cache_key_of(request.request.key)))
            case WarmUp():
                self._warm_ups.add(request)
            case DropState():
                self._warm_ups.drop_pending(request.key)
                self._drop_state(request)

    def run_step(self) -> None:
        """Drop cancelled requests, admit waiting ones to free slots, and compute one step."""
        self._drop_cancelled()
        self._tokenize_next()
        self._admit()
        prefilling = [each for each in self._running if each.generation.prefilling]
        # In the order of their sequences: llama.cpp would split any other order into several batches.
        decoding = sorted(
            (each for each in self._running if not each.generation.prefilling),
            key=lambda each: each.generation.slot.sequence,
        )
        if prefilling and self._should_prefill(prefilling, decoding):
            self._prefill_chunk(
                prefilling[choose_prefill([self._pending_prefill(each) for each in prefilling])], bool(decoding)
            )
        elif decoding:
            for first in range(0, len(decoding), self._loaded.max_decode_batch):
                self._decode_step(decoding[first : first + self._loaded.max_decode_batch])
        elif self._may_warm_up:
            self._warm_ups.run_oldest()
        TokenStream.notify_readers(each.generate.request.stream for each in self._running)

    def snapshot_one(self) -> None:
        """Take a snapshot of one idle slot."""
        for slot in self._prefix_cache.unsaved_slots[:1]:
            self._prefix_cache.snapshot_slot(slot)

    def close(self) -> None:
        """End all running requests and take snapshots of their slots; their streams have ended already."""
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
        """Tokenize one more waiting request, and start to fetch its snapshot from the disk."""
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
        match = self._prefix_cache.find_match(prompt.tokens, waiting.cache_key)
        waiting.prefill_cost = self._loaded.prefill_plan.cost(match.tokens, len(prompt.tokens))
        self._fetch_snapshot(waiting, match)

    def _fetch_snapshot(self, waiting: _Waiting, match: PrefixMatch) -> bool:
        """Start to read a snapshot that is only on disk; False when there is nothing to wait for."""
        snapshot = match.snapshot
        if snapshot is None or snapshot is waiting.snapshot or self._snapshots.get_resident_state(snapshot) is not None:
            return False
        waiting.snapshot, waiting.fetching = snapshot, True

        def on_state(state: memoryview | None) -> None:
            waiting.state, waiting.fetching = state, False
            self._requests.wake_thread()

        self._snapshots.fetch_state(snapshot, on_state)
        return waiting.fetching

    def _admit(self) -> None:
        while self._prefix_cache.has_free_slot:
            ready = [each for each in self._waiting if each.prompt is not None and not each.fetching]
            if not ready:
                return
            now = time.monotonic()
            pending = [
                PendingPrefill(self._throughput.prefill_s(each.prefill_cost), now - each.generate.request.submitted_at)
                for each in ready
            ]
            self._start(ready[choose_prefill(pending)])

    def _start(self, waiting: _Waiting) -> None:
        prompt, request = waiting.prompt, waiting.generate.request
        assert prompt is not None
        match = self._prefix_cache.find_match(prompt.tokens, waiting.cache_key)
        if self._fetch_snapshot(waiting, match):
            return
        state = None
        if match.snapshot is not None:
            state = (
                waiting.state
                if match.snapshot is waiting.snapshot
                else self._snapshots.get_resident_state(match.snapshot)
            )
            match = match if state is not None else PrefixMatch()
        slot = self._prefix_cache.acquire_slot(match, waiting.cache_key, state)
        self._prefix_cache.snapshot_at_boundary(slot, prompt, is_discarded=waiting.discard_state)
        try:
            generation = Generation(
                request,
                prompt,
                slot,
                model=self._loaded.model,
                max_tokens=answer_token_limit(
                    len(prompt.tokens), self._context.size_tokens, request.sampling.max_tokens
                ),
            )
        except EngineFailed as error:
            self._prefix_cache.release_slot(slot, 0 if waiting.discard_state else len(slot))
            self._reject(waiting, error)
            return
        if self._draft_length.is_enabled:
            generation.prompt_lookup = PromptLookup(prompt.tokens[prompt.history_tokens :])
        self._waiting.remove(waiting)
        self._last_id += 1
        self._running.append(
            _Running(waiting.generate, waiting.cache_key, generation, self._last_id, waiting.discard_state)
        )
        self._throughput.record_admitted(self._last_id)

    def _next_chunk(self, generation: Generation, is_decoding: bool) -> tuple[int, int]:
        """Start and end of the next chunk of a prompt."""
        prompt, start, length = generation.prompt, len(generation.slot), len(generation.prompt.tokens)
        if self._loaded.is_chunk_invariant:
            return start, unaligned_chunk_end(
                start, length, (prompt.system_tokens,), self._max_chunk_tokens(start, is_decoding)
            )
        stops, ends = (prompt.system_tokens, prompt.history_tokens), self._loaded.prefill_plan.chunk_ends(length)
        return next(iter_chunks(start, length, stops, ends, exact=not self._context.can_truncate))

    def _max_chunk_tokens(self, start: int, is_decoding: bool) -> int:
        """Number of prompt tokens that fit into the rest of the maximum decode pause, at least half a regular chunk.

        Small chunks are less efficient. If no reply is being decoded, allow twice the maximum pause; it only delays a
        new request.
        """
        plan, left_s = self._loaded.prefill_plan, 2 * self._settings.max_decode_pause_s
        if is_decoding:
            left_s = (
                self._settings.max_decode_pause_s
                - (time.monotonic() - self._times.decoded_at)
                - self._throughput.step_s
            )
        fitting_tokens = plan.tokens_for_cost(start, self._throughput.cost_within(left_s))
        max_tokens = self._context.batch_tokens - MIN_CHUNK_TOKENS
        return min(max_tokens, max(fitting_tokens, plan.first_chunk_tokens // 2))

    def _pending_prefill(self, running: _Running) -> PendingPrefill:
        generation = running.generation
        cost = self._loaded.prefill_plan.cost(len(generation.slot), len(generation.prompt.tokens))
        return PendingPrefill(
            self._throughput.prefill_s(cost), time.monotonic() - running.generate.request.submitted_at
        )

    def _should_prefill(self, prefilling: list[_Running], decoding: list[_Running]) -> bool:
        chunk = max(
            (self._next_chunk(each.generation, bool(decoding)) for each in prefilling), key=lambda ends: ends[1]
        )
        state = StepState(
            is_decoding=bool(decoding),
            is_prefilling=bool(prefilling),
            since_decode_s=time.monotonic() - self._times.decoded_at,
            chunk_s=self._throughput.prefill_s(self._loaded.prefill_plan.cost(*chunk)),
            step_s=self._throughput.step_s,
            prefilled_last=self._times.prefilled_last,
        )
        return should_prefill(state, self._settings.max_decode_pause_s)

    def _prefill_chunk(self, running: _Running, is_decoding: bool) -> None:
        generation = running.generation
        start, end = self._next_chunk(generation, is_decoding)
        cost = self._loaded.prefill_plan.cost(start, end)
        started_at = time.monotonic()
        self._times.prefilled_last = True
        self._context.set_abort_flag(running.generate.cancel_flag)
        try:
            generation.prefill_to(self._context, end)
        except DecodeAborted:
            self._end(running, None)
        except (DecodeFailed, EngineFailed) as error:
            self._fail(running, error)
        else:
            self._throughput.record_prefill(cost, time.monotonic() - started_at)
            self._prefix_cache.snapshot_at_boundary(
                generation.slot, generation.prompt, is_discarded=running.discard_state
            )
            if generation.usage is not None:
                self._end(running, generation.usage)
        finally:
            self._context.set_abort_flag(self._requests.closing)

    def _decode_step(self, decoding: list[_Running]) -> None:
        """Decode one token, or more where draft tokens are accepted, for each of the running replies."""
        started_at = time.monotonic()
        draft_length = (
            self._draft_length.draft_length(decoding[0].generation.prompt_lookup) if len(decoding) == 1 else 0
        )
        tokens = [each.generation.next_tokens(draft_length) for each in decoding]
        slots = [each.generation.slot for each in decoding]
        try:
            self._context.decode(
                [TokenRun(slot.sequence, len(slot), run) for slot, run in zip(slots, tokens, strict=True)]
            )
        except DecodeAborted:
            for slot in slots:
                slot.drop_uncommitted()
            return
        except DecodeFailed as error:
            for running in decoding:
                self._fail(running, error)
            return
        first = sampled = 0
        for running, run in zip(decoding, tokens, strict=True):
            sampled = self._sample(running, run, first)
            first += len(run)
        self._times.decoded_at, self._times.prefilled_last = time.monotonic(), False
        self._throughput.record_decode_step(self._times.decoded_at - started_at)
        if len(decoding) == 1:
            prompt_lookup = decoding[0].generation.prompt_lookup
            self._draft_length.observe_step(
                prompt_lookup, len(tokens[0]) - 1, sampled, self._times.decoded_at - started_at
            )

    def _sample(self, running: _Running, decoded: list[int], first: int) -> int:
        try:
            sampled = running.generation.sample_decoded(self._context, decoded, first)
        except EngineFailed as error:
            running.generation.slot.drop_uncommitted()
            self._fail(running, error)
            return 0
        if running.generation.usage is not None:
            self._end(running, running.generation.usage)
        return sampled

    def _fail(self, running: _Running, error: EngineFailed | DecodeFailed) -> None:
        if isinstance(error, DecodeFailed):
            running.generation.slot.clear()
            error = EngineFailed(str(error))
        running.generate.request.stream.set_end(error)
        self._end(running, None)

    def _end(self, running: _Running, usage: Usage | None) -> None:
        generation = running.generation
        generation.free()
        # The next prompt of a conversation continues its history; an API caller may send all tokens of this one again.
        keep = generation.prompt.history_tokens if running.cache_key.is_conversation else len(generation.slot)
        self._prefix_cache.release_slot(generation.slot, 0 if running.discard_state else keep)
        self._running.remove(running)
        self._throughput.record_ended(running.request_id, usage)
        if usage is not None:
            running.generate.request.stream.set_end(usage)
        self._requests.mark_done(running.generate)

    def _drop_state(self, request: DropState) -> None:
        cache_key = cache_key_of(request.key)
        requests: list[_Waiting | _Running] = [*self._waiting, *self._running]
        for each in requests:
            each.discard_state = each.discard_state or cache_key.covers(each.cache_key)
        tokens = self._prefix_cache.clear_slots(cache_key)
        slot_bytes = self._loaded.header.kv_bytes(tokens, self._settings.kv_cache_type)

        def done(snapshot_bytes: int | None) -> None:
            # The same tokens may be in a slot and in a snapshot; the number that the user sees counts them once.
            request.set_result(None if snapshot_bytes is None else max(slot_bytes, snapshot_bytes))
            self._requests.mark_done(request)

        self._snapshots.drop_all_of(cache_key, done)
