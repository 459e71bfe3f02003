"""Long answers in messages that fit into events, whatever is written and however the event is made."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.delivery.message_layout import LayoutPage
from adapters.matrix.limits import CONTENT_BYTES, EVENT_BYTES
from adapters.matrix.outgoing.contents import RoomTarget, edit_content, message_content
from adapters.matrix.outgoing.layout import PAGE_COST_LIMIT, MatrixPart, edit_cost, matrix_layout

LONGEST_ID = 255
TARGET = RoomTarget(
    "!" + "r" * (LONGEST_ID - 1),
    "$" + "q" * (LONGEST_ID - 1),
    "$" + "q" * (LONGEST_ID - 1),
    "$" + "t" * (LONGEST_ID - 1),
    "@" + "a" * (LONGEST_ID - 1),
)
MEGOLM_BYTES = 3 + 6 + 16 + 8 + 64
"""Version and index, padding, MAC and signature around a plaintext."""


def canonical(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


def event_bytes(content: dict[str, Any]) -> int:
    """The size of an event with this content in an encrypted room with many branches."""
    plain = json.dumps({"type": "m.room.message", "content": content, "room_id": TARGET.room_id}, ensure_ascii=False)
    sealed = {
        "algorithm": "m.megolm.v1.aes-sha2",
        "ciphertext": base64.b64encode(plain.encode() + bytes(MEGOLM_BYTES)).decode(),
        "device_id": "HEARTHDEVICE",
        "sender_key": "k" * 43,
        "session_id": "s" * 43,
        "m.relates_to": content["m.relates_to"],
    }
    return len(
        canonical(
            {
                "type": "m.room.encrypted",
                "content": sealed,
                "room_id": TARGET.room_id,
                "sender": TARGET.asker,
                "auth_events": ["$" + "a" * 43] * 10,
                "prev_events": ["$" + "p" * 43] * 20,
                "depth": 2**53,
                "origin_server_ts": 2**53,
                "hashes": {"sha256": "h" * 43},
                "signatures": {"s" * 230: {"ed25519:a_key": "s" * 86}},
                "unsigned": {"age_ts": 2**53},
            }
        )
    )


def parts(pages: list[LayoutPage]) -> list[MatrixPart]:
    return [MatrixPart(page.text, page.below, small=True, first=number == 0) for number, page in enumerate(pages)]


def assert_fits(part: MatrixPart) -> None:
    for content in (message_content(part, TARGET), edit_content("$" + "e" * (LONGEST_ID - 1), part, TARGET)):
        assert len(canonical(content)) <= CONTENT_BYTES
        assert event_bytes(content) <= EVENT_BYTES


PIECES = st.sampled_from(
    [
        "word " * 50,
        "<" * 300,
        '"\\' * 100,
        "\U0001f600" * 200,
        "é" * 300,
        "\n" * 40,
        "```py\nx = 1\n",
        "\n```\n",
        "**b** ",
        "- a\n- b\n",
        "|a|b|\n|--|--|\n|1|2|\n",
        "> > > x\n",
        "[a](http://é.example) ",
        "\x01\x02",
        "`a` " * 40,
        "[x][x]" * 60,
    ]
)
TEXTS = st.tuples(st.lists(PIECES, max_size=40), st.integers(1, 6)).map(lambda drawn: "".join(drawn[0]) * drawn[1])


@settings(deadline=None, max_examples=60)
@given(st.one_of(TEXTS, st.text(max_size=3000)))
def test_every_page_fits_into_an_encrypted_edit_and_together_they_are_the_text(text: str) -> None:
    layout = matrix_layout()
    pages = layout.split_pages(text)
    assert "".join(part.body for part in layout._splitter.split_text(text)) == text
    assert [page.text for page in pages] == [
        part.full_text for part in layout._splitter.split_text(text) if not part.is_blank
    ]
    for part in parts(pages):
        assert_fits(part)


@pytest.mark.parametrize(
    ("text", "messages"),
    [("\U0001f600" * 9000, 3), ("<" * 9000, 2), ("\x01" * 9000, 4), ("é" * 9000, 2), ("a" * 9000, 1), ('"' * 9000, 3)],
)
def test_texts_that_grow_on_their_way_are_split_early_enough(text: str, messages: int) -> None:
    pages = matrix_layout().split_pages(text)
    assert len(pages) == messages
    assert "".join(page.text for page in pages) == text
    for part in parts(pages):
        assert_fits(part)


@pytest.mark.parametrize("words", [100, 1200])
def test_a_text_that_html_makes_huge_is_sent_without(words: int) -> None:
    text = "[x]: http://example.org/" + "a" * 500 + "\n\n" + "[x] " * words
    (page,) = matrix_layout().split_pages(text)
    (part,) = parts([page])
    assert "formatted_body" not in message_content(part, TARGET)
    assert "formatted_body" not in edit_content("$e", part, TARGET)["m.new_content"]
    assert_fits(part)


def test_what_people_write_is_formatted_at_any_length() -> None:
    for name in ("ARCHITECTURE.md", "README.md"):
        text = (Path(__file__).parents[5] / name).read_text(encoding="utf-8") * 3
        pages = matrix_layout().split_pages(text)
        assert len(pages) < edit_cost(text) / PAGE_COST_LIMIT + 2
        for part in parts(pages):
            assert "formatted_body" in edit_content("$e", part, TARGET)["m.new_content"]


def test_finished_pages_stay_while_the_text_grows() -> None:
    layout = matrix_layout()
    text = "A sentence of some length stands here. " * 1000
    seen: list[LayoutPage] = []
    for end in range(0, len(text), 997):
        pages = layout.split_pages(text[:end])
        assert pages[: max(0, len(seen) - 1)] == seen[:-1]
        seen = pages


def test_what_is_below_stands_under_the_last_page_or_in_messages_of_its_own() -> None:
    assert matrix_layout().split_pages("Here.", "[1] Disks") == [LayoutPage("Here.", "[1] Disks")]
    assert matrix_layout().split_pages("", "Stopped.") == [LayoutPage("", "Stopped.")]
    assert matrix_layout().split_pages("Here.", " ") == [LayoutPage("Here.")]
    full = "a" * PAGE_COST_LIMIT
    assert matrix_layout().split_pages(full, "[1] Disks") == [LayoutPage(full), LayoutPage("", "[1] Disks")]
    many = matrix_layout().split_pages("Here.", "\n".join(f"[{number}] " + "<" * 2000 for number in range(20)))
    assert many[0] == LayoutPage("Here.")
    for part in parts(many):
        assert_fits(part)


def test_blank_pieces_need_no_message() -> None:
    assert matrix_layout().split_pages(" \n\u200b") == []
