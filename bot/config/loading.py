"""Loads the configuration from one YAML file as a frozen value, and reports all of its faults at once."""

import difflib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from bot.config.errors import validation_faults
from bot.config.folders import HomeUnknown, expand_home
from bot.config.reader_names import name_faults
from bot.config.replaced_keys import REPLACED_KEYS
from bot.config.schema import Config, config_model, replaced_platform_keys
from bot.config.yaml_source import ConfigFault, KeyPath, YamlSource, format_key_path, read_yaml
from bot.platforms import INCOMPLETE, load_platforms

Model = TypeVar("Model", bound=BaseModel)
LOCAL_FILE = Path("config.yaml")
USUAL_FILE = Path("~/.config/hearth/config.yaml")
ENVIRONMENT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(eq=False)
class InvalidConfig(Exception):
    """A config that cannot be used, with all of its faults; each is a line of `file:line: path: sentence`."""

    user_facing = True
    file: Path
    faults: tuple[ConfigFault, ...]

    def fault_lines(self) -> list[str]:
        """The faults for people."""
        return [_fault_line(self.file, fault) for fault in self.faults]

    def __str__(self) -> str:
        return "\n".join(self.fault_lines())


def find_config(named: Path | None, environment: Mapping[str, str]) -> Path | None:
    """The config file to use: the named one, $HEARTH_CONFIG, ./config.yaml, ~/.config/hearth/config.yaml, or none.

    A ./config.yaml of another program is passed over.
    """
    if named is not None:
        return named
    if environment.get("HEARTH_CONFIG"):
        return Path(environment["HEARTH_CONFIG"])
    if LOCAL_FILE.exists() and not is_foreign(LOCAL_FILE):
        return LOCAL_FILE
    try:
        usual = expand_home(USUAL_FILE)
    except HomeUnknown:
        return None
    return usual if usual.exists() else None


def passed_over_config(named: Path | None, environment: Mapping[str, str]) -> str | None:
    """The sentence about a ./config.yaml that `find_config` passes over; None when there is none."""
    if named is not None or environment.get("HEARTH_CONFIG") or not LOCAL_FILE.exists() or not is_foreign(LOCAL_FILE):
        return None
    return (
        f"./{LOCAL_FILE} is not used: none of its keys is one of Hearth's, so it seems to belong to another program."
        f" If it is Hearth's, name it: --config {LOCAL_FILE}."
    )


def is_foreign(file: Path) -> bool:
    """Whether a YAML file has keys of which none is a section of Hearth's config, or nearly one."""
    data = read_yaml(file).data
    if not isinstance(data, dict) or not data:
        return False
    known = list(config_model().model_fields)
    return not any(difflib.get_close_matches(str(key), known, n=1, cutoff=0.6) for key in data)


def load_config(file: Path | None) -> Config:
    """The config in a file; None gives the defaults. Raises InvalidConfig with every fault found."""
    if not load_platforms().is_complete:
        raise InvalidConfig(file or Path("hearth"), (ConfigFault("", 0, INCOMPLETE),))
    if file is None:
        return _rooted(config_model()(), Path("hearth"), Path.cwd())
    file = _expanded(file)
    source = read_yaml(file)
    config, faults = validate_config(source, config_model())
    if faults or config is None:
        raise InvalidConfig(file, tuple(faults))
    return _rooted(config, file, file.absolute().parent)


def validate_config(source: YamlSource, model: type[Config]) -> tuple[Config | None, list[ConfigFault]]:
    """The config in a YAML source, or None, and all faults by line."""
    faults = list(source.faults)
    if source.data is None:
        return (None if faults else model()), faults
    if not isinstance(source.data, dict):
        return None, [*faults, ConfigFault("", 1, "The file must be a list of `key: value` lines.")]
    faults += [*_misplaced_secrets(source.data, (), source), *name_faults(source, load_platforms())]
    try:
        config = model.model_validate(source.data)
    except ValidationError as error:
        replaced_keys = {**REPLACED_KEYS, **replaced_platform_keys(load_platforms())}
        config, faults = None, faults + validation_faults(error, model, source, replaced_keys)
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


def _expanded(file: Path) -> Path:
    try:
        return expand_home(file)
    except HomeUnknown as error:
        raise InvalidConfig(file, (ConfigFault("", 0, str(error)),)) from error


def _rooted(config: Config, file: Path, folder: Path) -> Config:
    """The config with absolute paths. Raises InvalidConfig when a path needs a home folder, and there is none."""
    try:
        rooted = _absolute(config, folder)
        _ = rooted.model_cache_folder
    except HomeUnknown as error:
        raise InvalidConfig(file, (ConfigFault("", 0, str(error)),)) from error
    return rooted


def _absolute(model: Model, folder: Path) -> Model:
    """The same settings with every path in them absolute: `~` expanded, relative ones below `folder`."""
    return model.model_copy(update={name: _absolute_in(value, folder) for name, value in model})


def _absolute_in(value: Any, folder: Path) -> Any:
    if isinstance(value, BaseModel):
        return _absolute(value, folder)
    if isinstance(value, Path):
        return Path(os.path.normpath(folder / expand_home(value)))
    if isinstance(value, dict):
        return {key: _absolute_in(inner, folder) for key, inner in value.items()}
    if isinstance(value, tuple):
        return tuple(_absolute_in(inner, folder) for inner in value)
    return value


def _fault_line(file: Path, fault: ConfigFault) -> str:
    where = f"{file}:{fault.line}" if fault.line else str(file)
    return f"{where}: {fault.path}: {fault.sentence}" if fault.path else f"{where}: {fault.sentence}"
