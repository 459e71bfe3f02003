"""Turns messages of Discord into plain text: mentions become names, and the bot's own is removed."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

MENTION = re.compile(r"<(@!?|@&|#)(\d{1,20})>")
BACKTICKS = re.compile(r"`+")
EMOJI = re.compile(r"<a?:(\w{1,32}):\d{1,20}>")
COMMAND = re.compile(r"</([^:<>\n]{1,100}):\d{1,20}>")
TIME = re.compile(r"<t:(-?\d{1,11})(?::[a-zA-Z])?>")


@dataclass(frozen=True, slots=True)
class MentionNames:
    """Names for mentions, by id. `own_ids` are the ids (user, role) that mean Hearth, `own_names` its names."""

    own_ids: frozenset[int] = field(default_factory=frozenset)
    own_names: tuple[str, ...] = ()
    people: Mapping[int, str] = field(default_factory=dict)
    roles: Mapping[int, str] = field(default_factory=dict)
    channels: Mapping[int, str] = field(default_factory=dict)


def mentioned_ids(text: str) -> frozenset[int]:
    """The ids of the people and roles that a text mentions outside of code. Discord shows a mention in code as it was
    typed, and notifies no one.
    """
    return frozenset(int(number) for kind, number in MENTION.findall(_without_code(text)) if kind != "#")


def _without_code(text: str) -> str:
    """The text without what stands between two runs of equally many backticks."""
    ends: dict[str, list[tuple[int, int]]] = {}
    for run in reversed(list(BACKTICKS.finditer(text))):
        ends.setdefault(run[0], []).append(run.span())
    kept, position = [], 0
    for run in BACKTICKS.finditer(text):
        closing = ends[run[0]]
        closing.pop()  # the run itself
        if run.start() >= position and closing:
            kept.append(text[position : run.start()])
            position = closing[-1][1]
    return "".join([*kept, text[position:]])


def to_plain_text(text: str, names: MentionNames) -> str:
    """The text with names for mentions, without the words that only address Hearth."""
    text = _without_own_mention(text, names)
    text = MENTION.sub(lambda found: _mention_name(found[1], int(found[2]), names), text)
    text = EMOJI.sub(r":\1:", text)
    text = COMMAND.sub(r"/\1", text)
    text = TIME.sub(_format_time, text)
    return _without_own_name(text.strip(), names).strip()


def _without_own_mention(text: str, names: MentionNames) -> str:
    """Remove mentions at either end, which address Hearth; one in the middle of a sentence is a word of it."""
    mentions = "|".join(rf"<@[!&]?{number}>" for number in sorted(names.own_ids))
    if not mentions:
        return text
    text = re.sub(rf"^(?:\s*(?:{mentions})\s*[,:;!]?)+", "", text)
    return re.sub(rf"(?:[,\s]*(?:{mentions}))+\s*(?=[.!?]?\s*$)", "", text)


def _without_own_name(text: str, names: MentionNames) -> str:
    for name in names.own_names:
        # With a comma or colon, so that "Hearth stones" stay.
        found = re.match(rf"@?{re.escape(name)}\s*[,:;!]\s*", text, re.IGNORECASE)
        if found:
            return text[found.end() :]
    return text


def _mention_name(kind: str, number: int, names: MentionNames) -> str:
    if number in names.own_ids:
        return names.own_names[0] if names.own_names else ""
    if kind == "#":
        return f"#{names.channels.get(number, 'channel')}"
    if kind == "@&":
        return f"@{names.roles.get(number, 'role')}"
    return f"@{names.people.get(number, 'somebody')}"


def _format_time(found: re.Match[str]) -> str:
    try:
        return datetime.fromtimestamp(int(found[1]), UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (OverflowError, ValueError, OSError):
        return found[0]
