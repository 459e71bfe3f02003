"""All of Hearth on Discord: the real core, the real small model and the demo's documents, behind real discord.py.

On the loopback fake and not on the simulation: that one logs the bot in itself, and here the adapter does.
"""

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from adapters.discord.adapter import DiscordAdapter
from adapters.discord.composition import cog_builder
from adapters.discord.settings import DiscordSettings
from bot.config.loading import load_config
from bot.config.schema import Config
from bot.daemon import run_daemon
from tests.fakes.discord_server import DiscordServer, discord_server
from tests.fakes.discord_server.channel import Channel
from tests.fakes.discord_server.message import Message
from tests.fakes.discord_server.people import Member

DEMO = Path(__file__).parents[3] / "deploy" / "demo"
FILES = sum(path.is_file() for path in (DEMO / "documents").rglob("*"))
SOURCE = "backup/backup-drive.md"
TOKEN_ENV = "HEARTH_TEST_DISCORD_TOKEN"
INSTRUCTIONS = "Answer at length, in five sentences, with all that is known."
QUESTION = "<@bot> What does the backup drive look like, on which shelf does it live, and how is it handled?"
PNG = b"\x89PNG\r\n\x1a\n"
PATIENCE_S = 120.0
"""Everything together takes some 18 s on two cores; a busy machine is not a fault."""

pytestmark = [pytest.mark.timeout(400), pytest.mark.usefixtures("chat_model_path", "embedding_files")]


def demo_config(folder: Path) -> Config:
    """The demo's settings with its data below `folder`, and documents that everybody may read."""
    config = load_config(DEMO / "config.yaml")
    (name, collection), *_ = config.knowledge.collections.items()
    collections = {name: collection.model_copy(update={"readers": ("everyone",)})}
    knowledge = config.knowledge.model_copy(update={"collections": collections})
    # The demo asks for one short sentence, which is there before it could stream.
    core = config.core.model_copy(update={"instructions": INSTRUCTIONS})
    return config.model_copy(update={"data_folder": folder, "knowledge": knowledge, "core": core})


@asynccontextmanager
async def hearth(server: DiscordServer, folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """Hearth on the server, connected; its first start, so nothing is indexed."""
    monkeypatch.setenv(TOKEN_ENV, server.token)
    settings = DiscordSettings(token_env=TOKEN_ENV)
    adapter = DiscordAdapter(settings, folder, cog_builder(settings, folder))
    async with AsyncExitStack() as stack:
        stack.push_async_callback(adapter.close)
        await stack.enter_async_context(run_daemon(demo_config(folder), adapters=[adapter]))
        await server.until(lambda: server.gateway.live and server.commands.names(), PATIENCE_S)
        yield


async def test_indexed_by_command_asked_by_mention_and_counted_in_a_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with discord_server() as server:
        home = server.guild("Rook Lane")
        kitchen, ana, root = home.channel("kitchen"), home.member("Ana"), home.member("Root", admin=True)
        async with hearth(server, tmp_path, monkeypatch):
            await reindexed(server, kitchen, root)
            question = await kitchen.say(ana, QUESTION)
            answer = await streamed_answer(server, question)
            await shows_its_source(server, answer, ana)
            await counted(server, kitchen, root)
        assert kitchen.said_by_bot == [answer]
        assert server.requests.invalid == 0


async def reindexed(server: DiscordServer, channel: Channel, admin: Member) -> None:
    command = await channel.command(admin, "reindex")
    await server.until(lambda: command.texts and " added" in command.texts[0], PATIENCE_S)
    assert command.deferred
    assert command.private
    *progress, counts = (version.content for version in command.seen[0].versions)
    assert any(f" of {FILES}. " in text for text in progress), progress
    found = re.search(r"(\d+) added, 0 changed, 0 removed, 0 unchanged, 0 failed", counts)
    assert found, counts
    assert int(found[1]) >= FILES  # each row of a table is a document


async def streamed_answer(server: DiscordServer, question: Message) -> Message:
    """The answer once it has ended: in reply to the question, in several steps, each the beginning of the next."""
    await server.until(lambda: (said := question.channel.said_by_bot) and "Try again" in said[0].buttons, PATIENCE_S)
    (answer,) = question.channel.said_by_bot
    assert question.channel.typed
    assert answer.answers is question
    assert not answer.pings
    *partial, whole = (version.content for version in answer.versions)
    assert partial, "the answer did not stream"
    for text in partial:
        assert text.strip()
        assert whole.startswith(text.rstrip())
    return answer


async def shows_its_source(server: DiscordServer, answer: Message, person: Member) -> None:
    assert "\n-# [1] The backup drive" in answer.content
    pressed = await answer.channel.press(person, answer, "Sources")
    await server.until(lambda: pressed.texts and SOURCE in pressed.texts[0])
    assert pressed.private
    assert "shelf Quince" in "".join(pressed.texts)


async def counted(server: DiscordServer, channel: Channel, admin: Member) -> None:
    command = await channel.command(admin, "stats")
    await server.until(lambda: command.seen and command.seen[0].files)
    assert command.private
    assert command.seen[0].files[0].data.startswith(PNG)
