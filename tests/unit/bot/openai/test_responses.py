"""Sources below an answer are taken off when a program sends it back; pieces of text are events like all others."""

import pytest

from bot.core.api_completions import CompletionResult
from bot.core.messages import Source
from bot.openai.responses import ChunkEncoder, CompletionObjects, footer, sse_event, strip_footer
from knowledge.passages import PassageLocation

SOURCES = tuple(Source(number, "handbook", "backup.md", "Backup", PassageLocation(), "text", 1.0) for number in (1, 2))


@pytest.mark.parametrize("text", ["On Quince [1].", "A list:\n\n[1] no source\n\nand so on", "", "[1] x"])
def test_sources_are_taken_off_again(text: str) -> None:
    assert strip_footer(text + footer(CompletionResult(SOURCES))) == text
    assert strip_footer(text) == text


def test_notes_stand_between_an_answer_and_its_sources() -> None:
    below = footer(CompletionResult(SOURCES, ("No document says so.", "It was cut.")))
    assert below == "\n\nNo document says so.\n\nIt was cut.\n\n[1] backup.md\n[2] backup.md"
    assert strip_footer(below) == "\n\nNo document says so.\n\nIt was cut."


@pytest.mark.parametrize("text", ["", " word", 'a "quoted"\n\\ line', '""', "\x00\u2028é🦢", "{}"])
def test_a_piece_of_text_is_the_event_that_it_would_be_if_made_as_a_whole(text: str) -> None:
    answer = CompletionObjects('a "model" ""')
    assert ChunkEncoder(answer).encode_chunk(text) == sse_event(answer.chunk_object({"content": text}))
