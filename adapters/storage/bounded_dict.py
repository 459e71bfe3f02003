"""Bounded mappings: a new entry evicts the oldest."""

from typing import TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


def put_bounded(mapping: dict[Key, Value], key: Key, value: Value, limit: int) -> None:
    """Put an entry as the newest, and evict the oldest beyond the limit."""
    mapping.pop(key, None)
    mapping[key] = value
    while len(mapping) > limit:
        del mapping[next(iter(mapping))]
