"""What errors of Discord say, and which of them pass."""

import aiohttp
import discord
import pytest

from adapters.delivery.errors import TransientFailure
from adapters.discord.failures import (
    DiscordUnusable,
    RequestRefused,
    missing_intents_text,
    to_admin_error,
    translate_errors,
)
from bot.core.errors import ReplyFailed
from tests.fakes.discord_errors import refusal


@pytest.mark.parametrize(
    ("error", "expected", "says"),
    [
        (refusal(404, 10003), ReplyFailed, "channel no longer exists"),
        (refusal(404, 10008), ReplyFailed, "was deleted"),
        (refusal(403, 50013), ReplyFailed, "Send Messages"),
        (refusal(400, 50035), ReplyFailed, "code 50035"),
        (refusal(503, 0), TransientFailure, "503"),
        (refusal(429, 0), TransientFailure, "429"),
        (discord.RateLimited(40.0), TransientFailure, "40 s"),
        (aiohttp.ServerDisconnectedError(), TransientFailure, "the connection broke off"),
        (ConnectionResetError(), TransientFailure, "it closed the connection"),
        (TimeoutError(), TransientFailure, "it did not answer in time"),
    ],
)
def test_what_is_refused_for_good_fails_and_what_may_pass_does_not(
    error: Exception, expected: type[Exception], says: str
) -> None:
    with pytest.raises(expected, match=says) as raised, translate_errors():
        raise error
    assert raised.value.__cause__ is error


def test_only_errors_that_an_admin_can_mend_become_sentences() -> None:
    assert isinstance(to_admin_error(discord.LoginFailure("secret"), "TOKEN"), DiscordUnusable)
    assert "secret" not in str(to_admin_error(discord.LoginFailure("secret"), "TOKEN"))
    assert "Message Content Intent" in str(to_admin_error(discord.PrivilegedIntentsRequired(None), "TOKEN"))
    other = ValueError("else")
    assert to_admin_error(other, "TOKEN") is other


def test_a_refusal_keeps_discords_code() -> None:
    with pytest.raises(RequestRefused) as raised, translate_errors():
        raise refusal(400, 200000)
    assert raised.value.code == 200000
    assert "AutoMod" in str(raised.value)


def test_intents_that_a_bot_lacks_are_named_with_what_they_cost() -> None:
    assert missing_intents_text(discord.Intents.all(), message_content=True) == ""
    assert missing_intents_text(discord.Intents.default(), message_content=False) == ""
    assert "message_content (it hears only mentions" in missing_intents_text(discord.Intents.default(), True)
    deaf = missing_intents_text(discord.Intents(guilds=True), message_content=False)
    assert "guild_messages (it hears nothing on servers), dm_messages (it hears no direct messages)" in deaf
