"""Hearth as an extension of somebody else's bot: it comes and goes, and never takes the bot with it."""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType

import discord
import pytest
import simcord
from discord.ext import commands
from simcord import Env

from adapters.discord.embedded import EmbeddedCog
from adapters.discord.settings import DiscordSettings
from tests.fakes.discord_server import discord_server, running
from tests.fakes.inbox import FakeInbox

EXTENSION = "adapters.discord.extension"
CONFIG = """
data_folder: data
model: {engine: echo, echo: {tokens_per_s: 1000}}
knowledge: {embedding: {kind: hashing, dimension: 64}}
http: {enabled: false}
"""
INTENTS = discord.Intents(guilds=True, guild_messages=True, message_content=True)


def host_bot() -> commands.Bot:
    """A bot with a command and a slash command of its own."""
    bot = commands.Bot(command_prefix="?", intents=INTENTS)

    @bot.command()
    async def ping(context: commands.Context[commands.Bot]) -> None:
        await context.send("pong")

    return bot


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "config.yaml"
    file.write_text(CONFIG, encoding="utf-8")
    monkeypatch.setenv("HEARTH_CONFIG", str(file))
    return file


@asynccontextmanager
async def hosted(bot: commands.Bot) -> AsyncIterator[Env]:
    async with simcord.run(bot, settle_timeout=15) as env:
        yield env
        if EXTENSION in bot.extensions:
            await bot.unload_extension(EXTENSION)


async def moved_in(bot: commands.Bot) -> None:
    """Wait until Hearth's cogs are in the bot."""
    async with asyncio.timeout(60):
        while bot.get_cog("Hearth menus") is None:
            await asyncio.sleep(0.05)


async def test_a_bot_of_others_answers_with_hearth_in_it(config: Path) -> None:
    bot = host_bot()
    async with discord_server() as server, running(server, bot):
        home = server.guild("Rook Lane")
        kitchen, ana = home.channel("kitchen"), home.member("Ana")
        await bot.load_extension(EXTENSION)
        await moved_in(bot)
        await kitchen.say(ana, "<@bot> Where is the backup drive?")
        await server.until(lambda: any("backup drive" in said.content for said in kitchen.said_by_bot), 30)
        await kitchen.say(ana, "?ping")
        await server.until(lambda: kitchen.said_by_bot[-1].content == "pong")
        await bot.unload_extension(EXTENSION)


async def test_unloading_leaves_the_bot_as_it_was(config: Path) -> None:
    bot = host_bot()
    async with hosted(bot) as env:
        channel = env.create_guild().create_text_channel("kitchen")
        ana = env.guild.add_member(env.create_user("ana"))
        before = (set(bot.cogs), set(bot.commands), bot.intents.value, bot.activity, len(bot.tree.get_commands()))
        await bot.load_extension(EXTENSION)
        await moved_in(bot)
        assert len(bot.tree.get_commands()) > 0
        await bot.unload_extension(EXTENSION)
        assert (
            set(bot.cogs),
            set(bot.commands),
            bot.intents.value,
            bot.activity,
            len(bot.tree.get_commands()),
        ) == before
        await ana.send(channel, "?ping")
        last = channel.last_message
        assert last is not None
        assert last.content == "pong"
        await bot.load_extension(EXTENSION)  # the data folder is free again
        await moved_in(bot)


async def test_a_config_with_faults_is_told_and_the_bot_goes_on(config: Path, caplog: pytest.LogCaptureFixture) -> None:
    config.write_text("core: {nmae: x}", encoding="utf-8")
    bot = host_bot()
    async with hosted(bot) as env:
        channel = env.create_guild().create_text_channel("kitchen")
        ana = env.guild.add_member(env.create_user("ana"))
        await bot.load_extension(EXTENSION)
        assert "core.nmae" in caplog.text
        await ana.send(channel, "?ping")
        assert channel.last_message is not None
        assert channel.last_message.content == "pong"


async def test_a_house_that_cannot_open_is_told_and_the_bot_goes_on(
    config: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config.write_text(
        CONFIG.replace("engine: echo,", "engine: llama,") + "weights: {chat: {source: path, path: gone.gguf}}"
    )
    bot = host_bot()
    async with hosted(bot):
        await bot.load_extension(EXTENSION)
        async with asyncio.timeout(60):
            while "goes on without it" not in caplog.text:
                await asyncio.sleep(0.05)
        assert "gone.gguf" in caplog.text
        assert bot.get_cog("Hearth menus") is None
        assert not bot.is_closed()


async def test_a_house_that_falls_down_later_moves_out_and_the_bot_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    falls = asyncio.Event()

    async def fall() -> None:
        await falls.wait()
        raise RuntimeError("The roof is gone.")

    @asynccontextmanager
    async def open_house() -> AsyncIterator[FakeInbox]:
        async with asyncio.TaskGroup() as group:
            group.create_task(fall())
            yield FakeInbox()

    bot = host_bot()
    async with hosted(bot) as env:
        channel = env.create_guild().create_text_channel("kitchen")
        ana = env.guild.add_member(env.create_user("ana"))
        await bot.add_cog(EmbeddedCog(bot, DiscordSettings(), tmp_path, open_house))
        await moved_in(bot)
        falls.set()
        async with asyncio.timeout(60):
            while set(bot.cogs) != {"Hearth guest"}:
                await asyncio.sleep(0.05)
        assert "goes on without it: The roof is gone." in caplog.text
        await ana.send(channel, "?ping")
        assert channel.last_message is not None
        assert channel.last_message.content == "pong"


@pytest.mark.parametrize("name", ["bot", "models"])
async def test_a_bot_whose_own_files_hide_hearths_is_told_so(
    name: str, config: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    own = ModuleType(name)
    own.__spec__ = __import__("importlib.machinery").machinery.ModuleSpec(name, None, origin=f"/home/host/{name}.py")
    bot = host_bot()
    async with hosted(bot):
        with monkeypatch.context() as hidden, caplog.at_level(logging.ERROR):
            hidden.setitem(sys.modules, name, own)
            await bot.load_extension(EXTENSION)
        assert f"{name} is /home/host/{name}.py" in caplog.text
        assert bot.cogs == {}
