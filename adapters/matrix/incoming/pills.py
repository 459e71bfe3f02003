"""Finds the people whom a text names: links to users, their full ids, and our own name as a whole word. Pure."""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import unquote

from adapters.matrix.event_content import HTML, get_text, mentioned_users
from adapters.matrix.events import Json

_USER = r"(?:https://matrix\.to/#/|matrix:u/)(?P<user>[^\s\"'<>()\[\]?/]{1,400}+)[^\s\"'<>()\[\]]*+"
LINK = re.compile(rf"<a\s[^<>]*?href\s*=\s*[\"']{_USER}[\"'][^<>]*+>(?P<label>.{{0,300}}?)</a>", re.I | re.S)
"""A link to a user in formatted text; possessive, so that text made to be slow is read as fast as any."""

MARKDOWN_LINK = re.compile(
    rf"(?<!!)\[(?P<label>[^\[\]\n]{{0,300}}+)\]\(<?{_USER}>?\)|<?\b{_USER.replace('user', 'bare')}>?"
)
"""The same in plain text: as Markdown, which some clients leave there, and bare."""

TAG = re.compile(r"<[^<>]{0,1000}>")


@dataclass(frozen=True)
class BotIdentity:
    """How we are called: our full id, and the name that people see, which is empty where we have none."""

    user_id: str
    name: str = ""

    @property
    def localpart(self) -> str:
        """The id without its server."""
        return self.user_id.removeprefix("@").partition(":")[0]

    @property
    def display_name(self) -> str:
        """What people read as our name."""
        return self.name or self.localpart

    @cached_property
    def id_pattern(self) -> re.Pattern[str]:
        """Our full id, or its beginning with the sign, as a whole word."""
        server = re.escape(self.user_id.partition(":")[2])
        return re.compile(
            rf"(?<![\w@/]){re.escape('@' + self.localpart)}(?::{server}(?!:\d|[.-]\w)|(?!:\w|[.-]\w))(?!\w)", re.I
        )

    @cached_property
    def name_pattern(self) -> re.Pattern[str] | None:
        """Our name as a whole word; a single character is none."""
        name = re.escape(self.display_name)
        return re.compile(rf"(?<![\w@-]){name}(?!\w|-\w)|(?<!\w)@{name}(?!\w|[:.-]\w)", re.I) if name[1:] else None


@dataclass(frozen=True, slots=True)
class Pill:
    """A link to a user, and what it shows."""

    user_id: str
    label: str


def formatted_body(content: object) -> str:
    """A message's text as HTML; empty when it has none."""
    return get_text(content, "formatted_body") if get_text(content, "format") == HTML else ""


def find_pills(content: object) -> tuple[Pill, ...]:
    """The users that a message's formatted text links to, in order."""
    return tuple(
        Pill(user_from_link(found["user"]), visible_text(found["label"]))
        for found in LINK.finditer(formatted_body(content))
    )


def linked_users(written: str) -> Iterator[str]:
    """The users that a plain text links to."""
    return (user_from_link(found["user"] or found["bare"]) for found in MARKDOWN_LINK.finditer(written))


def user_from_link(address: str) -> str:
    """The user whom the last part of a link stands for; what is no user stays what it is."""
    user = unquote(address)
    return user if user[:1] in ("@", "!", "#", "$", "+") else f"@{user}"


def visible_text(label: str) -> str:
    """What people see of a piece of HTML, in one line."""
    return " ".join(html.unescape(TAG.sub("", label)).split())


def mentions_bot(content: Json, written: str, us: BotIdentity) -> bool:
    """Whether a message means us. If it says whom it mentions, that decides; if not, a link to us, our id or our
    name in its text does. `@room` is nobody in particular.
    """
    said = mentioned_users(content)
    if said is not None:
        return us.user_id in said
    if us.user_id in {pill.user_id for pill in find_pills(content)} or us.user_id in linked_users(written):
        return True
    return bool(us.id_pattern.search(written) or (us.name_pattern and us.name_pattern.search(written)))
