"""What is read to go with a question: reply chains, the channel's last messages, files."""

import asyncio
from pathlib import Path

import aiohttp
import discord
import pytest

from adapters.discord.settings import DiscordSettings
from adapters.intake.settings import ChannelSettings
from bot.core.messages import Attachment, ContextMessage
from tests.fakes.simulated_discord import simulated_discord


async def test_a_reply_chain_is_read_oldest_first(tmp_path: Path) -> None:
    async with simulated_discord(tmp_path) as home:
        first = await home.ana.send(home.channel, "the boiler drips")
        await home.ana.send(home.channel, "something else")
        second = await home.ben.send(home.channel, f"again? {home.ana.mention}", reply_to=first)
        await home.ana.send(home.channel, f"{home.mention} whom do we call?", reply_to=second)
        (message,) = home.inbox.handled
        assert message.text == "whom do we call?"
        assert message.context == (ContextMessage("ana", "the boiler drips"), ContextMessage("ben", "again? @ana"))
        people = [each.person for each in message.context]
        assert people[0] == message.author.id != people[1] != "", "so that each can be forgotten"


async def test_a_chain_is_read_no_further_than_allowed(tmp_path: Path) -> None:
    async with simulated_discord(tmp_path, DiscordSettings(reply_chain_limit=2)) as home:
        above = await home.ana.send(home.channel, "line 0")
        for number in range(1, 5):
            above = await home.ben.send(home.channel, f"line {number}", reply_to=above)
        await home.ana.send(home.channel, f"{home.mention} so?", reply_to=above)
        assert [said.text for said in home.inbox.handled[0].context] == ["line 3", "line 4"]


async def test_the_channel_is_not_read_unless_the_admin_allows_it(tmp_path: Path) -> None:
    async with simulated_discord(tmp_path) as home:
        await home.ana.send(home.channel, "we meet at noon")
        await home.ben.send(home.channel, f"{home.mention} what did they decide?")
        assert home.inbox.handled[0].context == ()


async def test_the_last_messages_are_read_where_the_admin_allows_it_and_the_chain_comes_next_to_the_question(
    tmp_path: Path,
) -> None:
    async with simulated_discord(tmp_path) as home:
        home.settings = DiscordSettings(channel_overrides={home.channel.id: ChannelSettings(recent_messages=3)})
        await home.restart()
        await home.ana.send(home.channel, "too long ago")
        chained = await home.ana.send(home.channel, "we meet at noon")
        await home.ben.send(home.channel, "I bring bread")
        await home.ana.send(home.channel, "good")
        await home.ben.send(home.channel, f"{home.mention} what did they decide?", reply_to=chained)
        texts = [said.text for said in home.inbox.handled[0].context]
        assert texts == ["I bring bread", "good", "we meet at noon"]


async def test_a_deleted_message_in_the_chain_ends_it(tmp_path: Path) -> None:
    async with simulated_discord(tmp_path) as home:
        first = await home.ana.send(home.channel, "the boiler drips")
        second = await home.ben.send(home.channel, "again?", reply_to=first)
        await home.ana.delete(first)
        await home.ana.send(home.channel, f"{home.mention} whom do we call?", reply_to=second)
        assert [said.text for said in home.inbox.handled[0].context] == ["again?"]


async def test_files_of_the_question_and_of_the_message_replied_to_are_fetched(tmp_path: Path) -> None:
    async with simulated_discord(tmp_path) as home:
        above = await home.ben.send(home.channel, "the plan", attachments=[("plan.md", b"# Plan")])
        await home.ana.send(
            home.channel, f"{home.mention} does it fit?", reply_to=above, attachments=[("rooms.csv", b"a,b\n1,2")]
        )
        files = home.inbox.handled[0].attachments
        assert [(file.name, file.data) for file in files] == [("rooms.csv", b"a,b\n1,2"), ("plan.md", b"# Plan")]


async def test_of_pictures_and_large_files_only_the_name_comes(tmp_path: Path) -> None:
    async with simulated_discord(tmp_path, DiscordSettings(attachment_bytes=10)) as home:
        files = [("cat.png", b"png"), ("long.txt", b"x" * 11), ("short.txt", b"x" * 10)]
        await home.ana.send(home.channel, f"{home.mention} what is this?", attachments=files)
        cat, long, short = home.inbox.handled[0].attachments
        assert (cat.media_type, cat.data) == ("image/png", b"")
        assert long == Attachment.too_large("long.txt", 10)
        assert short.data == b"x" * 10


async def test_of_a_file_that_cannot_be_fetched_the_name_comes_with_the_word_that_it_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def read(file: discord.Attachment, *, use_cached: bool = False) -> bytes:
        if file.filename == "gone.txt":
            raise aiohttp.ClientPayloadError("cut off")
        if file.filename == "slow.txt":
            await asyncio.sleep(60)
        return b"here"

    monkeypatch.setattr(discord.Attachment, "read", read)
    async with simulated_discord(tmp_path, DiscordSettings(read_timeout_s=0.05)) as home:
        files = [("gone.txt", b"1"), ("slow.txt", b"2"), ("here.txt", b"3")]
        await home.ana.send(home.channel, f"{home.mention} what is this?", attachments=files)
        gone, slow, here = home.inbox.handled[0].attachments
        assert gone == Attachment.not_fetched("gone.txt")
        assert slow == Attachment.not_fetched("slow.txt")
        assert here.data == b"here"
    assert caplog.text.count("Could not fetch the attached file") == 2


async def test_no_more_files_than_allowed_are_fetched(tmp_path: Path) -> None:
    async with simulated_discord(tmp_path, DiscordSettings(attachment_limit=1)) as home:
        files = [("one.txt", b"1"), ("two.txt", b"2")]
        await home.ana.send(home.channel, f"{home.mention} what is this?", attachments=files)
        assert [file.name for file in home.inbox.handled[0].attachments] == ["one.txt"]
