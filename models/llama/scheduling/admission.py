"""Admission: waiting requests, tokenized ahead while their snapshots are read from disk, and started in free slots."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

from models.engine import PromptTooLong, RawPrompt
from models.llama.decoding.generation import Generation, answer_token_limit
from models.llama.decoding.prompt_lookup import PromptLookup
from models.llama.decoding.reply_text import ReplyText, token_limits
from models.llama.kv_cache.cache_keys import CacheKey, cache_key_of
from models.llama.kv_cache.dated_prompts import DatedPrompts
from models.llama.kv_cache.prefix_cache import PrefixCache, PrefixMatch
from models.llama.kv_cache.raw_prompt import RawPromptTokenizer
from models.llama.kv_cache.slots import Slot
from models.llama.kv_cache.snapshot_store import CachedSnapshot, SnapshotStore
from models.llama.kv_cache.tokenized_prompt import TokenizedPrompt
from models.llama.loading.loader import LoadedModel
from models.llama.scheduling.prefill_policy import PendingPrefill, choose_prefill
from models.llama.scheduling.request_errors import REQUEST_ERRORS, request_failure
from models.llama.scheduling.requests import Generate, RequestQueue
from models.llama.scheduling.running_reply import RunningReply
from models.llama.scheduling.throughput import Throughput
from models.llama.tool_calls.rules import CallRules

# Requests tokenized before a slot is free, so that the one with the shortest prefill can be chosen.
_TOKENIZE_AHEAD = 4
# End of a prompt in which drafts are looked up: looking through more takes longer than a step.
_LOOKUP_TOKENS = 4096


@dataclass(eq=False, slots=True)
class _Waiting:
    """A request without a slot; `state` is the state of `snapshot`, read from disk; `discard_state` when none of its
    state may be cached.
    """

    generate: Generate
    cache_key: CacheKey
    prompt: TokenizedPrompt | None = None
    prefill_cost: float = 0.0
    snapshot: CachedSnapshot | None = None
    state: memoryview | None = None
    fetching: bool = False
    discard_state: bool = False


class Admission:
    """The requests that wait for a slot. Used on the inference thread only."""

    def __init__(
        self,
        loaded: LoadedModel,
        prompts: DatedPrompts,
        prefix_cache: PrefixCache,
        *,
        snapshots: SnapshotStore,
        throughput: Throughput,
        requests: RequestQueue,
    ) -> None:
        self._loaded = loaded
        self._context = loaded.context
        self._prompts = prompts
        self._raw_prompts = RawPromptTokenizer(loaded.model)
        self._prefix_cache = prefix_cache
        self._snapshots = snapshots
        self._throughput = throughput
        self._requests = requests
        self._waiting: list[_Waiting] = []
        self._last_id = 0

    @property
    def is_empty(self) -> bool:
        """Whether no request waits."""
        return not self._waiting

    @property
    def has_work(self) -> bool:
        """Whether a request waits for something else than its snapshot."""
        return any(not each.fetching for each in self._waiting)

    def add(self, generate: Generate) -> None:
        """Add a request."""
        self._waiting.append(_Waiting(generate, cache_key_of(generate.request.key)))

    @property
    def discarded(self) -> list[Generate]:
        """The requests of which no state may be cached."""
        return [waiting.generate for waiting in self._waiting if waiting.discard_state]

    def discard_states(self, cache_key: CacheKey) -> None:
        """Cache no state of the requests of a key."""
        for waiting in self._waiting:
            waiting.discard_state = waiting.discard_state or cache_key.covers(waiting.cache_key)

    def drop_cancelled(self) -> None:
        """Drop the requests that were cancelled."""
        for waiting in [each for each in self._waiting if each.generate.cancel_flag.is_set]:
            self._reject(waiting, None)

    def _reject(self, waiting: _Waiting, error: Exception | None) -> None:
        self._waiting.remove(waiting)
        self._throughput.record_abandoned()
        if error is not None:
            waiting.generate.request.stream.set_end(error)
        self._requests.mark_done(waiting.generate)

    def tokenize_next(self) -> None:
        """Tokenize one more waiting request, and start to fetch its snapshot from the disk."""
        ahead = self._waiting[: self._context.sequence_count + _TOKENIZE_AHEAD]
        waiting = next((each for each in ahead if each.prompt is None), None)
        if waiting is None:
            return
        try:
            self._loaded.model.require_unchanged()
            prompt = self._tokenize(waiting)
            answer_token_limit(
                len(prompt.tokens), self._context.size_tokens, waiting.generate.request.sampling.max_tokens
            )
        except PromptTooLong as error:
            self._reject(waiting, error)
            return
        except REQUEST_ERRORS as error:
            self._reject(waiting, request_failure(error))
            return
        waiting.prompt = prompt
        match = self._prefix_cache.find_match(prompt.tokens, waiting.cache_key)
        waiting.prefill_cost = self._loaded.prefill_plan.cost(match.tokens, len(prompt.tokens))
        self._fetch_snapshot(waiting, match)

    def _tokenize(self, waiting: _Waiting) -> TokenizedPrompt:
        prompt = waiting.generate.prompt
        if isinstance(prompt, RawPrompt):
            return self._raw_prompts.tokenize_prompt(prompt)
        return self._prompts.tokenize_prompt(prompt, waiting.cache_key)

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

    def start_ready(self) -> Iterator[RunningReply]:
        """Start the requests for which there are slots, the one with the shortest prefill first."""
        while self._prefix_cache.has_free_slot:
            ready = [each for each in self._waiting if each.prompt is not None and not each.fetching]
            if not ready:
                return
            now = time.monotonic()
            pending = [
                PendingPrefill(self._throughput.prefill_s(each.prefill_cost), now - each.generate.request.submitted_at)
                for each in ready
            ]
            if (running := self._start(ready[choose_prefill(pending)])) is not None:
                yield running

    def _start(self, waiting: _Waiting) -> RunningReply | None:
        """The request in a slot; None when it was rejected, or waits for another snapshot."""
        prompt = waiting.prompt
        assert prompt is not None
        match = self._prefix_cache.find_match(prompt.tokens, waiting.cache_key)
        if self._fetch_snapshot(waiting, match):
            return None
        slot: Slot | None = None
        try:
            state, match = self._matched_state(waiting, match)
            slot = self._prefix_cache.acquire_slot(match, waiting.cache_key, state)
            self._prefix_cache.snapshot_at_boundary(slot, prompt, is_discarded=waiting.discard_state)
            generation = self._new_generation(waiting.generate, prompt, slot)
        except REQUEST_ERRORS as error:
            if slot is not None:
                self._prefix_cache.release_slot(slot, 0 if waiting.discard_state else len(slot))
            self._reject(waiting, request_failure(error))
            return None
        self._waiting.remove(waiting)
        self._last_id += 1
        self._throughput.record_admitted(self._last_id)
        return RunningReply(waiting.generate, waiting.cache_key, generation, self._last_id, waiting.discard_state)

    def _matched_state(self, waiting: _Waiting, match: PrefixMatch) -> tuple[memoryview | None, PrefixMatch]:
        """The state of a matched snapshot, and the match; no match when the state is lost."""
        if match.snapshot is None:
            return None, match
        if match.snapshot is waiting.snapshot:
            state = waiting.state
        else:
            state = self._snapshots.get_resident_state(match.snapshot)
        return state, match if state is not None else PrefixMatch()

    def _new_generation(self, generate: Generate, prompt: TokenizedPrompt, slot: Slot) -> Generation:
        request, asked, habits = generate.request, generate.prompt, self._loaded.habits
        room = self._context.size_tokens - len(prompt.tokens)
        effort = None if isinstance(asked, RawPrompt) else asked.reasoning_effort
        limits = token_limits(habits, effort, request.sampling.max_tokens, room)
        rules = self._call_rules(generate)
        text = ReplyText(
            habits,
            prompt.text_end,
            request.sampling,
            limits,
            has_begun=isinstance(asked, RawPrompt) or bool(asked.reply_start),
            calls=rules.new_parser() if rules is not None else None,
        )
        generation = Generation(request, prompt, slot, model=self._loaded.model, text=text, calls=rules)
        if self._loaded.limits.max_draft_tokens:
            generation.prompt_lookup = PromptLookup(prompt.tokens[-_LOOKUP_TOKENS:])
        return generation

    def _call_rules(self, generate: Generate) -> CallRules | None:
        if isinstance(generate.prompt, RawPrompt):
            return None
        if (toolbox := generate.prompt.toolbox) is None or not toolbox.tools:
            return None
        form, special_tokens = self._loaded.template.tool_form, self._loaded.model.special_tokens
        return CallRules.of_reply(toolbox, form.syntax, generate.request.sampling, special_tokens)
