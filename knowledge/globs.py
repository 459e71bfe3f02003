"""Glob patterns for paths, with `**` and implicit folders."""

import re
from collections.abc import Iterable, Sequence

_TOKEN = re.compile(r"\*\*/|\*\*|\*|\?|\[!?[^\]/]+\]|.", re.DOTALL)
_TOKEN_REGEX = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def compile_globs(patterns: Iterable[str]) -> list[re.Pattern[str]]:
    """Patterns ready for `matches_any`.

    `*` and `?` stay within a folder, `**` crosses folders, `[abc]` is one of these. A pattern without a slash matches a
    name in any folder; one that ends in a slash, everything in that folder. Case is ignored.
    """
    return [re.compile(_translated(pattern), re.IGNORECASE) for pattern in patterns]


def matches_any(patterns: Sequence[re.Pattern[str]], document: str) -> bool:
    """Whether one of the patterns matches the whole path."""
    return any(pattern.fullmatch(document) for pattern in patterns)


def names_file_kind(pattern: str) -> bool:
    """Whether the last part of a pattern names a file type, as `*.log` does and `*` does not."""
    return bool(pattern.rsplit("/", 1)[-1].strip("*"))


def _translated(pattern: str) -> str:
    pattern = pattern.removeprefix("./")
    if "/" not in pattern.rstrip("/"):
        pattern = "**/" + pattern
    if pattern.endswith("/"):
        pattern += "**"
    return "".join(_token_regex(token) for token in _TOKEN.findall(pattern.removeprefix("/")))


def _token_regex(token: str) -> str:
    if token in _TOKEN_REGEX:
        return _TOKEN_REGEX[token]
    if len(token) > 2 and token.startswith("["):
        inner = token[1:-1].replace("\\", "\\\\").replace("[", "\\[").replace("^", "\\^")
        return f"[^{inner[1:]}]" if inner.startswith("!") else f"[{inner}]"
    return re.escape(token)
