"""Registry of the chat platforms that are installed, read from the entry points of the group `hearth.platforms`."""

import functools
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from adapters.local_chat import LocalChatPlatform, LocalChatSettings
from adapters.platform import Platform

GROUP = "hearth.platforms"
NAME = re.compile(r"[a-z][a-z0-9_]*")
SECTIONS = frozenset(
    {"data_folder", "cache_folder", "log_level", "weights", "model", "knowledge", "core", "history", "http"}
)
COMMANDS = frozenset(
    {
        "init",
        "run",
        "chat",
        "ask",
        "index",
        "search",
        "eval",
        "documents",
        "status",
        "models",
        "config",
        "doctor",
        "demo",
    }
)
RESERVED_NAMES = SECTIONS | COMMANDS | {"api", "everyone"}
"""Names that a platform cannot have: Hearth's own sections, commands, and readers of collections."""
IMPORT_ERRORS = (
    ArithmeticError,
    AttributeError,
    ImportError,
    LookupError,
    NameError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
)
"""What the top level of a broken foreign module can raise while it is imported."""
INCOMPLETE = (
    "Hearth's own platforms are not registered: its package is not installed, or is older than this code."
    " `make environment` in the checkout installs it."
)
"""What an admin reads when no platform for local clients is registered."""


@dataclass(eq=False)
class PlatformUnusable(Exception):
    """A platform whose package cannot be imported; `reason` says why."""

    user_facing = True
    title: str
    reason: str

    def __str__(self) -> str:
        return f"The platform {self.title} cannot be used: {self.reason}. Repair or remove its package."


@dataclass(frozen=True, slots=True)
class BrokenPlatform:
    """A registered platform that cannot be imported, and the sentence that says why."""

    name: str
    sentence: str


@dataclass(frozen=True, slots=True)
class PlatformRegistry:
    """The platforms by name, in alphabetical order."""

    platforms: tuple[Platform[Any], ...]
    broken: tuple[BrokenPlatform, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether there is a platform for local clients."""
        return any(isinstance(platform, LocalChatPlatform) for platform in self.platforms)

    @property
    def local_chat(self) -> LocalChatPlatform[LocalChatSettings]:
        """The platform of local clients. Raises LookupError when none is registered."""
        for platform in self.platforms:
            if isinstance(platform, LocalChatPlatform):
                return platform
        raise LookupError(INCOMPLETE)

    @property
    def packages(self) -> frozenset[str]:
        """The top-level packages of the platforms."""
        return frozenset(each.settings.__module__.partition(".")[0] for each in self.platforms)

    @property
    def networked(self) -> tuple[Platform[Any], ...]:
        """The platforms that the config switches on and off: all but that of local clients."""
        return tuple(platform for platform in self.platforms if not isinstance(platform, LocalChatPlatform))


@functools.cache
def load_platforms() -> PlatformRegistry:
    """The platforms that are installed. Imports their descriptions, and no client library."""
    return read_platforms(entry_points(group=GROUP))


def read_platforms(points: Iterable[EntryPoint]) -> PlatformRegistry:
    """The platforms that entry points name; one that cannot be imported is in `broken`."""
    values: defaultdict[str, set[str]] = defaultdict(set)
    for point in points:
        values[point.name].add(point.value)
    platforms: list[Platform[Any]] = []
    broken: list[BrokenPlatform] = []
    for name, found in sorted(values.items()):
        try:
            platforms.append(_load_platform(name, found))
        except PlatformUnusable as error:
            broken.append(BrokenPlatform(name, str(error)))
    return PlatformRegistry(tuple(platforms), tuple(broken))


def import_reason(error: Exception) -> str:
    """Why an import failed, for a sentence."""
    text = " ".join(str(error).split()).rstrip(".")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _load_platform(name: str, values: set[str]) -> Platform[Any]:
    if len(values) > 1:
        raise PlatformUnusable(name, f"several packages register it ({', '.join(sorted(values))})")
    if not NAME.fullmatch(name) or name in RESERVED_NAMES:
        raise PlatformUnusable(name, "its name is reserved, or not made of small letters, digits and _")
    (value,) = values
    try:
        platform = EntryPoint(name, value, GROUP).load()
    except IMPORT_ERRORS as error:
        raise PlatformUnusable(name, f"{value} cannot be imported ({import_reason(error)})") from error
    if not isinstance(platform, Platform) or platform.name != name:
        raise PlatformUnusable(name, f"{value} is not the description of a platform of this name")
    if not isinstance(platform, LocalChatPlatform) and "enabled" not in platform.settings.model_fields:
        raise PlatformUnusable(name, f"{platform.settings.__name__} has no key `enabled`")
    return platform
