"""Contents of the events of an answer. Pure."""

import html as markup
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adapters.matrix.event_content import EDIT, HTML, NOTICE, THREAD
from adapters.matrix.limits import TEXT_COPIES, TEXT_COPIES_BYTES
from adapters.matrix.outgoing.html import footer_html, render_html
from adapters.matrix.outgoing.layout import MatrixPart
from bot.core.messages import Attachment, Message

Content = dict[str, Any]

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True, slots=True)
class RoomTarget:
    """The destination of an answer: the room, the question that it replies to, the thread's root if there is one, and
    the user to mention. `asked_by_event` is the question, or a reaction to an earlier answer to it.
    """

    room_id: str
    question: str
    asked_by_event: str
    thread: str = ""
    asker: str = ""

    @classmethod
    def from_message(cls, message: Message) -> "RoomTarget":
        """The target of a message's answer."""
        data = message.platform_data
        return cls(data["room"], data["question"], message.event_id, data.get("thread", ""), data.get("author", ""))


def message_content(part: MatrixPart, target: RoomTarget) -> Content:
    """A message of the answer."""
    return {**_text_content(part), "m.mentions": _mentions(part, target), "m.relates_to": _relation(target)}


def edit_content(event_id: str, part: MatrixPart, target: RoomTarget) -> Content:
    """An edit of a message of the answer, without new mentions."""
    content = _text_content(part)
    return {
        "msgtype": content["msgtype"],
        "body": f"* {content['body']}",
        "m.mentions": {},
        "m.new_content": {**content, "m.mentions": _mentions(part, target)},
        "m.relates_to": {"rel_type": EDIT, "event_id": event_id},
    }


def image_content(picture: Attachment, location: Mapping[str, Any], target: RoomTarget) -> Content:
    """A picture; its `location` is a `url`, or a `file` if it is encrypted."""
    return {
        "msgtype": "m.image",
        "body": picture.name,
        "info": {"mimetype": picture.media_type, "size": len(picture.data), **_dimensions(picture.data)},
        **location,
        "m.mentions": {},
        "m.relates_to": _relation(target),
    }


def _text_content(part: MatrixPart) -> Content:
    """The text of a message, without HTML if that is too large: Markdown can repeat a long URL for each word."""
    text, below = _without_surrogates(part.text), _without_surrogates(part.below)
    body = "\n\n".join(piece for piece in (text, below) if piece)
    html = (render_html(text) if text else "") + (footer_html(below, small=part.small) if below else "")
    plain = {"msgtype": NOTICE if part.notice else "m.text", "body": body}
    if (TEXT_COPIES - 1) * _bytes(body) + _bytes(html) > TEXT_COPIES_BYTES:
        return plain
    return {**plain, "format": HTML, "formatted_body": html or markup.escape(body, quote=False)}


def _mentions(part: MatrixPart, target: RoomTarget) -> Content:
    """The user who is replied to, as the specification requires ("Rich replies"), once for each answer."""
    return {"user_ids": [target.asker]} if part.first and target.asker else {}


def _relation(target: RoomTarget) -> Content:
    replied = {"m.in_reply_to": {"event_id": target.question}}
    if not target.thread:
        return replied
    return {"rel_type": THREAD, "event_id": target.thread, "is_falling_back": True, **replied}


def _without_surrogates(text: str) -> str:
    """The text without lone surrogates, which other programs reject."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _bytes(text: str) -> int:
    return len(json.dumps(text, ensure_ascii=False).encode())


def _dimensions(data: bytes) -> Content:
    """The width and height of a PNG, for which clients reserve space."""
    if not data.startswith(PNG_SIGNATURE) or len(data) < 24:
        return {}
    width, height = struct.unpack(">II", data[16:24])
    return {"w": width, "h": height}
