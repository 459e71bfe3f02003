"""`hearth config`: checks or shows the config."""

import sys
from pathlib import Path
from typing import Any

import click
import yaml

from bot.cli.runner import EXIT_USAGE, choose_config, config_option, named_config
from bot.cli.suggestions import SuggestingGroup
from bot.cli.terminal.output import make_console, print_errors, print_json, printable
from bot.config.loading import InvalidConfig, load_config
from bot.config.schema import Config
from bot.config.yaml_source import ConfigFault


@click.group(cls=SuggestingGroup)
def config() -> None:
    """The config."""


@config.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--config", "named", type=click.Path(path_type=Path), help="The same as FILE.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object with all faults.")
def check(file: Path | None, named: Path | None, as_json: bool) -> None:
    """Check FILE, or the config that would be used. Exits with 2 after telling every fault."""
    used = choose_config(named_config(file or named))
    try:
        load_config(used)
        faulty = None
    except InvalidConfig as error:
        faulty = error
    if as_json:
        faults = [{"line": each.line, "path": each.path, "sentence": each.sentence} for each in _faults(faulty)]
        print_json({"file": str(used) if used else None, "valid": faulty is None, "faults": faults})
    elif faulty is None:
        make_console().print(f"{used} is in order." if used else "There is no config file; the defaults are used.")
    else:
        print_errors(*faulty.fault_lines())
    sys.exit(EXIT_USAGE if faulty else 0)


@config.command()
@click.option("--all", "with_defaults", is_flag=True, help="Show the keys with their default value too.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@config_option
def show(config: Config, with_defaults: bool, as_json: bool) -> None:
    """Show the config that is used: what differs from the defaults, with whole paths."""
    settings: dict[str, Any] = config.model_dump(mode="json", exclude_defaults=not with_defaults)
    settings = settings if with_defaults else _without_empty(settings)
    if as_json:
        print_json(settings)
    else:
        text = (
            yaml.safe_dump(settings, allow_unicode=True, sort_keys=False) if settings else "# Nothing but defaults.\n"
        )
        make_console().print(printable(text), end="")


def _without_empty(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings without sections in which nothing is set."""
    inner = {key: _without_empty(value) if isinstance(value, dict) else value for key, value in settings.items()}
    return {key: value for key, value in inner.items() if value != {}}


def _faults(faulty: InvalidConfig | None) -> tuple[ConfigFault, ...]:
    return faulty.faults if faulty else ()
