"""Finds the people whom a text names: links to users, their full ids, and our own name as a whole word. Pure."""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import unquote

from adapters.matrix.event_content import HTML, mentioned, text
from adapters.matrix.events import Json

_USER = r"(?:https://matrix\.to/#/|matrix:u/)(?P<user>[^\s\"'<>()\[\]?/]{1,400}+)[^\s\"'<>()\[\]]*+"
LINK = re.compile(rf"<a\s[^<>]*?href\s*=\s*[\"']{_USER}[\"'][^<>]*+>(?P<label>.{{0,300}}?)</a>", re.I | re.S)
"""A link to a user in formatted text; possessive, so that text made to be slow is read as fast as any."""

MARKDOWN = re.compile(rf"(?<!!)\[(?P<label>[^\[\]\n]{{0,300}}+)\]\(<?{_USER}>?\)|<?\b{_USER.replace('user', 'bare')}>?")
"""The same in plain text: as Markdown, which some clients leave there, and bare."""

TAG = re.compile(r"<[^<>]{0,1000}>")


@dataclass(frozen=True)
class Us:
    """How we are called: our full id, and the name that people see, which is empty where we have none."""

    user_id: str
    name: str = ""

    @property
    def localpart(self) -> str:
        """The id without its server."""
        return self.user_id.removeprefix("@").partition(":")[0]

    @property
    def called(self) -> str:
        """What people read as our name."""
        return self.name or self.localpart

    @cached_property
    def full(self) -> re.Pattern[str]:
        """Our full id, or its beginning with the sign, as a whole word."""
        server = re.escape(self.user_id.partition(":")[2])
        return re.compile(
            rf"(?<![\w@/]){re.escape('@' + self.localpart)}(?::{server}(?!:\d|[.-]\w)|(?!:\w|[.-]\w))(?!\w)", re.I
        )

    @cached_property
    def word(self) -> re.Pattern[str] | None:
        """Our name as a whole word; a single character is none."""
        name = re.escape(self.called)
        return re.compile(rf"(?<![\w@-]){name}(?!\w|-\w)|(?<!\w)@{name}(?!\w|[:.-]\w)", re.I) if name[1:] else None


@dataclass(frozen=True, slots=True)
class Pill:
    """A link to a user, and what it shows."""

    user_id: str
    label: str


def formatted(content: object) -> str:
    """A message's text as HTML; empty when it has none."""
    return text(content, "formatted_body") if text(content, "format") == HTML else ""


def pills(content: object) -> tuple[Pill, ...]:
    """The users that a message's formatted text links to, in order."""
    return tuple(Pill(user_of(found["user"]), shown(found["label"])) for found in LINK.finditer(formatted(content)))


def linked(written: str) -> Iterator[str]:
    """The users that a plain text links to."""
    return (user_of(found["user"] or found["bare"]) for found in MARKDOWN.finditer(written))


def user_of(address: str) -> str:
    """The user whom the last part of a link stands for; what is no user stays what it is."""
    user = unquote(address)
    return user if user[:1] in ("@", "!", "#", "$", "+") else f"@{user}"


def shown(label: str) -> str:
    """What people see of a piece of HTML, in one line."""
    return " ".join(html.unescape(TAG.sub("", label)).split())


def means(content: Json, written: str, us: Us) -> bool:
    """Whether a message means us. If it says whom it mentions, that decides; if not, a link to us, our id or our
    name in its text does. `@room` is nobody in particular.
    """
    said = mentioned(content)
    if said is not None:
        return us.user_id in said
    if us.user_id in {pill.user_id for pill in pills(content)} or us.user_id in linked(written):
        return True
    return bool(us.full.search(written) or (us.word and us.word.search(written)))
