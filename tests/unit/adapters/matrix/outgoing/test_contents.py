"""The events of an answer, as the specification wants them."""

import struct

from adapters.delivery.citations import TITLE_CHARACTERS, citation_footer
from adapters.matrix.outgoing.contents import PNG_SIGNATURE, RoomTarget, edit_content, image_content, message_content
from adapters.matrix.outgoing.layout import MatrixPart
from adapters.matrix.outgoing.transactions import edit_tx_id, picture_tx_id, redact_tx_id, send_tx_id
from bot.core.messages import Attachment, Audience, ConversationId, Message, Person, Source
from knowledge.passages import PassageLocation

TARGET = RoomTarget("!room:home.example", "$question", "$question", asker="@ana:home.example")
IN_THREAD = RoomTarget("!room:home.example", "$question", "$question", "$root", "@ana:home.example")


def test_the_place_of_an_answer_is_in_its_message() -> None:
    data = {"room": "!r:h", "question": "$q", "thread": "$t", "author": "@a:h"}
    asked = Message(
        conversation=ConversationId("matrix:!r:h"),
        event_id="$reaction",
        author=Person("matrix:@a:h", "Ana"),
        text="?",
        addressed=True,
        audience=Audience(frozenset()),
        sent_at=0.0,
        platform_data=data,
    )
    assert RoomTarget.from_message(asked) == RoomTarget("!r:h", "$q", "$reaction", "$t", "@a:h")


def test_a_message_replies_to_the_question_and_mentions_who_asked_once() -> None:
    first = message_content(MatrixPart("**Here**.", first=True), TARGET)
    assert first == {
        "msgtype": "m.text",
        "body": "**Here**.",
        "format": "org.matrix.custom.html",
        "formatted_body": "<p><strong>Here</strong>.</p>",
        "m.mentions": {"user_ids": ["@ana:home.example"]},
        "m.relates_to": {"m.in_reply_to": {"event_id": "$question"}},
    }
    assert message_content(MatrixPart("More."), TARGET)["m.mentions"] == {}


def test_in_a_thread_a_message_relates_to_the_root_and_falls_back_to_a_reply() -> None:
    assert message_content(MatrixPart("Here."), IN_THREAD)["m.relates_to"] == {
        "rel_type": "m.thread",
        "event_id": "$root",
        "is_falling_back": True,
        "m.in_reply_to": {"event_id": "$question"},
    }


def test_an_edit_replaces_the_original_and_says_everything_again() -> None:
    assert edit_content("$first", MatrixPart("Here.", "[1] Disks", small=True, first=True), IN_THREAD) == {
        "msgtype": "m.text",
        "body": "* Here.\n\n[1] Disks",
        "m.mentions": {},
        "m.new_content": {
            "msgtype": "m.text",
            "body": "Here.\n\n[1] Disks",
            "format": "org.matrix.custom.html",
            "formatted_body": "<p>Here.</p><p><sub>[1] Disks</sub></p>",
            "m.mentions": {"user_ids": ["@ana:home.example"]},
        },
        "m.relates_to": {"rel_type": "m.replace", "event_id": "$first"},
    }


def test_status_lines_are_notices() -> None:
    assert message_content(MatrixPart("", "You are number 3.", notice=True), TARGET)["msgtype"] == "m.notice"
    edit = edit_content("$e", MatrixPart("", "Number 2.", notice=True), TARGET)
    assert edit["m.new_content"]["msgtype"] == "m.notice"


def test_half_characters_never_leave() -> None:
    said = message_content(MatrixPart("a\ud800b", "c\udfff"), TARGET)
    assert said["body"] == "a\ufffdb\n\nc\ufffd"
    said["formatted_body"].encode()


def test_a_text_that_renders_to_nothing_is_shown_as_it_is() -> None:
    assert message_content(MatrixPart("[a]: <b>"), TARGET)["formatted_body"] == "[a]: &lt;b&gt;"


def test_a_picture_tells_its_size() -> None:
    data = PNG_SIGNATURE + b"\0\0\0\rIHDR" + struct.pack(">II", 800, 450) + b"more"
    content = image_content(Attachment("chart.png", "image/png", data), {"url": "mxc://h/1"}, TARGET)
    assert content["info"] == {"mimetype": "image/png", "size": len(data), "w": 800, "h": 450}
    assert (content["url"], content["body"], content["m.mentions"]) == ("mxc://h/1", "chart.png", {})
    assert content["m.relates_to"] == {"m.in_reply_to": {"event_id": "$question"}}
    assert "w" not in image_content(Attachment("a.jpg", "image/jpeg", b"x"), {}, TARGET)["info"]


def test_sources_are_short_numbered_lines_under_the_note() -> None:
    disks = Source(1, "handbook", "disks.md", "Disks", PassageLocation(heading=("House", "Backup"), page=3), "", 0.9)
    bare = Source(2, "", "a\nb.txt", "", PassageLocation(), "", 0.9)
    assert citation_footer(" No document\nsupports this. ", (disks, bare)) == (
        "No document supports this.\n[1] Disks › Backup › p. 3 (handbook)\n[2] a b.txt"
    )
    assert citation_footer("", ()) == ""
    long = citation_footer("", (Source(3, "c", "d", "t" * 500, PassageLocation(), "", 0.9),))
    assert len(long) == len("[3] ") + TITLE_CHARACTERS + len(" (c)")


def test_transactions_differ_where_what_is_sent_differs_and_only_there() -> None:
    ids = [send_tx_id("$q", 0), send_tx_id("$q", 1), send_tx_id("$r", 0), picture_tx_id("$q", 0), redact_tx_id("$e")]
    ids += [
        edit_tx_id("$q", 0, "run", 1),
        edit_tx_id("$q", 0, "run", 2),
        edit_tx_id("$q", 1, "run", 1),
        edit_tx_id("$q", 0, "b", 1),
    ]
    assert len(set(ids)) == len(ids)
    assert all(0 < len(each) <= 60 and each.isalnum() for each in ids)
    assert send_tx_id("$q", 0) == send_tx_id("$q", 0)
