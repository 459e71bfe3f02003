"""Which limits requests count against, how silence is told, and what errors say."""

import asyncio
from types import SimpleNamespace
from typing import cast

import aiohttp
import discord
import pytest

from adapters.delivery.errors import TransientFailure
from adapters.discord.adapter import build_bot, gateway_intents
from adapters.discord.connection import watchdog
from adapters.discord.connection.watchdog import Watchdog
from adapters.discord.failures import DiscordUnusable, to_admin_error, translate_errors
from adapters.discord.outgoing.rate_limits import DiscordRateLimits, route_key
from adapters.discord.settings import DiscordSettings
from bot.core.errors import ReplyFailed


@pytest.mark.parametrize(
    ("method", "path", "key"),
    [
        ("POST", "/api/v10/channels/20/messages", "POST channels/20"),
        ("PATCH", "/api/v10/channels/20/messages/5", "PATCH channels/20"),
        ("PATCH", "/api/v10/webhooks/9/token/messages/@original", "PATCH webhooks/9/token"),
        ("POST", "/api/v10/channels/20/typing", None),
        ("GET", "/api/v10/gateway/bot", None),
    ],
)
def test_each_kind_of_request_has_its_limit_in_each_channel(method: str, path: str, key: str | None) -> None:
    assert route_key(method, path) == key


class Line:
    """A client of which only the latency is known."""

    latency = float("nan")


async def test_silence_is_broken_by_events_and_by_heartbeats(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(watchdog, "time", SimpleNamespace(monotonic=lambda: now))
    line = Line()
    dog = Watchdog(cast(discord.Client, line))
    now = 150.0
    assert dog.silence_s() == 50
    dog.record_event()
    assert dog.silence_s() == 0
    now = 160.0
    line.latency = 0.04
    assert dog.silence_s() == 0
    now = 190.0
    assert dog.silence_s() == 30
    await asyncio.wait_for(dog.wait_for_silence(30), 1)


class Answer:
    """An answer of Discord's, as its library keeps it in errors."""

    reason = ""

    def __init__(self, status: int) -> None:
        self.status = status


def refusal(status: int, code: int) -> discord.HTTPException:
    kinds = {403: discord.Forbidden, 404: discord.NotFound}
    answer = cast(aiohttp.ClientResponse, Answer(status))
    return kinds.get(status, discord.HTTPException)(answer, {"code": code, "message": "no"})


@pytest.mark.parametrize(
    ("error", "expected", "says"),
    [
        (refusal(404, 10003), ReplyFailed, "channel does not exist"),
        (refusal(404, 10008), ReplyFailed, "was deleted"),
        (refusal(403, 50013), ReplyFailed, "Send Messages"),
        (refusal(400, 50035), ReplyFailed, "code 50035"),
        (refusal(503, 0), TransientFailure, "503"),
        (refusal(429, 0), TransientFailure, "429"),
        (discord.RateLimited(40.0), TransientFailure, "40 s"),
        (aiohttp.ServerDisconnectedError(), TransientFailure, "ServerDisconnectedError"),
        (ConnectionResetError(), TransientFailure, "ConnectionResetError"),
        (TimeoutError(), TransientFailure, "TimeoutError"),
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


async def test_the_smallest_bot_asks_for_little_keeps_little_and_pings_nobody() -> None:
    settings = DiscordSettings(message_content=False)
    assert {name for name, on in gateway_intents(settings) if on} == {"guilds", "guild_messages", "dm_messages"}
    assert gateway_intents(DiscordSettings()).message_content
    bot = build_bot(settings, DiscordRateLimits())
    assert bot.allowed_mentions is not None
    assert bot.allowed_mentions.to_dict() == {"parse": []}
    assert bot._connection.max_messages is None
    assert not any(on for _, on in bot._connection.member_cache_flags)
    await bot.close()
