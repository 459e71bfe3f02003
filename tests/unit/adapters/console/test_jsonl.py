"""The console's input lines."""

import base64
import json
from typing import Any

import pytest

from adapters.console.jsonl import BadLine, MessageLine, StopLine, WithdrawLine, parse_line


def line(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


def test_a_message_needs_its_text_only() -> None:
    message = parse_line(line(text="Where is the drive?"))
    assert isinstance(message, MessageLine)
    assert (message.conversation, message.author, message.addressed, message.admin) == ("local", "local", True, False)


def test_all_fields_of_a_message_are_read() -> None:
    message = parse_line(
        line(
            conversation="kitchen",
            author="ada",
            text="",
            addressed=False,
            event_id="e1",
            sent_at=12.5,
            admin=True,
            private=False,
            audience=["guests"],
            attachments=[{"name": "a.txt", "media_type": "text/plain", "data": "YQ=="}],
        )
    )
    assert isinstance(message, MessageLine)
    assert message.attachments[0].decode_data() == b"a"
    assert message.audience == ("guests",)


def test_control_lines_are_told_from_messages() -> None:
    assert parse_line(line(stop="kitchen")) == StopLine(stop="kitchen")
    withdrawn = parse_line(line(withdraw={"conversation": "kitchen", "event_id": "e1"}))
    assert isinstance(withdrawn, WithdrawLine)
    assert withdrawn.withdraw.event_id == "e1"


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (None, "too long"),
        (b"hello", "not JSON"),
        (b"\xff\xfe", "not UTF-8"),
        (b"[1]", "not a JSON object"),
        (b"[" * 100_000, "not JSON"),
        (b"1" * 10_000, "not JSON"),
        (line(), "text: Field required"),
        (line(text=5), "text: "),
        (line(text="x", texd="y"), "texd: is not a key"),
        (line(text="x", conversation=""), "conversation: "),
        (line(text="x", conversation="c" * 1000), "conversation: "),
        (b'{"text": "x", "sent_at": NaN}', "sent_at: "),
        (b'{"text": "\\ud800"}', "half a surrogate"),
        (line(text="x", attachments=[{}]), "either `path` or `data`"),
        (line(text="x", attachments=[{"data": "YQ=="}]), "needs a `name`"),
        (line(stop=""), "stop: "),
        (line(withdraw={"conversation": "kitchen"}), "withdraw.event_id: Field required"),
    ],
)
def test_any_other_line_is_refused_with_a_reason(raw: bytes | None, reason: str) -> None:
    with pytest.raises(BadLine, match=reason):
        parse_line(raw)


def test_a_refusal_names_every_fault_and_none_of_the_content() -> None:
    with pytest.raises(BadLine) as caught:
        parse_line(line(text=["sekret"], admin="sekret", sent_at="sekret"))
    for name in ("text", "admin", "sent_at"):
        assert name in str(caught.value)
    assert "sekret" not in str(caught.value)


def test_a_whole_surrogate_pair_is_a_character() -> None:
    message = parse_line(b'{"text": "\\ud83c\\udfe0"}')
    assert isinstance(message, MessageLine)
    assert message.text == "🏠"


def test_data_that_is_not_base64_is_refused() -> None:
    message = parse_line(line(text="x", attachments=[{"name": "a", "data": "YQ="}]))
    assert isinstance(message, MessageLine)
    with pytest.raises(BadLine, match="base64"):
        message.attachments[0].decode_data()


def test_base64_data_is_decoded_whole() -> None:
    data = bytes(range(256)) * 10
    message = parse_line(line(text="x", attachments=[{"name": "a", "data": base64.b64encode(data).decode()}]))
    assert isinstance(message, MessageLine)
    assert message.attachments[0].decode_data() == data
