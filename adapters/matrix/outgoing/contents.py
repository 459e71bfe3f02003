"""Builds the contents of the events that an answer consists of. Pure."""

import html as markup
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adapters.matrix.event_content import EDIT, HTML, NOTICE, THREAD
from adapters.matrix.limits import TEXT_COPIES, TEXT_COPIES_BYTES
from adapters.matrix.outgoing.html import footer_html, render_html
from adapters.matrix.outgoing.reply_transport import ReplyPart
from bot.core.messages import Attachment, Message

Content = dict[str, Any]

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True, slots=True)
class RoomTarget:
    """Where an answer goes: the room, the question that it replies to, the thread's root if there is one, and who
    asked. `asked_by_event` is the event that asked: the question, or a reaction to an earlier answer to it.
    """

    room_id: str
    question: str
    asked_by_event: str
    thread: str = ""
    asker: str = ""

    @classmethod
    def from_message(cls, message: Message) -> "RoomTarget":
        """The place of a message's answer."""
        data = message.platform_data
        return cls(data["room"], data["question"], message.event_id, data.get("thread", ""), data.get("author", ""))


def message_content(part: ReplyPart, target: RoomTarget) -> Content:
    """A message of the answer."""
    return {**_text_content(part), "m.mentions": _mentions(part, target), "m.relates_to": _relation(target)}


def edit_content(event_id: str, part: ReplyPart, target: RoomTarget) -> Content:
    """What changes a message of the answer. Nobody is mentioned anew by it."""
    said = _text_content(part)
    return {
        "msgtype": said["msgtype"],
        "body": f"* {said['body']}",
        "m.mentions": {},
        "m.new_content": {**said, "m.mentions": _mentions(part, target)},
        "m.relates_to": {"rel_type": EDIT, "event_id": event_id},
    }


def image_content(shown: Attachment, where: Mapping[str, Any], target: RoomTarget) -> Content:
    """A picture; `where` it is: `url`, or `file` where that is encrypted."""
    return {
        "msgtype": "m.image",
        "body": shown.name,
        "info": {"mimetype": shown.media_type, "size": len(shown.data), **_dimensions(shown.data)},
        **where,
        "m.mentions": {},
        "m.relates_to": _relation(target),
    }


def _text_content(part: ReplyPart) -> Content:
    """The message without HTML where that would be too large: Markdown can repeat a long address for each word."""
    text, below = _without_surrogates(part.text), _without_surrogates(part.below)
    body = "\n\n".join(said for said in (text, below) if said)
    shown = (render_html(text) if text else "") + (footer_html(below, small=part.small) if below else "")
    said = {"msgtype": NOTICE if part.notice else "m.text", "body": body}
    if (TEXT_COPIES - 1) * _bytes(body) + _bytes(shown) > TEXT_COPIES_BYTES:
        return said
    return {**said, "format": HTML, "formatted_body": shown or markup.escape(body, quote=False)}


def _mentions(part: ReplyPart, target: RoomTarget) -> Content:
    """Who is meant: whoever is replied to, by the specification ("Rich replies"), and once for each answer."""
    return {"user_ids": [target.asker]} if part.first and target.asker else {}


def _relation(target: RoomTarget) -> Content:
    replied = {"m.in_reply_to": {"event_id": target.question}}
    if not target.thread:
        return replied
    return {"rel_type": THREAD, "event_id": target.thread, "is_falling_back": True, **replied}


def _without_surrogates(text: str) -> str:
    """Without half characters, which no other program takes."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _bytes(text: str) -> int:
    return len(json.dumps(text, ensure_ascii=False).encode())


def _dimensions(data: bytes) -> Content:
    """The width and height of a PNG, which clients keep room for."""
    if not data.startswith(PNG_SIGNATURE) or len(data) < 24:
        return {}
    width, height = struct.unpack(">II", data[16:24])
    return {"w": width, "h": height}
