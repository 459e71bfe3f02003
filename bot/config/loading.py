"""The configuration as one frozen value, loaded from one YAML file with all of its faults told at once."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from adapters.console.settings import ConsoleSettings
from adapters.discord.settings import DiscordSettings
from adapters.matrix.settings import MatrixSettings
from bot.config.errors import validation_faults
from bot.config.http_settings import HttpSettings
from bot.config.model_settings import ModelSettings
from bot.config.yaml_source import ConfigFault, KeyPath, YamlSource, format_key_path, read_yaml
from bot.core.settings import CoreSettings
from knowledge.settings import KnowledgeSettings
from models.defaults import DEFAULT_CHAT, DEFAULT_EMBEDDING
from models.weights_sources import WeightsSource

Model = TypeVar("Model", bound=BaseModel)
ENVIRONMENT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class WeightsSettings(BaseModel):
    """Where the models' files come from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    chat: WeightsSource = Field(default=DEFAULT_CHAT, description="The language model: one GGUF file.")
    embedding: tuple[WeightsSource, ...] | None = Field(
        default=None,
        description="The embedding model's files; none: built-in sources for the default model, otherwise fastembed's.",
    )


class Config(BaseModel):
    """Everything an admin can set. Paths are absolute once loaded."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data_folder: Path = Field(
        default=Path("~/.local/share/hearth"),
        description="Folder for all of Hearth's data; one process at a time uses it.",
    )
    cache_folder: Path | None = Field(
        default=None, description="Folder for downloaded models; none: $HEARTH_CACHE, else ~/.cache/hearth."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Log level; message texts and secrets are never logged."
    )
    weights: WeightsSettings = Field(default_factory=WeightsSettings, description="Sources of the model files.")
    model: ModelSettings = Field(default_factory=ModelSettings, description="The language model.")
    knowledge: KnowledgeSettings = Field(
        default_factory=KnowledgeSettings, description="Document collections, and the search in them."
    )
    core: CoreSettings = Field(
        default_factory=CoreSettings, description="Conversations: language, instructions, limits."
    )
    console: ConsoleSettings = Field(
        default_factory=ConsoleSettings, description="How conversations on the console are shown."
    )
    discord: DiscordSettings = Field(
        default_factory=DiscordSettings, description="Where and whom Hearth answers on Discord."
    )
    matrix: MatrixSettings = Field(
        default_factory=MatrixSettings, description="Where and whom Hearth answers on Matrix."
    )
    http: HttpSettings = Field(default_factory=HttpSettings, description="Health, readiness and metrics over HTTP.")

    @property
    def model_cache_folder(self) -> Path:
        """The folder for downloaded models."""
        named = self.cache_folder or Path(os.environ.get("HEARTH_CACHE") or "~/.cache/hearth")
        return named.expanduser().absolute()

    @property
    def embedding_weights(self) -> tuple[WeightsSource, ...]:
        """The embedder's files; empty when fastembed is to get the model by its name, or none is needed."""
        embedding = self.knowledge.embedding
        if embedding.kind == "hashing":
            return ()
        if self.weights.embedding is not None:
            return self.weights.embedding
        is_default = embedding.model == type(embedding).model_fields["model"].default
        return DEFAULT_EMBEDDING if is_default else ()


@dataclass(eq=False)
class InvalidConfig(Exception):
    """A config that cannot be used: every fault, each a line of `file:line: path: sentence`."""

    user_facing = True
    file: Path
    faults: tuple[ConfigFault, ...]

    def fault_lines(self) -> list[str]:
        """The faults for people."""
        return [_fault_line(self.file, fault) for fault in self.faults]

    def __str__(self) -> str:
        return "\n".join(self.fault_lines())


def find_config(named: Path | None, environment: Mapping[str, str]) -> Path | None:
    """The config file to use: the named one, $HEARTH_CONFIG, ./config.yaml, ~/.config/hearth/config.yaml, or none."""
    if named is not None:
        return named
    if environment.get("HEARTH_CONFIG"):
        return Path(environment["HEARTH_CONFIG"])
    usual = (Path("config.yaml"), Path("~/.config/hearth/config.yaml").expanduser())
    return next((path for path in usual if path.exists()), None)


def load_config(file: Path | None) -> Config:
    """The config in a file; None gives the defaults. Raises ConfigFaulty with every fault found."""
    if file is None:
        return _absolute(Config(), Path.cwd())
    file = file.expanduser()
    source = read_yaml(file)
    config, faults = validate_config(source, Config)
    if faults or config is None:
        raise InvalidConfig(file, tuple(faults))
    return _absolute(config, file.absolute().parent)


def validate_config(source: YamlSource, model: type[Config]) -> tuple[Config | None, list[ConfigFault]]:
    """The config in a YAML source, or None, and all faults by line."""
    faults = list(source.faults)
    if source.data is None:
        return (None if faults else model()), faults
    if not isinstance(source.data, dict):
        return None, [*faults, ConfigFault("", 1, "The file must be a list of `key: value` lines.")]
    faults += _misplaced_secrets(source.data, (), source)
    try:
        config = model.model_validate(source.data)
    except ValidationError as error:
        config, faults = None, faults + validation_faults(error, model, source)
    return config, sorted(faults, key=lambda fault: fault.line)


def _misplaced_secrets(data: Any, path: KeyPath, source: YamlSource) -> list[ConfigFault]:
    """Keys that should name an environment variable and hold something else, perhaps the secret: never shown."""
    if isinstance(data, list):
        return [fault for i, item in enumerate(data) for fault in _misplaced_secrets(item, (*path, i), source)]
    if not isinstance(data, dict):
        return []
    faults = []
    for key, value in data.items():
        inner = (*path, str(key))
        is_name = value is None or (isinstance(value, str) and ENVIRONMENT_NAME.fullmatch(value))
        if str(key).endswith("_env") and not is_name:
            sentence = "must be the name of an environment variable that holds the secret, not the secret itself."
            faults.append(ConfigFault(format_key_path(inner), source.line_of(inner), sentence))
        faults += _misplaced_secrets(value, inner, source)
    return faults


def _absolute(model: Model, folder: Path) -> Model:
    """The same settings with every path in them absolute: `~` expanded, relative ones below `folder`."""
    return model.model_copy(update={name: _absolute_in(value, folder) for name, value in model})


def _absolute_in(value: Any, folder: Path) -> Any:
    if isinstance(value, BaseModel):
        return _absolute(value, folder)
    if isinstance(value, Path):
        return Path(os.path.normpath(folder / value.expanduser()))
    if isinstance(value, dict):
        return {key: _absolute_in(inner, folder) for key, inner in value.items()}
    if isinstance(value, tuple):
        return tuple(_absolute_in(inner, folder) for inner in value)
    return value


def _fault_line(file: Path, fault: ConfigFault) -> str:
    where = f"{file}:{fault.line}" if fault.line else str(file)
    return f"{where}: {fault.path}: {fault.sentence}" if fault.path else f"{where}: {fault.sentence}"
