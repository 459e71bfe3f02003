"""Nonces tell the parts of answers apart."""

import pytest

from adapters.discord.limits import NONCE_CHARACTERS
from adapters.discord.outgoing.nonce import part_nonce

SNOWFLAKE = "1234567890123456789"


@pytest.mark.parametrize("event_id", [SNOWFLAKE, "x" * 60])
def test_nonces_fit_tell_parts_apart_and_are_the_same_in_every_process(event_id: str) -> None:
    made = [part_nonce(event_id, number) for number in range(100)]
    assert len(set(made)) == 100
    assert max(map(len, made)) <= NONCE_CHARACTERS
    assert made[7] == part_nonce(event_id, 7)
