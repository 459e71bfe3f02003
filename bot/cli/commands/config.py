"""`hearth config`: checks the config file."""

import os
import sys
from pathlib import Path

import click

from bot.cli.runner import EXIT_USAGE
from bot.cli.terminal.output import make_console, print_errors, print_json
from bot.config.loading import InvalidConfig, find_config, load_config
from bot.config.yaml_source import ConfigFault


@click.group()
def config() -> None:
    """The config file."""


@config.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--config", "named", type=click.Path(path_type=Path), help="The same as FILE.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object with all faults.")
def check(file: Path | None, named: Path | None, as_json: bool) -> None:
    """Check FILE, or the config that would be used. Exits with 2 after telling every fault."""
    used = find_config(file or named, os.environ)
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


def _faults(faulty: InvalidConfig | None) -> tuple[ConfigFault, ...]:
    return faulty.faults if faulty else ()
