"""Matches paths against glob patterns, the way people write them."""

import re
from collections.abc import Iterable, Sequence

_TOKEN = re.compile(r"\*\*/|\*\*|\*|\?|\[!?[^\]/]+\]|.", re.DOTALL)
_MEANING = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def compiled(patterns: Iterable[str]) -> list[re.Pattern[str]]:
    """Patterns ready for `matches`.

    `*` and `?` stay within a folder, `**` crosses folders, `[abc]` is one of these. A pattern without a slash matches a
    name in any folder; one that ends in a slash, everything in that folder. Upper and lower case are the same.
    """
    return [re.compile(_translated(pattern), re.IGNORECASE) for pattern in patterns]


def matches(patterns: Sequence[re.Pattern[str]], document: str) -> bool:
    """Whether one of the patterns matches the whole path."""
    return any(pattern.fullmatch(document) for pattern in patterns)


def spells_more_than_stars(pattern: str) -> bool:
    """Whether the last part of a pattern names a kind of file, as `*.log` does and `*` does not."""
    return bool(pattern.rsplit("/", 1)[-1].strip("*"))


def _translated(pattern: str) -> str:
    pattern = pattern.removeprefix("./")
    if "/" not in pattern.rstrip("/"):
        pattern = "**/" + pattern
    if pattern.endswith("/"):
        pattern += "**"
    return "".join(_meaning(token) for token in _TOKEN.findall(pattern.removeprefix("/")))


def _meaning(token: str) -> str:
    if token in _MEANING:
        return _MEANING[token]
    if len(token) > 2 and token.startswith("["):
        inner = token[1:-1].replace("\\", "\\\\").replace("[", "\\[").replace("^", "\\^")
        return f"[^{inner[1:]}]" if inner.startswith("!") else f"[{inner}]"
    return re.escape(token)
