"""Sources below an answer on Discord."""

from adapters.discord.outgoing.layout import subtext_footer
from bot.core.messages import Source
from knowledge.passages import PassageLocation


def source(title: str = "Disks", **place: object) -> Source:
    where = PassageLocation(**{"heading": ("Home", "Backup"), **place})  # type: ignore[arg-type]
    return Source(2, "handbook", "disks.md", title, where, "text", 0.9)


def test_a_source_is_one_line_that_marks_cannot_break() -> None:
    assert subtext_footer("", [source(page=3)]) == "-# [2] Disks › Backup › p. 3 (handbook)"
    assert subtext_footer("", [source("a_b\n*c*")]) == r"-# [2] a\_b \*c\* › Backup (handbook)"
    assert len(subtext_footer("", [source("x" * 500)])) < 200


def test_note_and_sources_are_small_lines() -> None:
    assert subtext_footer("Read with care.", [source()]) == "-# Read with care.\n-# [2] Disks › Backup (handbook)"
    assert subtext_footer("", []) == ""
