"""`hearth tin`."""

import click

from adapters.platform import CommandContext
from hearth_tin.platform import TinSettings


@click.group()
def tin() -> None:
    """Tin cans."""


@tin.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
async def port(context: CommandContext[TinSettings], as_json: bool) -> int:
    """Print the port of the config; exits with 1 when there is none."""
    port = context.settings.port
    context.print_json({"port": port}) if as_json else context.print_text(f"Port {port}")
    return 0 if port else 1
