"""Translation of the Discord library's errors into the port's, each with a sentence for the admin."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import aiohttp
import discord

from adapters.delivery.connection_errors import connection_reason
from adapters.delivery.errors import TransientFailure
from adapters.discord.limits import (
    AUTHENTICATION_FAILED,
    AUTOMOD_BLOCKED,
    DIRECT_MESSAGES_CLOSED,
    DISALLOWED_INTENTS,
    NO_PERMISSION,
    THREAD_ARCHIVED,
    THREAD_LOCKED,
    UNKNOWN_MESSAGE,
)
from bot.core.errors import ReplyFailed

ERROR_REASONS = {
    10003: "The channel no longer exists.",
    10004: "The server no longer exists, or the bot was removed from it.",
    UNKNOWN_MESSAGE: "The message with the answer was deleted.",
    50001: "The bot may not see the channel: give it the permission “View Channel”.",
    DIRECT_MESSAGES_CLOSED: "The person does not accept direct messages from the bot.",
    NO_PERMISSION: "The bot may not do this in the channel: give it the permissions “Send Messages”, “Send Messages in"
    " Threads” and “Read Message History”.",
    THREAD_ARCHIVED: "The thread is closed, and the bot may not open it again.",
    THREAD_LOCKED: "The thread is locked: give the bot the permission “Manage Threads”, or unlock it.",
    AUTOMOD_BLOCKED: "The server's AutoMod blocked the answer.",
}
"""Sentences by error code (`topics/opcodes-and-status-codes.mdx`)."""

NO_THREAD_REASON = "the bot may not open threads in it: give it “Create Public Threads” and “Send Messages in Threads”"
NO_PICTURE_REASON = "the bot may not attach files in it: give it the permission “Attach Files”"

CONNECTION_ERRORS = (aiohttp.ClientError, asyncio.TimeoutError, OSError)
"""Errors of a broken connection."""


@dataclass(eq=False)
class DiscordUnusable(Exception):
    """Discord refuses the bot. `reason` names the remedy, and never holds the token."""

    user_facing = True
    reason: str

    def __str__(self) -> str:
        return self.reason


class RequestRefused(ReplyFailed):
    """Discord refuses a request of a reply for good; `code` is its error code, 0 when it gave none."""

    def __init__(self, reason: str, code: int) -> None:
        super().__init__(reason)
        self.code = code


def error_sentence(error: discord.HTTPException) -> str:
    """The reason for a refusal, for the log."""
    return ERROR_REASONS.get(error.code, f"Discord refused with status {error.status}, code {error.code}: {error.text}")


def failure_reason(error: Exception) -> str:
    """Why a request to Discord failed, for a line of the log."""
    if isinstance(error, discord.HTTPException):
        return error_sentence(error).rstrip(".")
    if isinstance(error, discord.InteractionResponded):
        return "it has a response already"
    return f"Discord could not be reached: {connection_reason(error)}"


def is_transient(error: discord.HTTPException) -> bool:
    """Whether the same request may succeed later."""
    return error.status >= 500 or error.status == 429


@contextmanager
def translate_errors() -> Iterator[None]:
    """Raise RequestRefused for permanent errors of Discord, TransientFailure for temporary ones."""
    try:
        yield
    except discord.RateLimited as error:
        raise TransientFailure(f"Discord asks to wait {error.retry_after:.0f} s") from error
    except discord.HTTPException as error:
        if is_transient(error):
            raise TransientFailure(f"Discord answered with status {error.status}") from error
        raise RequestRefused(error_sentence(error), error.code) from error
    except CONNECTION_ERRORS as error:
        raise TransientFailure(f"Discord could not be reached: {connection_reason(error)}") from error


def missing_token_text(token_env: str) -> str:
    """The sentence for an admin about a missing token."""
    return (
        f"The environment variable {token_env} is not set. It should hold the bot's token, which is at"
        " https://discord.com/developers/applications: your application, Bot, “Reset Token”."
    )


def missing_intent_text() -> str:
    """The sentence for an admin about the missing intent (close code 4014)."""
    return (
        "Discord does not let the bot read messages (close code 4014). Switch on “Message Content Intent”: Developer"
        " Portal, your application, Bot, Privileged Gateway Intents; or set discord.message_content to false in the"
        " config, and only mentions, replies that notify the bot, and direct messages are read."
    )


def missing_intents_text(intents: discord.Intents, message_content: bool) -> str:
    """The sentence for an admin about the events that a bot does not ask for; empty when it asks for all of them."""
    needed = {
        "guilds": "it sees no channels",
        "guild_messages": "it hears nothing on servers",
        "dm_messages": "it hears no direct messages",
        **({"message_content": "it hears only mentions, and replies with a mention"} if message_content else {}),
    }
    missing = {name: effect for name, effect in needed.items() if not getattr(intents, name)}
    if not missing:
        return ""
    effects = ", ".join(f"{name} ({effect})" for name, effect in missing.items())
    return f"The bot that Hearth is in does not ask Discord for the intents {effects}. Add them where the bot is made."


def to_admin_error(error: Exception, token_env: str) -> Exception:
    """The error as a sentence for the admin if an admin can fix it, else unchanged."""
    code = error.code if isinstance(error, discord.ConnectionClosed) else None
    if isinstance(error, discord.LoginFailure) or code == AUTHENTICATION_FAILED:
        return DiscordUnusable(
            f"Discord does not know the token in {token_env}: it was reset, or not copied whole. Create a new one and"
            " put it there: Developer Portal, your application, Bot, “Reset Token”."
        )
    if isinstance(error, discord.PrivilegedIntentsRequired) or code == DISALLOWED_INTENTS:
        return DiscordUnusable(missing_intent_text())
    return error
