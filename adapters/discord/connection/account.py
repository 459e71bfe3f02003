"""Checks of the bot's account without a gateway connection: the token, and the intents set in the portal."""

import asyncio
import os

import discord
from discord.http import HTTPClient

from adapters.discord.failures import (
    DiscordUnusable,
    missing_intent_text,
    missing_token_text,
    to_admin_error,
    translate_errors,
)
from adapters.discord.settings import DiscordSettings

TIMEOUT_S = 10.0


def read_token(settings: DiscordSettings) -> str:
    """The bot's token from the environment. Raises DiscordUnusable when there is none."""
    token = os.environ.get(settings.token_env, "").strip()
    if not token:
        raise DiscordUnusable(missing_token_text(settings.token_env))
    return token


async def fetch_account_name(settings: DiscordSettings) -> str:
    """Fetch the name of the bot that the token belongs to.

    Raises DiscordUnusable, with the remedy, when Discord refuses the bot; TransientFailure when it is unreachable.
    """
    http = HTTPClient(asyncio.get_running_loop())
    try:
        with translate_errors():
            async with asyncio.timeout(TIMEOUT_S):
                return await _fetch_name(http, settings)
    finally:
        await http.close()


async def _fetch_name(http: HTTPClient, settings: DiscordSettings) -> str:
    try:
        user = await http.static_login(read_token(settings))
    except discord.LoginFailure as error:
        raise to_admin_error(error, settings.token_env) from None  # the library's error may quote the token
    flags = discord.ApplicationFlags._from_value((await http.application_info())["flags"])
    if settings.message_content and not (flags.gateway_message_content or flags.gateway_message_content_limited):
        raise DiscordUnusable(missing_intent_text())
    return user["username"]
