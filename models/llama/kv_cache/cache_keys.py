"""Cache keys: which conversation or API caller may reuse a KV-cache state, and the shared key of system prompts."""

from dataclasses import dataclass
from hashlib import blake2b
from secrets import token_bytes

from models.engine import STATELESS_PREFIX

_DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True)
class CacheKey:
    """Key under which a state may be reused: a digest, so that no conversation's name is written to the disk.

    A key with `is_conversation` recurs with one growing history and has one state; any other key may have many, of
    which the longest prefix of the prompt is used.
    """

    digest: bytes
    is_conversation: bool

    @property
    def is_stateless(self) -> bool:
        """Whether it is the key of an API caller."""
        return not self.is_conversation and self != SHARED

    def covers(self, other: "CacheKey") -> bool:
        """Whether dropping the states of this key drops those of the other one."""
        return self == other or (self == ALL_STATELESS and other.is_stateless)


def cache_key_of(key: str) -> CacheKey:
    """The cache key for the key that the engine was called with."""
    return CacheKey(_digest("key", key), is_conversation=not key.startswith(STATELESS_PREFIX))


def new_snapshot_name(cache_key: CacheKey) -> bytes:
    """A name for a new snapshot: always the same for a conversation, whose next snapshot replaces it, else random."""
    return cache_key.digest if cache_key.is_conversation else token_bytes(_DIGEST_BYTES)


def _digest(*parts: str) -> bytes:
    return blake2b("\0".join(parts).encode("utf-8", errors="surrogatepass"), digest_size=_DIGEST_BYTES).digest()


EMPTY = CacheKey(_digest("nobody"), is_conversation=True)
"""Key of an empty slot."""

SHARED = CacheKey(_digest("everybody"), is_conversation=False)
"""Key of the states of system prompts, which contain nothing of any conversation."""

ALL_STATELESS = cache_key_of(STATELESS_PREFIX)
"""Key that covers the keys of all API callers."""
