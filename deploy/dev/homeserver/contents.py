"""Event contents that clients send, by the specification of the client-server API."""

from collections.abc import Sequence
from typing import Any

Content = dict[str, Any]

ENCRYPTION = {"type": "m.room.encryption", "state_key": "", "content": {"algorithm": "m.megolm.v1.aes-sha2"}}


def message(
    body: str,
    *,
    mentions: Sequence[str] = (),
    thread: str = "",
    reply_to: str = "",
    html: str = "",
    kind: str = "m.text",
) -> Content:
    """A message: in the thread with the root `thread`, as a reply to `reply_to`, or as a reply within a thread."""
    content: Content = {"msgtype": kind, "body": body, "m.mentions": {"user_ids": list(mentions)} if mentions else {}}
    if html:
        content |= {"format": "org.matrix.custom.html", "formatted_body": html}
    if relation := relates(thread, reply_to):
        content["m.relates_to"] = relation
    return content


def relates(thread: str = "", reply_to: str = "") -> Content:
    """A relation to a thread, a message or both; empty for neither."""
    relation: Content = {}
    if thread:
        relation = {"rel_type": "m.thread", "event_id": thread, "is_falling_back": not reply_to}
    if thread or reply_to:
        relation["m.in_reply_to"] = {"event_id": reply_to or thread}
    return relation


def edit(event_id: str, new: Content) -> Content:
    """The event that replaces a message's content."""
    fallback = {**new, "body": f"* {new['body']}"}
    return {**fallback, "m.new_content": new, "m.relates_to": {"rel_type": "m.replace", "event_id": event_id}}


def reaction(event_id: str, key: str) -> Content:
    """A reaction to a message."""
    return {"m.relates_to": {"rel_type": "m.annotation", "event_id": event_id, "key": key}}


def file(name: str, url: str, size_bytes: int, content_type: str, caption: str = "") -> Content:
    """An uploaded file, with a caption unless that is empty."""
    kind = {"image": "m.image", "audio": "m.audio", "video": "m.video"}.get(content_type.partition("/")[0], "m.file")
    info = {"mimetype": content_type, "size": size_bytes}
    return {"msgtype": kind, "body": caption or name, "filename": name, "url": url, "info": info, "m.mentions": {}}
