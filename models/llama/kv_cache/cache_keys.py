"""Whose state it is: conversations by their key, calls without a conversation by who makes them, and everybody."""

from dataclasses import dataclass
from hashlib import blake2b
from secrets import token_bytes

from models.engine import STATELESS_PREFIX

_DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True)
class CacheKey:
    """Who may read a state back. Digests, so that no conversation's name is written to the disk.

    `is_conversation` owners come back with the same key and one growing history; the others may have many states, of
    which the longest that a prompt begins with is found.
    """

    digest: bytes
    is_conversation: bool


def cache_key_of(key: str) -> CacheKey:
    """The owner of the state kept for a key."""
    return CacheKey(_digest("key", key), is_conversation=not key.startswith(STATELESS_PREFIX))


def new_snapshot_name(owner: CacheKey) -> bytes:
    """A name for a new state of an owner: a lasting one has a single state, which the next replaces."""
    return owner.digest if owner.is_conversation else token_bytes(_DIGEST_BYTES)


def _digest(*parts: str) -> bytes:
    return blake2b("\0".join(parts).encode("utf-8", errors="surrogatepass"), digest_size=_DIGEST_BYTES).digest()


EMPTY = CacheKey(_digest("nobody"), is_conversation=True)
"""Owns what is empty."""

SHARED = CacheKey(_digest("everybody"), is_conversation=False)
"""Owns the states of system prompts, which hold nothing of any conversation."""
