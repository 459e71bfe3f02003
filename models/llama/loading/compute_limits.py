"""How many tokens may be computed together: all that the context holds, or what is proven to change no answer."""

from dataclasses import dataclass
from pathlib import Path

from models.engine import ModelUnusable
from models.gguf_header import GgufHeader
from models.llama.loading.batch_invariance import (
    max_batch_invariant_drafts,
    max_decode_batch,
    prefill_is_chunk_invariant,
)
from models.llama.loading.kernel_equivalence import untested_types
from models.llama.native.context import MAX_DRAFT_TOKENS, LlamaContext
from models.llama.plan.memory_plan import MemoryPlan
from models.llama.settings import LlamaSettings


@dataclass(frozen=True, slots=True)
class ComputeLimits:
    """What one call may compute: the longest draft of a reply alone and of several, the number of replies, and whether
    chunks of a prompt may end anywhere. With `deterministic`, all of it is proven to change no bit of an answer.
    """

    deterministic: bool
    max_draft_tokens: int
    max_shared_draft_tokens: int
    max_decode_batch: int
    chunks_end_anywhere: bool


def fast_limits(context: LlamaContext, settings: LlamaSettings) -> ComputeLimits:
    """Limits of the context alone; measurements decide what of it is used."""
    drafts = MAX_DRAFT_TOKENS if settings.speculation and context.can_truncate else 0
    return ComputeLimits(
        deterministic=False,
        max_draft_tokens=drafts,
        max_shared_draft_tokens=drafts,
        max_decode_batch=context.sequence_count,
        chunks_end_anywhere=True,
    )


def proven_limits(
    context: LlamaContext, header: GgufHeader, settings: LlamaSettings, vocabulary_size: int
) -> ComputeLimits:
    """Limits within which answers are the same bit for bit, by the tests of `batch_invariance`."""
    return ComputeLimits(
        deterministic=True,
        max_draft_tokens=max_batch_invariant_drafts(context, header, vocabulary_size) if settings.speculation else 0,
        max_shared_draft_tokens=0,
        max_decode_batch=max_decode_batch(context, header, vocabulary_size),
        chunks_end_anywhere=prefill_is_chunk_invariant(context, header, vocabulary_size),
    )


def require_provable(path: Path, header: GgufHeader, settings: LlamaSettings, memory_plan: MemoryPlan) -> None:
    """Raise ModelUnusable with a sentence when deterministic answers are set and cannot be proven for this model."""
    if settings.deterministic and (reason := _unprovable_reason(header, settings, memory_plan)):
        raise ModelUnusable(
            f"model.llama.deterministic is set, and {path.name} cannot give the same answers bit for bit here:"
            f" {reason}, or set model.llama.deterministic to false.",
            str(path),
        )


def _unprovable_reason(header: GgufHeader, settings: LlamaSettings, memory_plan: MemoryPlan) -> str | None:
    """Why nothing can be proven, and the way out; None when it can be tried."""
    if memory_plan.gpu_layers > 0:
        return (
            "the results of a graphics card's kernels depend on how much is computed at once."
            " Set model.llama.gpu_layers to 0"
        )
    if settings.kv_cache_type != "f16":
        return (
            f"kv_cache_type {settings.kv_cache_type} needs flash attention, whose results depend on the number of"
            " threads and tokens. Set model.llama.kv_cache_type to f16"
        )
    if settings.flash_attention == "on":
        return (
            "the results of flash attention depend on the number of threads and tokens."
            " Set model.llama.flash_attention to off"
        )
    if untested := untested_types(header.weight_types):
        return (
            f"its weights have formats whose kernels are not tested (number {', '.join(map(str, untested))} in"
            " llama.cpp's list). Choose a file in Q4_K_M or Q8_0"
        )
    return None
