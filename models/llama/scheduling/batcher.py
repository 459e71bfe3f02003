"""The batcher: what one step computes, a chunk of one prompt or tokens of the running replies, and its measurements.

A chunk and tokens of other replies are never in one call: llama.cpp computes sequences of different lengths one after
the other, so that the weights would be read as often.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from models.llama.decoding.generation import Generation
from models.llama.kv_cache.prefix_cache import PrefixCache
from models.llama.loading.loader import LoadedModel
from models.llama.moving_average import moving_average_or_first
from models.llama.native.cancel_flag import CancelFlag
from models.llama.native.context import DecodeAborted, DecodeFailed, TokenRun
from models.llama.scheduling.decode_groups import Candidate, DecodeGroup, GroupLimits, plan_groups
from models.llama.scheduling.prefill_policy import PendingPrefill, StepState, choose_prefill, should_prefill
from models.llama.scheduling.prompt_chunks import PromptChunks
from models.llama.scheduling.request_errors import REQUEST_ERRORS
from models.llama.scheduling.running_reply import EndedReply, RunningReply
from models.llama.scheduling.step_costs import StepCosts
from models.llama.scheduling.throughput import Throughput

_SMOOTHING = 0.05


@dataclass(frozen=True, slots=True)
class StepSummary:
    """What the last steps computed together: tokens of the last chunk, most replies in one call of the last decode step
    and its longest draft, and the measured gain of drafts: tokens per second with them over without, 0 for none yet.
    """

    chunk_tokens: int
    replies_together: int
    drafted_tokens: int
    draft_gain: float


class Batcher:
    """Computes the steps of one model. Used on the inference thread only."""

    def __init__(
        self,
        loaded: LoadedModel,
        throughput: Throughput,
        prefix_cache: PrefixCache,
        chunks: PromptChunks,
        *,
        closing: CancelFlag,
        max_pause_s: float,
    ) -> None:
        self._context = loaded.context
        self._throughput = throughput
        self._prefix_cache = prefix_cache
        self._chunks = chunks
        self._closing = closing
        self._max_pause_s = max_pause_s
        limits = loaded.limits
        self._limits = GroupLimits(
            replies=limits.max_decode_batch,
            drafted_alone=limits.max_draft_tokens,
            drafted_together=limits.max_shared_draft_tokens,
            tokens=loaded.context.max_decode_tokens,
        )
        self._costs = StepCosts()
        # When the running replies last got a token, and whether the last step was a prefill chunk.
        self._decoded_at = time.monotonic()
        self._prefilled_last = False
        self._last_groups: tuple[DecodeGroup, ...] = ()
        self._draft_gain = 0.0

    @property
    def summary(self) -> StepSummary:
        """The last steps; may be read from any thread."""
        groups = self._last_groups
        return StepSummary(
            chunk_tokens=self._chunks.last_tokens,
            replies_together=max((group.end - group.first for group in groups), default=0),
            drafted_tokens=max((group.drafted for group in groups), default=0),
            draft_gain=self._draft_gain,
        )

    def run_step(self, running: Sequence[RunningReply]) -> list[EndedReply]:
        """Compute one step of the running replies; returns those that it ended. Nothing without replies."""
        prefilling = [each for each in running if each.generation.prefilling]
        # In the order of their sequences: llama.cpp would split any other order into several batches.
        decoding = sorted(
            (each for each in running if not each.generation.prefilling),
            key=lambda each: each.generation.slot.sequence,
        )
        if prefilling:
            reply = prefilling[choose_prefill([self._pending_prefill(each) for each in prefilling])]
            end = self._chunk_end(reply.generation, bool(decoding))
            if self._should_prefill(len(reply.generation.slot), end, bool(decoding)):
                return self._prefill_chunk(reply, end)
        return self._decode_step(decoding) if decoding else []

    def _pending_prefill(self, running: RunningReply) -> PendingPrefill:
        generation = running.generation
        cost = self._chunks.cost(len(generation.slot), len(generation.prompt.tokens))
        return PendingPrefill(
            self._throughput.prefill_s(cost), time.monotonic() - running.generate.request.submitted_at
        )

    def _chunk_end(self, generation: Generation, is_decoding: bool) -> int:
        """End of the next chunk of a prompt: in what is left of the longest pause while others are decoded."""
        left_s = self._max_pause_s - (time.monotonic() - self._decoded_at) - self._throughput.step_s
        boundaries = self._prefix_cache.snapshot_boundaries(generation.slot, generation.prompt)
        return self._chunks.next_end(
            len(generation.slot), generation.prompt, boundaries, left_s if is_decoding else None
        )

    def _should_prefill(self, start: int, end: int, is_decoding: bool) -> bool:
        state = StepState(
            is_decoding=is_decoding,
            is_prefilling=True,
            since_decode_s=time.monotonic() - self._decoded_at,
            chunk_s=self._chunks.seconds(start, end),
            step_s=self._throughput.step_s,
            prefilled_last=self._prefilled_last,
        )
        return should_prefill(state, self._max_pause_s)

    def _prefill_chunk(self, running: RunningReply, end: int) -> list[EndedReply]:
        generation = running.generation
        start, started_at = len(generation.slot), time.monotonic()
        self._prefilled_last = True
        self._context.set_abort_flag(running.generate.cancel_flag)
        try:
            generation.prefill_to(self._context, end)
        except DecodeAborted:
            return [EndedReply(running)]
        except (DecodeFailed, *REQUEST_ERRORS) as error:
            return [EndedReply(running, error=error)]
        finally:
            self._context.set_abort_flag(self._closing)
        seconds = time.monotonic() - started_at
        self._chunks.record(start, end, seconds)
        self._throughput.record_prefill(self._chunks.cost(start, end), seconds)
        self._prefix_cache.snapshot_at_boundary(generation.slot, generation.prompt, is_discarded=running.discard_state)
        return [EndedReply(running, generation.usage)] if generation.usage is not None else []

    def _decode_step(self, decoding: Sequence[RunningReply]) -> list[EndedReply]:
        """Decode one token, or more where drafted tokens are accepted, for each of the replies."""
        started_at = time.monotonic()
        candidates = [
            Candidate(each.generation.slot.sequence, each.generation.drafter(self._limits.drafted_alone))
            for each in decoding
        ]
        self._last_groups = plan_groups(candidates, self._costs.seconds, self._limits)
        ended: list[EndedReply] = []
        for group in self._last_groups:
            ended += self._decode_group(decoding[group.first : group.end], group.drafted)
        self._decoded_at, self._prefilled_last = time.monotonic(), False
        self._throughput.record_decode_step(self._decoded_at - started_at)
        return ended

    def _decode_group(self, decoding: Sequence[RunningReply], drafted: int) -> Iterable[EndedReply]:
        started_at = time.monotonic()
        tokens = [each.generation.next_tokens(drafted) for each in decoding]
        slots = [each.generation.slot for each in decoding]
        try:
            self._context.decode(
                [TokenRun(slot.sequence, len(slot), run) for slot, run in zip(slots, tokens, strict=True)]
            )
        except DecodeAborted:
            for slot in slots:
                slot.drop_uncommitted()
            return []
        except DecodeFailed as error:
            return [EndedReply(running, error=error) for running in decoding]
        first, held, ended = 0, sum(map(len, slots)), []
        for running, run in zip(decoding, tokens, strict=True):
            ended += self._sample(running, run, first)
            first += len(run)
        seconds = time.monotonic() - started_at
        self._costs.record(len(decoding), 1 + drafted, seconds)
        plain_s = self._costs.measured(len(decoding), 1)
        if drafted and plain_s is not None:
            gain = (sum(map(len, slots)) - held) / len(decoding) * plain_s / seconds
            self._draft_gain = moving_average_or_first(self._draft_gain, gain, _SMOOTHING)
        return ended

    def _sample(self, running: RunningReply, decoded: list[int], first: int) -> list[EndedReply]:
        generation = running.generation
        try:
            generation.sample_decoded(self._context, decoded, first)
        except REQUEST_ERRORS as error:
            generation.slot.drop_uncommitted()
            return [EndedReply(running, error=error)]
        return [EndedReply(running, generation.usage)] if generation.usage is not None else []
