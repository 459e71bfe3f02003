"""Which collections an audience may be answered from, and who is the audience."""

import pytest

from bot.core.access import KnownAudiences, narrow_audience, readable_collections
from bot.core.messages import Audience
from tests.fakes.messages import message
from tests.fakes.reply import RecordingReply

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


PRIVATE = Audience(frozenset({"room", "user:1"}), private=True)
PUBLIC = Audience(frozenset({"room"}))


@pytest.mark.parametrize(
    ("asked", "now", "expected"),
    [
        (PRIVATE, PRIVATE, PRIVATE),
        (PUBLIC, PUBLIC, PUBLIC),
        (PRIVATE, PUBLIC, PUBLIC),
        (PUBLIC, PRIVATE, PUBLIC),
        (PRIVATE, Audience(frozenset({"room", "user:1", "role:9"}), private=True), PRIVATE),
        (PRIVATE, Audience(frozenset({"elsewhere"})), Audience(frozenset())),
    ],
)
def test_who_comes_in_later_narrows_an_audience_and_nobody_widens_it(
    asked: Audience, now: Audience, expected: Audience
) -> None:
    assert narrow_audience(asked, now) == expected


def test_two_private_readers_of_one_place_read_only_what_both_may() -> None:
    other = Audience(frozenset({"room", "user:2"}), private=True)
    assert narrow_audience(PRIVATE, other, same_reader=False) == PUBLIC


def test_the_newest_message_of_a_conversation_tells_its_audience() -> None:
    known = KnownAudiences()
    asked = message("Where?", "1")
    assert known.current(asked, None) == asked.audience
    known.record(message("Hello", "2", author="ben", names=frozenset({"console:room"}), private=False))
    assert known.current(asked, None) == Audience(frozenset({"console:room"}))
    assert known.current(message("Where?", "3", conversation="console:b"), None).private


def test_a_place_that_knows_its_readers_is_asked() -> None:
    class Reply(RecordingReply):
        def current_audience(self) -> Audience:
            return PUBLIC

    asked = message("Where?", names=PRIVATE.names)
    assert KnownAudiences().current(asked, Reply()) == PUBLIC
    assert KnownAudiences().current(asked, RecordingReply()) == PRIVATE
