"""A chat platform as the rest of Hearth sees it: settings, adapter, doctor checks, commands, texts."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar

from pydantic import BaseModel

from adapters.json_lines.channel import LineChannel
from bot.core.ports import Adapter
from bot.core.texts import Language, Texts

if TYPE_CHECKING:
    import click

SettingsT = TypeVar("SettingsT", bound=BaseModel)
SettingsT_co = TypeVar("SettingsT_co", bound=BaseModel, covariant=True)
CheckStatus = Literal["ok", "warning", "problem"]


@dataclass(frozen=True, slots=True)
class BotProfile:
    """How Hearth presents itself: `prefix` begins commands; `language` is for text outside any conversation."""

    name: str = "Hearth"
    prefix: str = "!"
    language: Language = "en"


class PlatformAdapter(Adapter, Protocol):
    """An adapter that a platform has built."""

    async def close(self) -> None:
        """Leave the platform. Called after the core is closed, so that its last answers still get through."""
        ...


@dataclass(frozen=True, slots=True)
class BuildContext:
    """Arguments for building an adapter, besides its settings.

    `home` is the program's own standard input and output, where a client talks through them; None everywhere else.
    """

    data_folder: Path
    profile: BotProfile = BotProfile()
    home: LineChannel | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """A result of `hearth doctor`: its subject, its status, a sentence for people, and the figures it rests on."""

    name: str
    status: CheckStatus
    sentence: str
    figures: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CheckContext:
    """Arguments of a check, besides the settings. `offline`: make no request to the platform's servers.
    `is_running`: a Hearth process is using the data folder. `readers`: all names in the collections' `readers`.
    """

    data_folder: Path
    offline: bool = False
    is_running: bool = False
    readers: frozenset[str] = frozenset()


class CommandContext(Protocol[SettingsT_co]):
    """What a command of a platform gets from the program."""

    @property
    def settings(self) -> SettingsT_co:
        """The platform's section of the config."""
        ...

    @property
    def data_folder(self) -> Path:
        """The folder that holds all of Hearth's data."""
        ...

    def own_data_folder(self) -> AbstractContextManager[None]:
        """Own the data folder while the context lasts. Raises FolderInUse when another process does."""
        ...

    async def ask_text(self, question: str, option: str) -> str:
        """Ask for a line. Raises an error that names `option` when there is no terminal."""
        ...

    async def ask_secret(self, question: str, option: str) -> str:
        """Ask for a line that is not shown. Raises an error that names `option` when there is no terminal."""
        ...

    async def ask_yes_no(self, question: str) -> bool:
        """Ask for a yes or a no; without a terminal the answer is no."""
        ...

    def print_text(self, text: str) -> None:
        """Print a text on standard output, without control characters."""
        ...

    def print_errors(self, *sentences: str) -> None:
        """Print sentences on standard error, without control characters."""
        ...

    def print_json(self, value: Any) -> None:
        """Print one JSON value on a line of standard output."""
        ...


@dataclass(frozen=True, slots=True)
class CommandGroup:
    """The commands of `hearth NAME`. `summary` stands in `hearth --help`; `load` imports them when they are called.

    The callback of each command is a coroutine function: it takes a `CommandContext` and the command's options, and
    returns the exit code. The program adds the option `--config`.
    """

    summary: str
    load: Callable[[], "click.Group"]


@dataclass(frozen=True)
class Platform(Generic[SettingsT]):
    """A chat platform, registered under its `name` as an entry point of the group `hearth.platforms`.

    `name` is also its section of the config, the first part of its ids, and its command group; `title` is how people
    write it. `settings` has a key `enabled`, false by default. `replaced_keys` maps old keys of the section to the new.
    Importing the module that holds this value must not import the platform's client library.
    """

    name: str
    title: str
    summary: str
    """What the section of the config is about."""
    settings: type[SettingsT]
    build: Callable[[SettingsT, BuildContext], PlatformAdapter]
    check: Callable[[SettingsT, CheckContext], AsyncIterator[Check]] | None = None
    """The checks of `hearth doctor`; called only when the platform is enabled."""
    commands: CommandGroup | None = None
    texts: Texts | None = None
    replaced_keys: Mapping[str, str] = field(default_factory=dict)
