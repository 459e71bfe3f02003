"""Access lists: allow and block rules for users, servers, channels and rooms."""

import re
from collections.abc import Iterable
from enum import Enum, auto
from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

Rule = TypeVar("Rule", bound=int | str)


class AccessVerdict(Enum):
    """Verdict of one list. UNRESTRICTED: it has no allow rules."""

    BLOCKED = auto()
    ALLOWED = auto()
    NOT_ALLOWED = auto()
    UNRESTRICTED = auto()


class AccessList(BaseModel, Generic[Rule]):
    """Allow and block rules. The block list wins; an empty allow list lets everyone in.

    A number matches only itself; in a text, `*` and `?` stand for other characters.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    allow: tuple[Rule, ...] = Field((), description="Entries that are let in; empty: all.")
    block: tuple[Rule, ...] = Field((), description="Entries that are never let in.")

    def verdict(self, *names: Rule) -> AccessVerdict:
        """What the rules say of something that has these names; one matching name is enough."""
        if any(matches_any(name, self.block) for name in names):
            return AccessVerdict.BLOCKED
        if not self.allow:
            return AccessVerdict.UNRESTRICTED
        allowed = any(matches_any(name, self.allow) for name in names)
        return AccessVerdict.ALLOWED if allowed else AccessVerdict.NOT_ALLOWED

    def allows(self, *names: Rule) -> bool:
        """Whether something that has these names is let in."""
        return is_allowed(self.verdict(*names))


def is_allowed(*verdicts: AccessVerdict) -> bool:
    """Whether several lists together let someone in: none blocks, and of those with allow rules one allows."""
    if AccessVerdict.BLOCKED in verdicts:
        return False
    return AccessVerdict.ALLOWED in verdicts or AccessVerdict.NOT_ALLOWED not in verdicts


def matches_any(name: int | str, rules: Iterable[int | str]) -> bool:
    """Whether one of the rules matches the whole name."""
    return any(_matches(name, rule) for rule in rules)


def can_begin_with(pattern: str, mark: str) -> bool:
    """Whether a pattern can match a text that begins with a mark, one character."""
    return pattern.startswith((mark, "*", "?"))


def _matches(name: int | str, rule: int | str) -> bool:
    if isinstance(rule, int) or isinstance(name, int):
        return rule == name
    return re.fullmatch(_expression(rule), name, re.DOTALL | re.IGNORECASE) is not None


def _expression(pattern: str) -> str:
    # Not fnmatch: there, brackets have a meaning, and server names may be IPv6 addresses in brackets.
    return re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
