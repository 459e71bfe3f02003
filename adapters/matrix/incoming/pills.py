"""Finds pills, the links to users, in formatted and plain text. Pure."""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote

_USER = r"(?:https://matrix\.to/#/|matrix:u/)(?P<user>[^\s\"'<>()\[\]?/]{1,400}+)[^\s\"'<>()\[\]]*+"
LINK = re.compile(rf"<a\s[^<>]*?href\s*=\s*[\"']{_USER}[\"'][^<>]*+>(?P<label>.{{0,300}}?)</a>", re.I | re.S)
"""A link to a user in formatted text; possessive, so that hostile text takes no longer than any."""

MARKDOWN_LINK = re.compile(
    rf"(?<!!)\[(?P<label>[^\[\]\n]{{0,300}}+)\]\(<?{_USER}>?\)|<?\b{_USER.replace('user', 'bare')}>?"
)
"""The same in plain text: as Markdown, which some clients leave there, and bare."""

TAG = re.compile(r"<[^<>]{0,1000}>")


@dataclass(frozen=True, slots=True)
class Pill:
    """A link to a user, and its visible text."""

    user_id: str
    label: str


def find_pills(formatted_body: str) -> tuple[Pill, ...]:
    """The users that a formatted text links to, in order."""
    return tuple(
        Pill(user_from_link(found["user"]), visible_text(found["label"])) for found in LINK.finditer(formatted_body)
    )


def linked_users(text: str) -> Iterator[str]:
    """The users that a plain text links to."""
    return (user_from_link(found["user"] or found["bare"]) for found in MARKDOWN_LINK.finditer(text))


def user_from_link(address: str) -> str:
    """The user that the last part of a link names; the id of anything else stays as it is."""
    user = unquote(address)
    return user if user[:1] in ("@", "!", "#", "$", "+") else f"@{user}"


def visible_text(label: str) -> str:
    """The visible text of a piece of HTML, in one line."""
    return " ".join(html.unescape(TAG.sub("", label)).split())
