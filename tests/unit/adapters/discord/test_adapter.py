"""The bot that Hearth runs by itself on Discord."""

from adapters.discord.adapter import build_bot, gateway_intents
from adapters.discord.outgoing.rate_limits import DiscordRateLimits
from adapters.discord.settings import DiscordSettings


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
