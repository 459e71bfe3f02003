"""Turns what people write on Discord into plain text: mentions become names, our own name goes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

MENTION = re.compile(r"<(@!?|@&|#)(\d{1,20})>")
EMOJI = re.compile(r"<a?:(\w{1,32}):\d{1,20}>")
COMMAND = re.compile(r"</([^:<>\n]{1,100}):\d{1,20}>")
TIME = re.compile(r"<t:(-?\d{1,11})(?::[a-zA-Z])?>")


@dataclass(frozen=True, slots=True)
class Names:
    """What mentions stand for, by id. `us` are the ids (user, role) that mean Hearth, `our_names` how it is called."""

    us: frozenset[int] = field(default_factory=frozenset)
    our_names: tuple[str, ...] = ()
    people: Mapping[int, str] = field(default_factory=dict)
    roles: Mapping[int, str] = field(default_factory=dict)
    channels: Mapping[int, str] = field(default_factory=dict)


def plain(text: str, names: Names) -> str:
    """The text with names for mentions, and without the words that only address Hearth."""
    text = _without_our_mention(text, names)
    text = MENTION.sub(lambda found: _name(found[1], int(found[2]), names), text)
    text = EMOJI.sub(r":\1:", text)
    text = COMMAND.sub(r"/\1", text)
    text = TIME.sub(_time, text)
    return _without_our_name(text.strip(), names).strip()


def _without_our_mention(text: str, names: Names) -> str:
    """Mentions at either end address us; one in the middle of a sentence is a word of it."""
    ours = "|".join(rf"<@[!&]?{number}>" for number in sorted(names.us))
    if not ours:
        return text
    text = re.sub(rf"^(?:\s*(?:{ours})\s*[,:;!]?)+", "", text)
    return re.sub(rf"(?:[,\s]*(?:{ours}))+\s*(?=[.!?]?\s*$)", "", text)


def _without_our_name(text: str, names: Names) -> str:
    for name in names.our_names:
        # With a comma or colon, so that "Hearth stones" stay.
        found = re.match(rf"@?{re.escape(name)}\s*[,:;!]\s*", text, re.IGNORECASE)
        if found:
            return text[found.end() :]
    return text


def _name(kind: str, number: int, names: Names) -> str:
    if number in names.us:
        return names.our_names[0] if names.our_names else ""
    if kind == "#":
        return f"#{names.channels.get(number, 'channel')}"
    if kind == "@&":
        return f"@{names.roles.get(number, 'role')}"
    return f"@{names.people.get(number, 'somebody')}"


def _time(found: re.Match[str]) -> str:
    try:
        return datetime.fromtimestamp(int(found[1]), UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (OverflowError, ValueError, OSError):
        return found[0]
