"""Doctor check of Discord: the bot's token, and the switches in the developer portal."""

from adapters.delivery.errors import TransientFailure
from adapters.discord.connection.account import fetch_account_name, read_token
from adapters.discord.failures import DiscordUnusable
from adapters.discord.ids import PLATFORM
from adapters.discord.settings import DiscordSettings
from adapters.platform import Check, CheckContext


async def check_token(settings: DiscordSettings, context: CheckContext) -> Check:
    """Whether the bot's token is there and, unless offline, whether Discord accepts it. The token is never shown."""
    try:
        if context.offline:
            read_token(settings)
            sentence = f"The token in {settings.token_env} is set; Discord was not asked about it."
            return Check(PLATFORM, "ok", sentence)
        name = await fetch_account_name(settings)
    except DiscordUnusable as error:
        return Check(PLATFORM, "problem", str(error))
    except TransientFailure as error:
        return Check(PLATFORM, "warning", f"{error}, so the token could not be tried.")
    return Check(PLATFORM, "ok", f"Discord knows the bot as {name}.")
