import pytest

from knowledge.loaders.log_tail import is_log, tail_start
from knowledge.loaders.text import load as load_text
from knowledge.loaders.types import LoadLimits, RawFile
from knowledge.reader import FileUnreadable


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ("boiler.log", True),
        ("old/Boiler.LOG.2", True),
        ("var/syslog", True),
        ("auth.log.1", True),
        ("catalog", False),
        ("blog", False),
        ("logbook.txt", False),
        ("boiler.log.md", False),
    ],
)
def test_a_log_is_known_by_its_name(document: str, expected: bool) -> None:
    assert is_log(document) is expected


@pytest.mark.parametrize("limit", [100, 1000, 10_000_000])
def test_between_three_quarters_of_the_limit_and_all_of_it_are_left(limit: int) -> None:
    assert tail_start(limit, limit) == 0
    for size in (limit + 1, limit + limit // 4, limit + limit // 4 + 1, 17 * limit + 5):
        start = tail_start(size, limit)
        assert start % 4 == 0
        assert 0.7 * limit <= size - start <= limit


def test_a_log_that_grows_begins_at_the_same_place_most_of_the_time() -> None:
    assert len({tail_start(size, 1000) for size in range(10_001, 11_001)}) <= 5


def log(lines: int) -> str:
    return "".join(f"{line:06}: the boiler was lit\n" for line in range(lines))


def test_of_a_log_with_too_much_text_whole_lines_at_the_end_are_read() -> None:
    (document,) = load_text(RawFile("boiler.log", log(1000).encode()), LoadLimits(text_characters=5000))
    assert document.text.endswith("000999: the boiler was lit\n")
    assert 3500 <= len(document.text) <= 5000
    assert document.text[:6].isdigit()
    assert document.unread.startswith("Only its last ")
    assert "text_limit_characters" in document.unread


def test_the_part_of_a_log_that_was_skipped_is_told() -> None:
    data = log(1000).encode()
    raw = RawFile("boiler.log", data[10_007:], skipped_bytes=10_007)
    (document,) = load_text(raw, LoadLimits())
    assert document.text[:6].isdigit()
    assert document.unread == "Only the last 0.0 of its 0.0 MB were read: file_size_limit_mb."


def test_a_log_within_the_limits_is_read_as_a_whole() -> None:
    (document,) = load_text(RawFile("boiler.log", log(10).encode()), LoadLimits())
    assert (document.text, document.unread) == (log(10), "")


def test_another_text_that_is_too_long_is_refused() -> None:
    with pytest.raises(FileUnreadable, match="split it"):
        load_text(RawFile("boiler.txt", log(1000).encode()), LoadLimits(text_characters=5000))
