"""A request that has a slot, and how it ended."""

from dataclasses import dataclass

from models.engine import Usage
from models.llama.decoding.generation import Generation
from models.llama.kv_cache.cache_keys import CacheKey
from models.llama.scheduling.requests import Generate


@dataclass(eq=False, slots=True)
class RunningReply:
    """A request with a slot; `discard_state` when none of its state may be cached."""

    generate: Generate
    cache_key: CacheKey
    generation: Generation
    request_id: int
    discard_state: bool = False


@dataclass(frozen=True, slots=True)
class EndedReply:
    """A reply that a step has ended: complete with its usage, failed with an error, or cancelled without either."""

    running: RunningReply
    usage: Usage | None = None
    error: Exception | None = None
