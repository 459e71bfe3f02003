"""Which collections an audience may be answered from."""

from bot.core.access import readable_collections
from bot.core.messages import Audience

READERS = {
    "handbook": ("everyone",),
    "accounts": ("discord:user:1",),
    "garden": ("discord:42", "console"),
    "drawer": (),
}


def test_a_room_reads_what_names_the_room_or_everyone() -> None:
    assert readable_collections(READERS, Audience(frozenset({"discord:42"}))) == {"handbook", "garden"}


def test_a_room_does_not_read_what_only_one_of_its_people_may() -> None:
    assert "accounts" not in readable_collections(READERS, Audience(frozenset({"discord:42"})))


def test_a_private_answer_reads_what_names_the_person() -> None:
    assert readable_collections(READERS, Audience(frozenset({"discord:user:1"}), private=True)) == {
        "handbook",
        "accounts",
    }


def test_a_collection_without_readers_is_read_by_nobody() -> None:
    assert readable_collections({"drawer": ()}, Audience(frozenset({"everyone", "console", "drawer"}))) == frozenset()


def test_nobody_in_particular_reads_only_what_is_for_everyone() -> None:
    assert readable_collections(READERS, Audience(frozenset())) == {"handbook"}
