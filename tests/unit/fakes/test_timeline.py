from typing import Any

from deploy.dev.homeserver import contents
from deploy.dev.homeserver.timeline import Timeline

ROOM = "!kitchen:house.test"


def _seen(*events: tuple[str, str, dict[str, Any]]) -> Timeline:
    """A timeline of `(sender, type, content)`; the first event has the id `$0`."""
    timeline = Timeline()
    for number, (sender, kind, content) in enumerate(events):
        told = {"room_id": ROOM, "event_id": f"${number}", "origin_server_ts": number, "sender": sender}
        timeline.add(told | {"type": kind, "content": content})
    return timeline


def _said(sender: str, content: dict[str, Any]) -> tuple[str, str, dict[str, Any]]:
    return sender, "m.room.message", content


def test_the_newest_edit_stands_and_the_relation_of_the_first_event_stays() -> None:
    timeline = _seen(
        _said("ana", contents.message("Is it on?")),
        _said("ben", contents.message("Y", thread="$0")),
        _said("ben", contents.edit("$1", contents.message("Ye"))),
        _said("ben", contents.edit("$1", contents.message("Yes", html="<b>Yes</b>"))),
    )
    (shown,) = timeline.shown(ROOM, "ben")
    assert (shown.body, shown.html, shown.bodies) == ("Yes", "<b>Yes</b>", ["Y", "Ye", "Yes"])
    assert (shown.thread, shown.reply_to, shown.edited_ms) == ("$0", "", [2, 3])


def test_nobody_edits_what_another_wrote() -> None:
    timeline = _seen(
        _said("ana", contents.message("Mine")), _said("eve", contents.edit("$0", contents.message("Hers")))
    )
    assert [shown.body for shown in timeline.shown(ROOM)] == ["Mine"]


def test_what_is_removed_is_gone_with_its_reactions() -> None:
    timeline = _seen(
        _said("ana", contents.message("One")),
        _said("ana", contents.message("Two", reply_to="$0")),
        ("ben", "m.reaction", contents.reaction("$1", "+1")),
        ("ana", "m.room.redaction", {"redacts": "$0"}),
    )
    (shown,) = timeline.shown(ROOM)
    assert (shown.body, shown.reply_to, shown.reactions) == ("Two", "$0", [("ben", "+1")])


def test_a_message_that_is_decrypted_late_keeps_its_place() -> None:
    timeline = _seen(("ana", "m.room.encrypted", {}), _said("ana", contents.message("Second")))
    late = {"room_id": ROOM, "event_id": "$0", "origin_server_ts": 0, "sender": "ana", "type": "m.room.message"}
    timeline.add(late | {"content": contents.message("First")})
    assert [shown.body for shown in timeline.shown(ROOM)] == ["First", "Second"]
