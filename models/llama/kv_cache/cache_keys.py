"""Whose state it is: conversations by their key, calls without a conversation by who makes them, and everybody."""

from dataclasses import dataclass
from hashlib import blake2b
from secrets import token_bytes

from models.engine import STATELESS

_DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True)
class Owner:
    """Who may read a state back. Digests, so that no conversation's name is written to the disk.

    `lasting` owners come back with the same key and one growing history; the others may have many states, of which
    the longest that a prompt begins with is found.
    """

    digest: bytes
    lasting: bool


def owner_of(key: str) -> Owner:
    """The owner of the state kept for a key."""
    return Owner(_digest("key", key), lasting=not key.startswith(STATELESS))


def state_name(owner: Owner) -> bytes:
    """A name for a new state of an owner: a lasting one has a single state, which the next replaces."""
    return owner.digest if owner.lasting else token_bytes(_DIGEST_BYTES)


def _digest(*parts: str) -> bytes:
    return blake2b("\0".join(parts).encode("utf-8", errors="surrogatepass"), digest_size=_DIGEST_BYTES).digest()


NOBODY = Owner(_digest("nobody"), lasting=True)
"""Owns what is empty."""

EVERYBODY = Owner(_digest("everybody"), lasting=False)
"""Owns the states of system prompts, which hold nothing of any conversation."""
