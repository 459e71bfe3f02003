"""Mappings that hold the newest entries and let go of the oldest."""

from typing import TypeVar

Value = TypeVar("Value")


def put_bounded(mapping: dict[str, Value], key: str, value: Value, most: int) -> None:
    """Add an entry as the newest; the oldest goes when there are too many."""
    mapping.pop(key, None)
    mapping[key] = value
    while len(mapping) > most:
        del mapping[next(iter(mapping))]
