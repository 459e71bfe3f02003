import pytest

from models.llama.scheduling.prefill_pace import PrefillPace


def _pace(**chunks: float) -> PrefillPace:
    """A pace after one chunk of each size, named `t<tokens>`, of so many seconds."""
    pace = PrefillPace()
    for name, seconds in chunks.items():
        tokens = int(name.removeprefix("t"))
        pace.record(tokens, tokens, seconds)
    return pace


def test_nothing_is_known_before_the_first_chunk() -> None:
    assert not PrefillPace().is_known
    assert PrefillPace().seconds(8, 8) == 0.0


@pytest.mark.parametrize(
    ("pace", "tokens", "expected"),
    [
        (_pace(t256=2.56), 256, 2.56),
        (_pace(t256=2.56), 8, 0.08),
        (_pace(t8=0.16, t256=2.56), 8, 0.16),
        (_pace(t8=0.16, t256=2.56), 12, 0.24),
        (_pace(t8=0.16), 64, 1.28),
        # A disturbed chunk does not make larger ones seem slower for each token than smaller ones.
        (_pace(t32=0.32, t64=6.4), 64, 0.64),
    ],
)
def test_the_time_of_a_chunk_follows_from_those_of_its_size_and_below(
    pace: PrefillPace, tokens: int, expected: float
) -> None:
    assert pace.seconds(tokens, tokens) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("pace", "seconds", "expected"),
    [
        (_pace(t256=2.56), 0.5, 48),
        (_pace(t8=0.16, t256=2.56), 0.5, 24),
        (_pace(t256=2.56), 0.0, 8),
        (_pace(t256=2.56), -1.0, 8),
        (_pace(t256=2.56), 60.0, 256),
        # A large chunk that takes no longer than a small one, as with weights that are sent to a graphics card.
        (_pace(t32=0.4, t256=0.45), 0.5, 256),
    ],
)
def test_a_chunk_is_as_large_as_the_time_allows(pace: PrefillPace, seconds: float, expected: int) -> None:
    assert pace.tokens_within(seconds, float, 8, 256) == expected


def test_a_disturbed_chunk_changes_the_pace_little() -> None:
    pace = _pace(t64=0.64)
    pace.record(64, 64, 60.0)
    assert pace.seconds(64, 64) <= 0.64 * 1.3 + 1e-9
