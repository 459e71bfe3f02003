"""Batch-invariance tests at load: how many tokens can be computed together with the results of one at a time.

For weights in the layout of their file, on a CPU, without flash attention.
"""

from models.gguf_header import GgufHeader
from models.llama.kv_cache.slots import Slot
from models.llama.loading.kernel_equivalence import CACHE_TYPE, all_batches_equal, max_equal_batch
from models.llama.native.context import MAX_DRAFT_TOKENS, LlamaContext, TokenRun
from models.llama.plan.prefill_chunks import MIN_CHUNK_TOKENS

_PREFIX_TOKENS = 16
# More than the smallest chunk: from 8 tokens on llama.cpp may use other kernels.
_LONG_CHUNK_TOKENS = 2 * MIN_CHUNK_TOKENS
# Chunk lengths that are tested: all short ones, and some of those that kernels split into tiles of 2 to 64.
_TESTED_CHUNK_TOKENS = (*range(2, _LONG_CHUNK_TOKENS + 1), 31, 33, 48, 65, 96)


def max_batch_invariant_drafts(context: LlamaContext, header: GgufHeader, vocabulary_size: int) -> int:
    """Number of draft tokens that can be computed together with the newest token without changing any of their logits.

    Kernels may round differently for a larger batch, and then a draft could change the reply. Matrix products are
    tested, each type by itself and then all of them in the model. 0 for models that cannot truncate.
    """
    if not context.can_truncate:
        return 0
    max_drafts = max_equal_batch({*header.weight_types, CACHE_TYPE}, 1 + MAX_DRAFT_TOKENS) - 1
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
    if not context.can_truncate or not all_batches_equal({*header.weight_types, CACHE_TYPE}, _TESTED_CHUNK_TOKENS):
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


def max_decode_batch(context: LlamaContext, header: GgufHeader, vocabulary_size: int) -> int:
    """Number of replies that can be given one token each in a batch, with the logits of a reply computed alone.

    Each sequence has its own part of the cache, so only the products of the weights have several columns; they are
    tested as in `max_batch_invariant_drafts`.
    """
    count = max_equal_batch(header.weight_types, min(context.sequence_count, context.max_decode_tokens))
    if count == 1:
        return 1
    tokens = _test_tokens(_PREFIX_TOKENS + count, vocabulary_size)
    slots = [Slot(context, sequence) for sequence in range(count)]
    for slot in slots:
        slot.prefill(tokens[:_PREFIX_TOKENS])
    runs = [TokenRun(slot.sequence, _PREFIX_TOKENS, [tokens[_PREFIX_TOKENS + slot.sequence]]) for slot in slots]
    context.decode(runs)
    together = [context.get_logits(index).tobytes() for index in range(count)]
    alone = []
    for slot, run in zip(slots, runs, strict=True):
        slot.drop_uncommitted()
        if not len(slot):  # its model cannot truncate
            slot.prefill(tokens[:_PREFIX_TOKENS])
        context.decode([run])
        alone.append(context.get_logits(0).tobytes())
        slot.clear()
    return count if together == alone else 1


def _test_tokens(count: int, vocabulary_size: int) -> list[int]:
    """Arbitrary tokens, spread over the vocabulary."""
    return [(7919 * number + 13) % vocabulary_size for number in range(count)]
