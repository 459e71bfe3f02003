from dataclasses import replace

import pytest

from models.llama.kv_cache.tokenized_prompt import TokenizedPrompt
from models.llama.plan.prefill_chunks import PrefillPlan
from models.llama.scheduling.prompt_chunks import ChunkRules, PromptChunks

_PROMPT = TokenizedPrompt(list(range(1000)), system_tokens=40, history_tokens=700, text_end="")
_CPU = ChunkRules(batch_tokens=256, anywhere=True, can_truncate=True, is_offloaded=False, max_pause_s=0.5)
_FLAT = PrefillPlan(64, float("inf"))


def _chunks(rules: ChunkRules = _CPU, token_s: float | None = 0.001) -> PromptChunks:
    chunks = PromptChunks(_FLAT, rules)
    if token_s is not None:
        chunks.record(0, 256, 256 * token_s)
    return chunks


@pytest.mark.parametrize(
    ("token_s", "limit_s", "start", "expected"),
    [
        # Nobody writes: whole batches, but a new request waits for no more than about four pauses.
        (None, None, 0, 256),
        (0.001, None, 0, 256),
        (0.001, None, 768, 1000),
        (0.01, None, 0, 200),
        (0.1, None, 0, 128),
        # Somebody writes: what fits into the rest of the pause.
        (None, 0.5, 0, 64),
        (0.001, 0.5, 0, 256),
        (0.01, 0.5, 0, 48),
        (0.01, 0.1, 0, 8),
        (0.1, -1.0, 0, 8),
    ],
)
def test_a_chunk_is_a_whole_batch_or_what_a_pause_allows(
    token_s: float | None, limit_s: float | None, start: int, expected: int
) -> None:
    assert _chunks(token_s=token_s).next_end(start, _PROMPT, (), limit_s) == expected


def test_a_graphics_card_gets_no_tiny_chunks() -> None:
    card = _chunks(replace(_CPU, is_offloaded=True), token_s=0.1)
    assert card.next_end(0, _PROMPT, (), 0.5) == 32
    assert card.next_end(0, _PROMPT, (), None) == 256


def test_chunks_end_where_a_snapshot_is_taken() -> None:
    assert _chunks().next_end(0, _PROMPT, (40,), None) == 40
    assert _chunks().next_end(40, _PROMPT, (40, 700), None) == 296
    assert _chunks().next_end(600, _PROMPT, (40, 700), None) == 700


@pytest.mark.parametrize("limit_s", [None, 0.001, 60.0])
@pytest.mark.parametrize("token_s", [None, 0.0001, 1.0])
def test_on_a_grid_chunks_follow_from_the_conversation_alone(limit_s: float | None, token_s: float | None) -> None:
    chunks = _chunks(replace(_CPU, anywhere=False), token_s)
    ends = [0]
    while ends[-1] < len(_PROMPT.tokens):
        ends.append(chunks.next_end(ends[-1], _PROMPT, (), limit_s))
    assert ends == [0, 40, *range(64, 700, 64), 700, *range(768, 1000, 64), 1000]
