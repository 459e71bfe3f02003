"""The scheduler: continuous batching of all requests, step by step, with warm-ups and snapshots when idle."""

from models.engine import EngineFailed
from models.llama.decoding.token_stream import TokenStream
from models.llama.kv_cache.cache_keys import cache_key_of
from models.llama.kv_cache.dated_prompts import DatedPrompts
from models.llama.kv_cache.prefix_cache import PrefixCache
from models.llama.kv_cache.snapshot_store import SnapshotStore
from models.llama.kv_cache.tokenized_prompt import PromptTokenizer
from models.llama.loading.loader import LoadedModel
from models.llama.native.context import DecodeFailed
from models.llama.plan.prefill_chunks import MIN_CHUNK_TOKENS
from models.llama.scheduling.admission import Admission
from models.llama.scheduling.batcher import Batcher, StepSummary
from models.llama.scheduling.prompt_chunks import ChunkRules, PromptChunks
from models.llama.scheduling.request_errors import request_failure
from models.llama.scheduling.requests import DropState, Generate, Request, RequestQueue, WarmUp
from models.llama.scheduling.running_reply import EndedReply, RunningReply
from models.llama.scheduling.throughput import Throughput
from models.llama.scheduling.warmup import WarmUpQueue
from models.llama.settings import LlamaSettings


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
        self._throughput = throughput
        self._snapshots = snapshots
        self._requests = requests
        # A state that cannot be truncated is continued exactly where its snapshot was taken, however little remains.
        can_resume_anywhere = loaded.limits.chunks_end_anywhere or not loaded.context.can_truncate
        self._prefix_cache = PrefixCache(loaded.context, snapshots, 1 if can_resume_anywhere else MIN_CHUNK_TOKENS)
        pause_s = settings.max_decode_pause_s
        template = loaded.template
        prompts = DatedPrompts(PromptTokenizer(template), template.clock, self._prefix_cache)
        rules = ChunkRules(
            batch_tokens=loaded.context.batch_tokens,
            anywhere=loaded.limits.chunks_end_anywhere,
            can_truncate=loaded.context.can_truncate,
            is_offloaded=loaded.memory_plan.gpu_layers > 0,
            max_pause_s=pause_s,
        )
        chunks = PromptChunks(loaded.prefill_plan, rules)
        self._admission = Admission(
            loaded, prompts, self._prefix_cache, snapshots=snapshots, throughput=throughput, requests=requests
        )
        self._batcher = Batcher(
            loaded, throughput, self._prefix_cache, chunks, closing=requests.closing, max_pause_s=pause_s
        )
        self._warm_ups = WarmUpQueue(loaded, prompts, self._prefix_cache, requests, chunks=chunks, max_pause_s=pause_s)
        self._running: list[RunningReply] = []

    @property
    def summary(self) -> StepSummary:
        """What the last steps computed together; may be read from any thread."""
        return self._batcher.summary

    @property
    def cached_tokens(self) -> int:
        """Number of tokens in all slots; may be read from any thread."""
        return self._prefix_cache.slot_tokens

    @property
    def threads_in_use(self) -> int:
        """Number of threads that compute now; may be read from any thread."""
        return self._loaded.context.threads_in_use

    @property
    def has_work(self) -> bool:
        """Whether there is something to compute now."""
        return bool(self._running) or self._admission.has_work or self._may_warm_up

    @property
    def _may_warm_up(self) -> bool:
        return not self._running and self._admission.is_empty and self._warm_ups.has_pending

    @property
    def has_unsaved(self) -> bool:
        """Whether an idle slot needs a snapshot."""
        return bool(self._prefix_cache.unsaved_slots)

    def accept_request(self, request: Request) -> None:
        """Add a new request."""
        match request:
            case Generate():
                self._warm_ups.drop_pending(request.request.key)
                self._admission.add(request)
            case WarmUp():
                self._warm_ups.add(request)
            case DropState():
                self._warm_ups.drop_pending(request.key)
                self._drop_state(request)

    def run_step(self) -> None:
        """Drop cancelled requests, admit waiting ones to free slots, and compute one step."""
        self._drop_cancelled()
        self._admission.tokenize_next()
        self._running.extend(self._admission.start_ready())
        if self._running:
            for ended in self._batcher.run_step(self._running):
                self._end(ended)
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
            self._end(EndedReply(running))
        for slot in self._prefix_cache.unsaved_slots:
            self._prefix_cache.snapshot_slot(slot)

    def abandon(self, error: EngineFailed) -> None:
        """End with an error what must not be tried again after this scheduler has failed: the running replies, and
        requests whose conversation was forgotten while they waited.
        """
        abandoned = [running.generate for running in self._running]
        for running in self._running:
            self._throughput.record_ended(running.request_id, None)
        for generate in self._admission.discarded:
            self._throughput.record_abandoned()
            abandoned.append(generate)
        for generate in abandoned:
            generate.set_error(error)
            self._requests.mark_done(generate)

    def _drop_cancelled(self) -> None:
        self._admission.drop_cancelled()
        for running in [each for each in self._running if each.generate.cancel_flag.is_set]:
            self._end(EndedReply(running))

    def _end(self, ended: EndedReply) -> None:
        running, stream = ended.running, ended.running.generate.request.stream
        generation = running.generation
        if ended.error is not None:
            error = ended.error
            if isinstance(error, DecodeFailed):
                generation.slot.clear()
                error = EngineFailed(str(error))
            stream.set_end(request_failure(error))
        generation.free()
        # The next prompt of a conversation continues its history; an API caller may send all tokens of this one again.
        keep = generation.prompt.history_tokens if running.cache_key.is_conversation else len(generation.slot)
        self._prefix_cache.release_slot(generation.slot, 0 if running.discard_state else keep)
        self._running.remove(running)
        self._throughput.record_ended(running.request_id, ended.usage)
        if ended.usage is not None:
            stream.set_end(ended.usage)
        self._requests.mark_done(running.generate)

    def _drop_state(self, request: DropState) -> None:
        cache_key = cache_key_of(request.key)
        self._admission.discard_states(cache_key)
        for running in self._running:
            running.discard_state = running.discard_state or cache_key.covers(running.cache_key)
        tokens = self._prefix_cache.clear_slots(cache_key)
        slot_bytes = self._loaded.header.kv_bytes(tokens, self._settings.kv_cache_type)

        def done(snapshot_bytes: int | None) -> None:
            # The same tokens may be in a slot and in a snapshot; the number that the user sees counts them once.
            request.set_result(None if snapshot_bytes is None else max(slot_bytes, snapshot_bytes))
            self._requests.mark_done(request)

        self._snapshots.drop_all_of(cache_key, done)
