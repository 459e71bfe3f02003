"""What came while nobody listened is answered once, and what changes meanwhile is followed."""

import asyncio
from pathlib import Path

import pytest
from simcord import Env

from adapters.discord.settings import DiscordSettings
from bot.core.messages import FinalAnswer, Message
from bot.core.ports import Ended, Reply
from tests.fakes.inbox import FakeInbox
from tests.fakes.simulated_discord import SimulatedDiscord, add_hearth_cog, simulated_discord


def texts(inbox: FakeInbox) -> list[str]:
    return [message.text for message in inbox.handled]


async def missed(home: SimulatedDiscord, *lines: str) -> None:
    """People write while no bot listens."""
    with home.lost_events():
        for line in lines:
            await home.ana.send(home.channel, line)


async def test_mentions_direct_messages_and_replies_of_a_gap_are_answered_oldest_first(tmp_path: Path) -> None:
    async with simulated_discord(tmp_path) as home:
        await home.ana.send(home.channel, f"{home.mention} one")
        await home.ben.send_dm("two")
        await home.inbox.wait_until_idle()
        answer = home.channel.history()[-1]
        with home.lost_events():
            await home.ana.send(home.channel, f"{home.mention} three")
            await home.ben.send_dm("four")
            await home.ben.send(home.channel, "five", reply_to=answer)
            await home.ben.send(home.channel, "not for you")
        await home.restart()
        await home.inbox.wait_until_idle()
        assert texts(home.inbox) == ["one", "two", "three", "four", "five"]
        assert home.answers() == ["one", "three", "five"]


async def test_a_second_restart_answers_nothing_again(tmp_path: Path) -> None:
    async with simulated_discord(tmp_path) as home:
        await home.ana.send(home.channel, f"{home.mention} one")
        await missed(home, f"{home.mention} two")
        await home.restart()
        await home.inbox.wait_until_idle()
        await home.restart()
        await home.inbox.wait_until_idle()
        assert texts(home.inbox) == ["one", "two"]
        assert home.answers() == ["one", "two"]


async def test_a_channel_that_was_silent_before_the_gap_is_looked_at_too(tmp_path: Path) -> None:
    async with simulated_discord(tmp_path) as home:
        hall = home.guild.create_text_channel("hall")
        await home.ana.send(home.channel, f"{home.mention} one")
        with home.lost_events():
            await home.ana.send(hall, f"{home.mention} two")
        await home.restart()
        await home.inbox.wait_until_idle()
        assert home.answers(hall) == ["two"]


async def test_moving_into_a_bot_that_is_running_answers_what_came_before(tmp_path: Path) -> None:
    async with simulated_discord(tmp_path) as home:
        await home.ana.send(home.channel, f"{home.mention} one")
        await home.inbox.wait_until_idle()
        await home.env.bot.remove_cog("Hearth")
        await home.ana.send(home.channel, f"{home.mention} two")
        assert texts(home.inbox) == ["one"]
        await add_hearth_cog(home.env.bot, home.settings, home.inbox, home.folder)
        await home.ana.send(home.channel, f"{home.mention} three")
        await home.inbox.wait_until_idle()
        assert home.answers() == ["one", "two", "three"]


async def test_the_first_start_answers_nothing_that_was_said_before_it(tmp_path: Path) -> None:
    async with simulated_discord(tmp_path) as home:
        await missed(home, f"{home.mention} long ago")
        await home.restart()
        assert home.inbox.handled == []


async def test_only_so_many_missed_messages_of_a_channel_are_looked_at(tmp_path: Path) -> None:
    async with simulated_discord(tmp_path, DiscordSettings(catch_up_messages=2)) as home:
        await home.ana.send(home.channel, f"{home.mention} one")
        await missed(home, *(f"{home.mention} missed {number}" for number in range(4)))
        await home.restart()
        await home.inbox.wait_until_idle()
        assert texts(home.inbox) == ["one", "missed 2", "missed 3"]


async def test_what_was_missed_too_long_ago_is_left_alone(tmp_path: Path) -> None:
    async with simulated_discord(tmp_path, DiscordSettings(catch_up_max_age_s=3600)) as home:
        await home.ana.send(home.channel, f"{home.mention} one")
        await home.inbox.wait_until_idle()
        await missed(home, f"{home.mention} long ago")
        await home.env.advance_time(3601)
        await missed(home, f"{home.mention} just now")
        with home.env.time_context():
            await home.restart()
        await home.inbox.wait_until_idle()
        assert texts(home.inbox) == ["one", "just now"]


async def test_missed_messages_keep_their_place_before_new_ones(tmp_path: Path) -> None:
    async with simulated_discord(tmp_path) as home:
        await home.ana.send(home.channel, f"{home.mention} one")
        await home.inbox.wait_until_idle()
        await missed(home, f"{home.mention} two")
        await home.env.bot.remove_cog("Hearth")
        await add_hearth_cog(home.env.bot, home.settings, home.inbox, home.folder)
        await home.ana.send(home.channel, f"{home.mention} three")
        await home.inbox.wait_until_idle()
        assert home.answers() == ["one", "two", "three"]


async def test_what_an_earlier_process_left_is_taken_up_before_what_was_missed(tmp_path: Path) -> None:
    async with simulated_discord(tmp_path) as home:
        await home.ana.send(home.channel, f"{home.mention} one")
        await home.inbox.wait_until_idle()
        home.inbox.left = [home.inbox.handled[0]]
        await home.restart()
        await home.inbox.wait_until_idle()
        assert home.answers() == ["one"]


async def test_one_missed_message_that_cannot_be_handled_does_not_lose_the_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Stumbling(FakeInbox):
        async def handle(self, message: Message, reply: Reply) -> Ended | None:
            if message.text == "two":
                raise KeyError("two")
            return await super().handle(message, reply)

    async with simulated_discord(tmp_path, inbox=Stumbling()) as home:
        await home.ana.send(home.channel, f"{home.mention} one")
        await missed(home, f"{home.mention} two", f"{home.mention} three")
        await home.restart()
        await home.inbox.wait_until_idle()
        assert texts(home.inbox) == ["one", "three"]
    assert "Could not handle the missed message" in caplog.text


class Slowly:
    """A script whose answer waits to be let go."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.env: Env | None = None

    async def __call__(self, message: Message, reply: Reply) -> None:
        assert self.env is not None
        await self.env.external_wait(self.go.wait(), reason="the test lets the answer go")
        await reply.finish(FinalAnswer(message.text))


async def test_an_edited_question_is_handed_on_while_its_answer_is_made(tmp_path: Path) -> None:
    slowly = Slowly()
    async with simulated_discord(tmp_path, inbox=FakeInbox(slowly)) as home:
        slowly.env = home.env
        question = await home.ana.send(home.channel, f"{home.mention} one")
        await home.ana.edit(question, f"{home.mention} one more")
        assert [message.text for message in home.inbox.revised] == ["one more"]
        assert home.inbox.revised[0].event_id == str(question.id)
        slowly.go.set()
        await home.inbox.wait_until_idle()
        await home.ana.edit(question, f"{home.mention} too late")
        assert len(home.inbox.revised) == 1


async def test_a_question_taken_up_after_a_restart_is_followed_as_a_new_one_is(tmp_path: Path) -> None:
    slowly = Slowly()
    async with simulated_discord(tmp_path, inbox=FakeInbox(slowly)) as home:
        slowly.env = home.env
        question = await home.ana.send(home.channel, f"{home.mention} one")
        home.inbox.left = home.inbox.handled[:]
        await home.restart()
        slowly.env = home.env
        await home.ana.edit(question, f"{home.mention} one more")
        assert [message.text for message in home.inbox.revised] == ["one more"]
        await home.ana.delete(question)
        assert home.inbox.withdrawn == [(f"discord:{home.channel.id}", str(question.id))]
        await home.inbox.wait_until_idle()


async def test_an_edit_that_changes_no_word_is_none(tmp_path: Path) -> None:
    slowly = Slowly()
    async with simulated_discord(tmp_path, inbox=FakeInbox(slowly)) as home:
        slowly.env = home.env
        question = await home.ana.send(home.channel, f"{home.mention} one")
        await home.ana.edit(question, f"{home.mention} one ")
        assert home.inbox.revised == []
        slowly.go.set()
        await home.inbox.wait_until_idle()


async def test_a_mention_that_is_edited_in_makes_a_question_once(tmp_path: Path) -> None:
    async with simulated_discord(tmp_path) as home:
        said = await home.ana.send(home.channel, "where is the drive?")
        assert home.inbox.handled == []
        await home.ana.edit(said, f"{home.mention} where is the drive?")
        await home.inbox.wait_until_idle()
        assert home.answers() == ["where is the drive?"]
        await home.ana.edit(said, f"{home.mention} where is the drive now?")
        await home.inbox.wait_until_idle()
        assert home.answers() == ["where is the drive?"]
        await home.restart()
        await home.ana.edit(said, f"{home.mention} where is it?")
        await home.inbox.wait_until_idle()
        assert home.answers() == ["where is the drive?"]


async def test_a_mention_that_is_edited_into_an_old_message_is_none(tmp_path: Path) -> None:
    async with simulated_discord(tmp_path) as home:
        said = await home.ana.send(home.channel, "where is the drive?")
        await home.env.advance_time(6 * 60)
        with home.env.time_context():
            await home.ana.edit(said, f"{home.mention} where is the drive?")
        assert home.inbox.handled == []


async def test_a_deleted_question_stops_its_answer(tmp_path: Path) -> None:
    slowly = Slowly()
    async with simulated_discord(tmp_path, inbox=FakeInbox(slowly)) as home:
        slowly.env = home.env
        question = await home.ana.send(home.channel, f"{home.mention} one")
        await home.ana.delete(question)
        assert home.inbox.withdrawn == [(f"discord:{home.channel.id}", str(question.id))]
        await home.inbox.wait_until_idle()


async def test_unloading_ends_typing_and_listening(tmp_path: Path) -> None:
    slowly = Slowly()
    async with simulated_discord(tmp_path, inbox=FakeInbox(slowly)) as home:
        slowly.env = home.env
        await home.ana.send(home.channel, f"{home.mention} one")
        await home.env.bot.remove_cog("Hearth")
        before = len(home.env.http_requests)
        await home.env.advance_time(60)
        await home.ana.send(home.channel, f"{home.mention} two")
        assert len(home.env.http_requests) == before
        assert texts(home.inbox) == ["one"]
