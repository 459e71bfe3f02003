"""A new entry is the newest, and the oldest goes when there are too many."""

from adapters.storage.bounded_dict import put_bounded


def test_an_entry_that_is_put_again_is_the_newest() -> None:
    kept = {"a": 1, "b": 2}
    put_bounded(kept, "a", 3, 2)
    put_bounded(kept, "c", 4, 2)
    assert kept == {"a": 3, "c": 4}
