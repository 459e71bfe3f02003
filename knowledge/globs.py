"""Glob patterns for paths, with `**`, braces and implicit folders."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

_TOKEN = re.compile(r"\*\*/|\*\*|\*|\?|\[!?[^\]/]+\]|.", re.DOTALL)
_TOKEN_REGEX = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
_BRACES = re.compile(r"(?:\[!?[^\]/]+\]|\[(?!!?[^\]/]+\])|[^\[])*?(?P<braces>\{[^{}]*,[^{}]*\})", re.DOTALL)
"""The innermost braces with a comma, outside `[...]`."""
_MOST_ALTERNATIVES = 1000


@dataclass(eq=False)
class GlobInvalid(ValueError):
    """A pattern that cannot be matched with; `reason` completes a sentence."""

    user_facing = True
    pattern: str
    reason: str

    def __str__(self) -> str:
        return f"The pattern {self.pattern!r} {self.reason}."


def compile_globs(patterns: Iterable[str]) -> list[re.Pattern[str]]:
    """Patterns ready for `matches_any`. Raises GlobInvalid.

    `*` and `?` stay within a folder, `**` crosses folders, `[abc]` is one of these, `{a,b}` is either. A pattern
    without a slash matches a name in any folder; one that ends in a slash, everything in that folder. Case is ignored,
    and so is whether an accent is written as a character of its own, as on a Mac.
    """
    return [
        re.compile(glob_regex(alternative, pattern), re.IGNORECASE)
        for pattern in patterns
        for alternative in expand_braces(pattern)
    ]


def matches_any(patterns: Sequence[re.Pattern[str]], document: str) -> bool:
    """Whether one of the patterns matches the whole path."""
    document = unicodedata.normalize("NFC", document)
    return any(pattern.fullmatch(document) for pattern in patterns)


def names_file_kind(pattern: str) -> bool:
    """Whether the last part of a pattern without braces names a file type, as `*.log` does and `*` does not."""
    return bool(pattern.rsplit("/", 1)[-1].strip("*"))


def glob_regex(pattern: str, named: str) -> str:
    """The regular expression of a pattern without braces, which has no capturing group; `named` is it as written.

    Raises GlobInvalid.
    """
    pattern = unicodedata.normalize("NFC", pattern).removeprefix("./")
    if "/" not in pattern.rstrip("/"):
        pattern = "**/" + pattern
    if pattern.endswith("/"):
        pattern += "**"
    return "".join(_token_regex(token, named) for token in _TOKEN.findall(pattern.removeprefix("/")))


def expand_braces(pattern: str) -> list[str]:
    """The patterns without braces that a pattern stands for. Raises GlobInvalid for more than a thousand."""
    waiting, expanded = [pattern], list[str]()
    while waiting:
        if len(waiting) + len(expanded) > _MOST_ALTERNATIVES:
            raise GlobInvalid(pattern, f"stands for more than {_MOST_ALTERNATIVES:,} patterns")
        current = waiting.pop(0)
        found = _BRACES.match(current)
        if found is None:
            expanded.append(current)
            continue
        before, after = current[: found.start("braces")], current[found.end("braces") :]
        waiting += (before + each + after for each in found["braces"][1:-1].split(","))
    return expanded


def _token_regex(token: str, named: str) -> str:
    if token in _TOKEN_REGEX:
        return _TOKEN_REGEX[token]
    if len(token) > 2 and token.startswith("["):
        inner = token[1:-1]
        negated = inner.startswith("!")
        return f"[{'^' if negated else ''}{''.join(_class_items(inner.removeprefix('!'), named))}]"
    return re.escape(token)


def _class_items(inner: str, named: str) -> Iterator[str]:
    """The characters and ranges of a `[...]`, escaped for a regular expression."""
    position = 0
    while position < len(inner):
        first, dash, last = inner[position], inner[position + 1 : position + 2], inner[position + 2 : position + 3]
        if dash != "-" or not last:
            yield re.escape(first)
            position += 1
            continue
        if first > last:
            raise GlobInvalid(named, f"has a range that runs backwards, {first}-{last}")
        yield f"{re.escape(first)}-{re.escape(last)}"
        position += 3
