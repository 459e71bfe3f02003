"""The number of compute threads changes while a model runs."""

from pathlib import Path

import numpy
from numpy.typing import NDArray

from models.llama.loading.loader import load_model
from models.llama.native.context import LlamaContext, TokenRun
from models.llama.settings import LlamaSettings

_PROMPT = range(100, 160)
_REPLIES = 3


def _logits(context: LlamaContext, threads: int) -> NDArray[numpy.float32]:
    """The logits behind a prompt, of a step of one reply, and of a step of several; shape (rows, vocabulary)."""
    context.set_threads(threads)
    for sequence in range(_REPLIES):
        context.truncate_sequence(sequence, 0)
        context.prefill(TokenRun(sequence, 0, list(_PROMPT)))
    rows = [context.get_logits(-1).copy()]
    context.decode([TokenRun(0, len(_PROMPT), [7])])
    rows.append(context.get_logits(-1).copy())
    context.decode([TokenRun(sequence, len(_PROMPT) + (sequence == 0), [8]) for sequence in range(_REPLIES)])
    return numpy.stack([*rows, *(context.get_logits(row).copy() for row in range(_REPLIES))])


def test_the_number_of_threads_changes_no_logit(chat_model_path: Path) -> None:
    # A fixed number, so that nothing but the test changes it.
    settings = LlamaSettings(context_tokens=512, parallel=_REPLIES, threads=2)
    loaded = load_model(chat_model_path, settings, lambda fraction: True)
    try:
        alone, together = (_logits(loaded.context, threads) for threads in (1, 2))
    finally:
        loaded.context.free()
        loaded.model.free()
    assert numpy.isfinite(alone).all()
    assert numpy.array_equal(alone, together)
