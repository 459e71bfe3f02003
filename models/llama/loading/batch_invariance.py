"""Batch-invariance tests at load: how many tokens can be computed together with the results of one at a time."""

from models.gguf_header import GgufHeader
from models.llama.kv_cache.slots import Slot
from models.llama.loading.kernel_equivalence import all_batches_equal, max_equal_batch
from models.llama.native.context import MAX_DRAFT_TOKENS, LlamaContext, TokenRun
from models.llama.plan.prefill_chunks import MIN_CHUNK_TOKENS

_PREFIX_TOKENS = 16
# More than the smallest chunk: from 8 tokens on llama.cpp may use other kernels.
_LONG_CHUNK_TOKENS = 2 * MIN_CHUNK_TOKENS
# Chunk lengths that are tested: all short ones, and some of those that kernels split into tiles of 2 to 64.
_TESTED_CHUNK_TOKENS = (*range(2, _LONG_CHUNK_TOKENS + 1), 31, 33, 48, 65, 96)
_MIN_DECODE_BATCH = 4


def max_batch_invariant_drafts(context: LlamaContext, header: GgufHeader, vocabulary_size: int) -> int:
    """Number of draft tokens that can be computed together with the newest token without changing any of their logits.

    Kernels may round differently for a larger batch, and then a draft could change the reply. Flash attention does,
    because it splits a long cache for a single token; matrix products are tested, each type by itself and then all of
    them in the model. 0 for models that cannot truncate. For CPUs only: GPU kernels cannot be tested separately.
    """
    if not context.can_truncate or context.flash_attention:
        return 0
    max_drafts = max_equal_batch(header.weight_types, 1 + MAX_DRAFT_TOKENS) - 1
    if max_drafts == 0:
        return 0
    slot = Slot(context, 0)
    tokens = _test_tokens(_PREFIX_TOKENS + 1 + max_drafts, vocabulary_size)
    slot.prefill(tokens[:_PREFIX_TOKENS])
    test_run = tokens[_PREFIX_TOKENS:]
    single_logits = []
    for number, token in enumerate(test_run):
        context.decode([TokenRun(0, _PREFIX_TOKENS + number, [token])])
        single_logits.append(context.get_logits(0).tobytes())
    slot.drop_uncommitted()
    context.decode([TokenRun(0, _PREFIX_TOKENS, test_run)])
    batch_logits = [context.get_logits(number).tobytes() for number in range(len(test_run))]
    slot.clear()
    return max_drafts if batch_logits == single_logits else 0


def prefill_is_chunk_invariant(context: LlamaContext, header: GgufHeader, vocabulary_size: int) -> bool:
    """Whether a prompt may be split into chunks anywhere: its tokens have the same logits for every length of the chunk
    that they are computed in, down to a single token. Tested as in `max_batch_invariant_drafts`.
    """
    if (
        not context.can_truncate
        or context.flash_attention
        or not all_batches_equal(header.weight_types, _TESTED_CHUNK_TOKENS)
    ):
        return False
    slot = Slot(context, 0)
    tokens = _test_tokens(_PREFIX_TOKENS + _LONG_CHUNK_TOKENS, vocabulary_size)
    logits_of_splits = []
    for length in (_PREFIX_TOKENS, len(tokens) - 1):
        slot.prefill(tokens[:length])
        slot.prefill(tokens[length:])
        logits_of_splits.append(context.get_logits(-1).tobytes())
        slot.clear()
    return len(set(logits_of_splits)) == 1


def max_decode_batch(context: LlamaContext, header: GgufHeader) -> int:
    """Number of replies that may be given one token each in a batch: as many as keep each bit-identical to a reply
    computed alone, but at least four (or all sequences), because they gain so much; with repacked weights that may
    change a last bit.
    """
    return max(
        min(_MIN_DECODE_BATCH, context.sequence_count), max_equal_batch(header.weight_types, context.sequence_count)
    )


def _test_tokens(count: int, vocabulary_size: int) -> list[int]:
    """Arbitrary tokens, spread over the vocabulary."""
    return [(7919 * number + 13) % vocabulary_size for number in range(count)]
