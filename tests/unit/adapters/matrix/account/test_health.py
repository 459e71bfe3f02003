from datetime import UTC, datetime

import pytest

from adapters.matrix.account.cross_signing import SigningStatus
from adapters.matrix.account.health import health_lines
from adapters.matrix.account.identity import Verifier
from adapters.matrix.verification.emoji import EMOJI_TABLE, emoji_glyphs, emoji_names
from bot.core.texts import Language

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_a_signed_device_that_somebody_verified_is_told_with_the_day() -> None:
    verifiers = [Verifier("@ada:home", NOON), Verifier("@ben:home", NOON)]
    assert health_lines("en", SigningStatus("signed"), verifiers, 3) == [
        "Matrix: my device is signed by its owner.",
        "Matrix: verified by @ada:home (2026-03-01), @ben:home (2026-03-01).",
        "Matrix: messages I could not decrypt since I started: 3.",
    ]


@pytest.mark.parametrize("language", ["en", "fr"])
def test_what_is_not_known_is_not_told_as_good(language: Language) -> None:
    signed, *_ = health_lines(language, SigningStatus("signed"), [], 0)
    told = {health_lines(language, standing, [], 0)[0] for standing in (None, SigningStatus("foreign_keys"))}
    assert len(told | {signed}) == 3
    assert "matrix status" in health_lines(language, SigningStatus("refused", "x"), [], 0)[0]


def test_emoji_are_those_of_the_specification() -> None:
    assert len(EMOJI_TABLE) == 64
    assert (EMOJI_TABLE[0][1], EMOJI_TABLE[30][1], EMOJI_TABLE[63][1]) == ("Dog", "Smiley", "Pin")
    assert emoji_glyphs([0, 63]) == "🐶 📌"
    assert emoji_names([0, 63]) == "🐶 Dog, 📌 Pin"
