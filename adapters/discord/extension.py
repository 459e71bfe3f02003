"""Extension for an existing discord.py bot: `await bot.load_extension("adapters.discord.extension")`.

Checks first that Python finds Hearth's packages under their names. Only then does it load `bot.discord_extension`,
which an adapter may not import: a bot that has a `bot.py` of its own would import that instead.
"""

import importlib
import importlib.util
import logging
from pathlib import Path

from adapters.discord.connection.session import AnyBot

log = logging.getLogger(__name__)

ROOT_FOLDER = Path(__file__).parents[2]
PACKAGES = ("bot", "knowledge", "models")
ENTRY_MODULE = "bot.discord_extension"


async def setup(bot: AnyBot) -> None:
    """Load Hearth into a bot; errors are logged, and the bot continues without it."""
    shadowed = shadowed_packages()
    if shadowed:
        found = ", ".join(f"{name} is {where}" for name, where in shadowed.items())
        log.error(
            "Could not load Hearth into this bot, because Python finds other files under the names of its packages: %s."
            " Rename them, or run Hearth by itself with `hearth run`.",
            found,
        )
        return
    await importlib.import_module(ENTRY_MODULE).setup(bot)


async def teardown(bot: AnyBot) -> None:
    """Remove Hearth from a bot."""
    if not shadowed_packages():
        await importlib.import_module(ENTRY_MODULE).teardown(bot)


def shadowed_packages() -> dict[str, str]:
    """Hearth's packages that are shadowed by others of the same name, with the location of those."""
    found = {name: _origin(name) for name in PACKAGES}
    return {name: origin for name, origin in found.items() if Path(origin) != ROOT_FOLDER / name / "__init__.py"}


def _origin(name: str) -> str:
    try:
        spec = importlib.util.find_spec(name)
    except ValueError:  # a module without a spec, created by hand
        return "a module without a file"
    return spec.origin or "a folder without __init__.py" if spec else "not installed"
