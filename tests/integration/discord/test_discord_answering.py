"""When Hearth answers on Discord, and when it does not, played on a simulated one."""

from pathlib import Path

import discord
import pytest
import simcord
from discord.ext import commands

from adapters.discord.settings import DiscordSettings
from adapters.intake.settings import ChannelSettings
from tests.fakes.inbox import FakeInbox
from tests.fakes.simulated_discord import SimulatedDiscord, simulated_discord


def texts(inbox: FakeInbox) -> list[str]:
    return [message.text for message in inbox.handled]


async def test_a_mention_in_a_channel_is_answered_in_reply_to_it(tmp_path: Path) -> None:
    async with simulated_discord(tmp_path) as home:
        question = await home.ana.send(home.channel, f"{home.mention} where is the drive?")
        await home.inbox.wait_until_idle()
        assert home.answers() == ["where is the drive?"]
        last = home.channel.last_message
        assert last is not None
        assert last.reference is not None
        assert last.reference.message_id == question.id


async def test_what_people_say_to_each_other_is_not_even_looked_at(tmp_path: Path) -> None:
    async with simulated_discord(tmp_path) as home:
        first = await home.ana.send(home.channel, "shall we cook?")
        await home.ben.send(home.channel, f"yes {home.ana.mention}", reply_to=first)
        await home.ben.send(home.channel, "@everyone dinner")
        assert home.inbox.handled == []


async def test_a_reply_to_one_of_its_messages_is_answered(tmp_path: Path) -> None:
    async with simulated_discord(tmp_path) as home:
        await home.ana.send(home.channel, f"{home.mention} where is the drive?")
        await home.inbox.wait_until_idle()
        answer = home.channel.last_message
        await home.ben.send(home.channel, "and the other one?", reply_to=answer)
        await home.inbox.wait_until_idle()
        assert home.answers() == ["where is the drive?", "and the other one?"]


async def test_a_direct_message_is_answered_and_private(tmp_path: Path) -> None:
    async with simulated_discord(tmp_path) as home:
        role = home.guild.create_role("cooks")
        carl = home.guild.add_member(home.env.create_user("carl"), roles=[role])
        await carl.send_dm("where is the drive?")
        await home.inbox.wait_until_idle()
        (message,) = home.inbox.handled
        assert message.audience.private
        assert {f"discord:user:{carl.id}", f"discord:role:{role.id}", f"discord:guild:{home.guild.id}"} < set(
            message.audience.names
        )
        assert home.answers(carl.user.dm_channel) == ["where is the drive?"]


async def test_other_bots_are_left_alone(tmp_path: Path) -> None:
    async with simulated_discord(tmp_path) as home:
        robot = home.guild.add_member(home.env.create_user("robot", bot=True))
        await robot.send(home.channel, f"{home.mention} hello")
        assert home.inbox.handled == []


async def test_names_stand_for_mentions_and_our_own_is_gone(tmp_path: Path) -> None:
    async with simulated_discord(tmp_path) as home:
        await home.ana.send(
            home.channel, f"{home.mention} what did {home.ben.mention} write in {home.channel.mention}?"
        )
        assert texts(home.inbox) == ["what did @ben write in #kitchen?"]


async def test_a_channel_is_read_by_its_server_and_itself_alone(tmp_path: Path) -> None:
    async with simulated_discord(tmp_path) as home:
        await home.ana.send(home.channel, f"{home.mention} hi")
        (message,) = home.inbox.handled
        assert message.conversation == f"discord:{home.channel.id}"
        assert message.audience.names == {f"discord:{home.channel.id}", f"discord:guild:{home.guild.id}"}
        assert not message.audience.private


@pytest.mark.parametrize("place", ["guilds", "channels", "users", "roles"])
async def test_who_and_what_is_blocked_gets_no_answer(tmp_path: Path, place: str) -> None:
    async with simulated_discord(tmp_path) as home:
        role = home.guild.create_role("cooks")
        carl = home.guild.add_member(home.env.create_user("carl"), roles=[role])
        ids = {"guilds": home.guild.id, "channels": home.channel.id, "users": carl.id, "roles": role.id}
        home.settings = DiscordSettings.model_validate({place: {"block": [ids[place]]}})
        await home.restart()
        await carl.send(home.channel, f"{home.mention} hi")
        assert home.inbox.handled == []


async def test_admins_are_those_the_settings_name(tmp_path: Path) -> None:
    async with simulated_discord(tmp_path) as home:
        role = home.guild.create_role("parents")
        dora = home.guild.add_member(home.env.create_user("dora"), roles=[role])
        home.settings = DiscordSettings(admin_roles=frozenset({role.id}))
        await home.restart()
        await dora.send(home.channel, f"{home.mention} hi")
        await dora.send_dm("hi")
        await home.ana.send(home.channel, f"{home.mention} hi")
        assert [message.author.is_admin for message in home.inbox.handled] == [True, True, False]


async def own_thread(home: SimulatedDiscord) -> simcord.ChannelHandle:
    (thread,) = home.channel.threads
    return thread


async def test_where_the_admin_wants_it_an_answer_gets_a_thread_of_its_own(tmp_path: Path) -> None:
    async with simulated_discord(tmp_path, DiscordSettings(answer_in_thread=True)) as home:
        question = await home.ana.send(home.channel, f"{home.mention} where is the drive?")
        await home.inbox.wait_until_idle()
        thread = await own_thread(home)
        assert thread.name == "where is the drive?"
        assert home.answers(thread) == ["where is the drive?"]
        assert home.answers() == []
        (message,) = home.inbox.handled
        assert message.conversation == f"discord:{thread.id}" == f"discord:{question.id}"
        assert f"discord:{home.channel.id}" in message.audience.names


async def test_a_single_channel_may_have_its_answers_in_threads(tmp_path: Path) -> None:
    async with simulated_discord(tmp_path) as home:
        hall = home.guild.create_text_channel("hall")
        home.settings = DiscordSettings(channel_overrides={home.channel.id: ChannelSettings(answer_in_thread=True)})
        await home.restart()
        for place in (home.channel, hall):
            await home.ana.send(place, f"{home.mention} where is the drive?")
        await home.inbox.wait_until_idle()
        assert home.answers(await own_thread(home)) == ["where is the drive?"]
        assert home.answers() == []
        assert home.answers(hall) == ["where is the drive?"]


async def test_every_message_in_its_own_thread_is_answered_there(tmp_path: Path) -> None:
    async with simulated_discord(tmp_path, DiscordSettings(answer_in_thread=True)) as home:
        await home.ana.send(home.channel, f"{home.mention} where is the drive?")
        await home.inbox.wait_until_idle()
        thread = await own_thread(home)
        await home.ben.send(thread, "and its key?")
        await home.inbox.wait_until_idle()
        assert home.answers(thread) == ["where is the drive?", "and its key?"]
        assert len({message.conversation for message in home.inbox.handled}) == 1


async def test_without_the_right_to_open_threads_the_channel_gets_the_answer_and_the_log_says_why_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with simulated_discord(tmp_path, DiscordSettings(answer_in_thread=True)) as home:
        shut = discord.PermissionOverwrite(create_public_threads=False)
        hall = home.guild.create_text_channel("hall", overwrites={home.guild.default_role: shut})
        await home.ana.send(hall, f"{home.mention} where is the drive?")
        await home.inbox.wait_until_idle()
        await home.ana.send(hall, f"{home.mention} and the key?")
        await home.inbox.wait_until_idle()
        assert home.answers(hall) == ["where is the drive?", "and the key?"]
        assert home.inbox.handled[0].conversation == f"discord:{hall.id}"
    assert caplog.text.count("give it “Create Public Threads”") == 1


async def test_a_thread_that_cannot_be_opened_after_all_is_done_without(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with simulated_discord(tmp_path, DiscordSettings(answer_in_thread=True)) as home:
        home.env.inject_error("POST", "/channels/*/messages/*/threads", status=403, code=50013)
        await home.ana.send(home.channel, f"{home.mention} where is the drive?")
        await home.inbox.wait_until_idle()
        assert home.answers() == ["where is the drive?"]
    assert caplog.text.count("give it “Create Public Threads”") == 1


async def test_a_question_without_words_is_handed_in_as_an_empty_one(tmp_path: Path) -> None:
    async with simulated_discord(tmp_path) as home:
        await home.ana.send(home.channel, home.mention)
        assert texts(home.inbox) == [""]


async def test_commands_of_the_host_are_left_to_the_host(tmp_path: Path) -> None:
    host = commands.Bot("!", intents=discord.Intents(guilds=True, messages=True, message_content=True))

    @host.command()
    async def ping(context: commands.Context[commands.Bot]) -> None:
        await context.send("pong")

    async with simulated_discord(tmp_path, bot=host) as home:
        await home.ana.send_dm("!ping")
        await home.ana.send_dm("!pong is what?")
        await home.inbox.wait_until_idle()
        assert texts(home.inbox) == ["!pong is what?"]


async def test_who_manages_the_server_is_an_admin(tmp_path: Path) -> None:
    async with simulated_discord(tmp_path) as home:
        role = home.guild.create_role("keepers", permissions=discord.Permissions(manage_guild=True))
        dora = home.guild.add_member(home.env.create_user("dora"), roles=[role])
        await dora.send(home.channel, f"{home.mention} hi")
        assert home.inbox.handled[0].author.is_admin


async def test_roles_count_in_direct_messages_too(tmp_path: Path) -> None:
    async with simulated_discord(tmp_path) as home:
        role = home.guild.create_role("cooks")
        carl = home.guild.add_member(home.env.create_user("carl"), roles=[role])
        home.settings = DiscordSettings.model_validate({"roles": {"allow": [role.id]}})
        await home.restart()
        await carl.send_dm("let me in")
        await home.ana.send_dm("and me")
        assert texts(home.inbox) == ["let me in"]


async def test_a_thread_where_it_was_mentioned_is_its_own_from_then_on(tmp_path: Path) -> None:
    async with simulated_discord(tmp_path) as home:
        start = await home.ana.send(home.channel, "boiler talk")
        made = home.env.backend.create_thread(home.channel.id, "boiler", home.ana.id, message_id=start.id)
        thread = next(thread for thread in home.channel.threads if thread.id == made.id)
        await home.ana.send(thread, "it drips")
        assert home.inbox.handled == []
        await home.ana.send(thread, f"{home.mention} whom do we call?")
        await home.ana.send(thread, "and when?")
        await home.inbox.wait_until_idle()
        assert texts(home.inbox) == ["whom do we call?", "and when?"]
        await home.restart()
        await home.ana.send(thread, "who pays?")
        await home.inbox.wait_until_idle()
        assert texts(home.inbox)[-1] == "who pays?"
