"""What is tried when a model is loaded: how many tokens can be computed together exactly as one by one."""

from models.gguf_header import GgufHeader
from models.llama.kv_cache.slots import Slot
from models.llama.loading.kernel_equivalence import all_batches_equal, max_equal_batch
from models.llama.native.context import MAX_DRAFT_TOKENS, LlamaContext, TokenRun
from models.llama.plan.prefill_chunks import MIN_CHUNK_TOKENS

_PREFIX_TOKENS = 16
# More than the smallest chunk: from 8 tokens on llama.cpp may compute in another way.
_MANY_TOKENS = 2 * MIN_CHUNK_TOKENS
# Lengths of chunks that are tried: all short ones, and some of those that kernels cut into pieces of 2 to 64.
_CHUNKS = (*range(2, _MANY_TOKENS + 1), 31, 33, 48, 65, 96)
_MIN_DECODE_BATCH = 4


def max_batch_invariant_drafts(context: LlamaContext, header: GgufHeader, vocabulary: int) -> int:
    """How many tokens behind the newest one can be computed together with it without changing any of their logits.

    Kernels may round in another way when a batch is larger, and then a guess could change the answer. Flash attention
    does, which splits a long cache for a single token; the products of matrices are tried, each type by itself and then
    all in the model. 0 for models that cannot go back. Only for processors: kernels of GPUs cannot be tried apart.
    """
    if not context.can_truncate or context.flash_attention:
        return 0
    most = max_equal_batch(header.weight_types, 1 + MAX_DRAFT_TOKENS) - 1
    if most == 0:
        return 0
    slot = Slot(context, 0)
    tokens = _test_tokens(_PREFIX_TOKENS + 1 + most, vocabulary)
    slot.prefill(tokens[:_PREFIX_TOKENS])
    tested = tokens[_PREFIX_TOKENS:]
    alone = []
    for number, token in enumerate(tested):
        context.decode([TokenRun(0, _PREFIX_TOKENS + number, [token])])
        alone.append(context.get_logits(0).tobytes())
    slot.drop_uncommitted()
    context.decode([TokenRun(0, _PREFIX_TOKENS, tested)])
    together = [context.get_logits(number).tobytes() for number in range(len(tested))]
    slot.clear()
    return most if together == alone else 0


def prefill_is_chunk_invariant(context: LlamaContext, header: GgufHeader, vocabulary: int) -> bool:
    """Whether a prompt may be cut into chunks anywhere: its tokens were found to have the same logits however long the
    chunk is that they are computed in, a single token too. Tried as `max_batch_invariant_drafts` is.
    """
    if not context.can_truncate or context.flash_attention or not all_batches_equal(header.weight_types, _CHUNKS):
        return False
    slot = Slot(context, 0)
    tokens = _test_tokens(_PREFIX_TOKENS + _MANY_TOKENS, vocabulary)
    found = []
    for length in (_PREFIX_TOKENS, len(tokens) - 1):
        slot.prefill(tokens[:length])
        slot.prefill(tokens[length:])
        found.append(context.get_logits(-1).tobytes())
        slot.clear()
    return len(set(found)) == 1


def max_decode_batch(context: LlamaContext, header: GgufHeader) -> int:
    """For how many replies one token each may be computed at once: as many as leave each as it is alone, bit by bit.
    Four in any case, for all that they gain; where weights are laid out anew, that may change a last bit.
    """
    return max(
        min(_MIN_DECODE_BATCH, context.sequence_count), max_equal_batch(header.weight_types, context.sequence_count)
    )


def _test_tokens(count: int, vocabulary: int) -> list[int]:
    """Any will do; these are spread over the vocabulary."""
    return [(7919 * number + 13) % vocabulary for number in range(count)]
