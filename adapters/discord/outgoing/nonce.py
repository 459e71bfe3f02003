"""Nonces of new messages, so that Discord posts each part of an answer once."""

import hashlib

from adapters.discord.limits import NONCE_CHARACTERS


def part_nonce(event_id: str, number: int) -> str:
    """The nonce of a part: the same for the same question and number, in every process."""
    plain = f"{event_id}-{number}"
    if len(plain) <= NONCE_CHARACTERS:
        return plain
    return hashlib.sha256(plain.encode()).hexdigest()[:NONCE_CHARACTERS]
