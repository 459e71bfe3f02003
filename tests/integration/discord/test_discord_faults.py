"""What goes wrong on a server, and what people and the core get to see then."""

import asyncio
from pathlib import Path

import discord
import pytest

from bot.core.errors import ReplyFailed
from bot.core.messages import Attachment, FinalAnswer, Message, Source
from bot.core.ports import Reply
from knowledge.passages import PassageLocation
from tests.fakes.inbox import FakeInbox
from tests.fakes.simulated_discord import SimulatedDiscord, simulated_discord


class Telling:
    """A script that says a text, and keeps what the reply raised."""

    def __init__(self, *pieces: str, closing: FinalAnswer | None = None) -> None:
        self.pieces = pieces
        self.closing = closing or FinalAnswer("".join(pieces))
        self.failures: list[str] = []

    async def __call__(self, message: Message, reply: Reply) -> None:
        try:
            for piece in self.pieces:
                await reply.append(piece)
            await reply.finish(self.closing)
        except ReplyFailed as error:
            self.failures.append(str(error))


async def asked(home: SimulatedDiscord, question: str = "where?") -> None:
    await home.ana.send(home.channel, f"{home.mention} {question}")
    await home.inbox.wait_until_idle()


@pytest.mark.parametrize(
    "text",
    ["x" * 6000, "```python\n" + "print('heron')\n" * 600 + "```", "🏡" * 3000, "שלום " * 1000, "a\u200b" * 2500],
    ids=["no spaces", "one code block", "emoji", "right to left", "zero width"],
)
async def test_long_answers_go_on_in_further_messages_and_lose_nothing(tmp_path: Path, text: str) -> None:
    async with simulated_discord(tmp_path, inbox=FakeInbox(Telling(text))) as home:
        await asked(home)
        shown = home.answers()
    assert len(shown) > 1
    assert max(map(len, shown)) <= 2000

    def bare(written: str) -> str:
        return "".join(written.replace("```python", "").replace("```", "").split())

    assert bare("".join(shown)) == bare(text)


async def test_what_the_model_writes_pings_nobody_and_unfolds_no_link(tmp_path: Path) -> None:
    text = "@everyone @here <@1> <@&2> see https://example.org"
    async with simulated_discord(tmp_path, inbox=FakeInbox(Telling("One. ", closing=FinalAnswer(text)))) as home:
        await asked(home)
        (shown,) = [message for message in home.channel.history() if message.content == text]
        assert shown.flags.suppress_embeds
        bodies = [entry.json for entry in home.env.http_requests if entry.method in ("POST", "PATCH") and entry.json]
        written = [body for body in bodies if "content" in body]
        assert written
        assert all(body["allowed_mentions"]["parse"] == [] for body in written)
        assert not any(body["allowed_mentions"].get("replied_user") for body in written)


async def test_sources_stand_below_the_answer_as_small_lines(tmp_path: Path) -> None:
    source = Source(1, "handbook", "disks.md", "Disks", PassageLocation(heading=("Backup",)), "text", 0.9)
    script = Telling(closing=FinalAnswer("Shelf Heron [1].", (source,), "Of the file only a part fits."))
    async with simulated_discord(tmp_path, inbox=FakeInbox(script)) as home:
        await asked(home)
        assert home.answers() == [
            "Shelf Heron [1].\n\n-# Of the file only a part fits.\n-# [1] Disks › Backup (handbook)"
        ]


async def test_where_nothing_may_be_written_the_person_is_told_directly_and_nothing_is_asked(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with simulated_discord(tmp_path) as home:
        shut = discord.PermissionOverwrite(send_messages=False)
        assert home.env.bot.user is not None
        hall = home.guild.create_text_channel("hall", overwrites={home.env.bot.user: shut})
        await home.ana.send(hall, f"{home.mention} where?")
        assert home.inbox.handled == []
        assert home.answers(home.ana.user.dm_channel) == [
            f"I don't have permission to post in {hall.mention}. A server manager can grant it."
        ]
    assert caplog.text.count("give it the permissions") == 1


async def test_a_right_that_is_taken_away_meanwhile_fails_the_answer_with_a_sentence(tmp_path: Path) -> None:
    script = Telling("Shelf Heron.")
    async with simulated_discord(tmp_path, inbox=FakeInbox(script)) as home:
        home.env.inject_error("POST", "/channels/*/messages", status=403, code=50013, times=None)
        await asked(home)
    (sentence,) = script.failures
    assert "Send Messages" in sentence


async def test_without_the_right_to_read_the_history_the_answer_comes_all_the_same(tmp_path: Path) -> None:
    async with simulated_discord(tmp_path, inbox=FakeInbox(Telling("Shelf Heron."))) as home:
        home.env.inject_error("POST", "/channels/*/messages", status=400, code=160002)
        await asked(home)
        assert home.answers() == ["Shelf Heron."]


async def test_an_answer_that_is_deleted_in_the_making_is_not_posted_again(tmp_path: Path) -> None:
    failures: list[str] = []
    async with simulated_discord(tmp_path) as home:

        async def script(message: Message, reply: Reply) -> None:
            await reply.waiting(1, None, "You are number 1.")
            while not home.answers():
                await asyncio.sleep(0)
            home.env.backend.delete_message(home.channel.id, home.channel.history()[-1].id)
            try:
                await reply.finish(FinalAnswer("Shelf Heron."))
            except ReplyFailed as error:
                failures.append(str(error))

        home.inbox.script = script
        await asked(home)
        assert failures == ["The message with the answer was deleted."]
        assert home.answers() == []


async def test_a_picture_that_may_not_be_attached_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    chart = Attachment("chart.png", "image/png", b"png")
    script = Telling(closing=FinalAnswer("Up for 3 days.", pictures=(chart,)))
    async with simulated_discord(tmp_path, inbox=FakeInbox(script)) as home:
        home.env.inject_error("POST", "/channels/*/messages", status=403, code=50013, message="Missing Permissions")
        await asked(home, "stats")
        assert home.answers() == ["Up for 3 days."]
        last = home.channel.last_message
        assert last is not None
        assert last.attachments == []
        await asked(home, "stats")
        last = home.channel.last_message
        assert last is not None
        assert [file.filename for file in last.attachments] == ["chart.png"]
    assert script.failures == []
    assert caplog.text.count("give it the permission “Attach Files”") == 1


async def test_nothing_of_the_question_or_the_answer_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", logger="adapters")
    async with simulated_discord(tmp_path, inbox=FakeInbox(Telling("Shelf Heron."))) as home:
        await asked(home, "where is the platypus?")
    assert "platypus" not in caplog.text
    assert "Heron" not in caplog.text
