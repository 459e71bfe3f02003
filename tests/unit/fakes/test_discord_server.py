"""Messages, people and permissions of the fake Discord, as a bare discord.py client meets them."""

import io

import aiohttp
import discord
import pytest

from tests.fakes.discord_server import DiscordServer, Listener, discord_server, running
from tests.fakes.discord_server.limits import MESSAGES
from tests.fakes.discord_server.message import poll

NO_PINGS = discord.AllowedMentions.none()


async def test_a_client_logs_in_and_hears_what_people_say(server: DiscordServer) -> None:
    home = server.guild("Home")
    async with running(server, Listener()) as client:
        await home.channel("general").say(home.member("Ana"), "<@bot> where is the drive?")
        await server.until(lambda: client.heard == [f"<@{server.bot.id}> where is the drive?"])


async def test_what_a_client_sends_and_edits_is_kept_with_all_its_versions(server: DiscordServer) -> None:
    channel = server.guild("Home").channel("general")
    async with running(server, Listener()) as client:
        sent = await client.get_channel(channel.id).send("first")
        await sent.edit(content="second")
    (message,) = channel.said_by_bot
    assert [version.content for version in message.versions] == ["first", "second"]
    assert message.id == sent.id


async def test_the_same_nonce_within_minutes_gives_the_message_already_sent(server: DiscordServer) -> None:
    channel = server.guild("Home").channel("general")
    async with running(server, Listener()) as client:
        place = client.get_channel(channel.id)
        first = await place.send("once", nonce="n-1")
        again = await place.send("once", nonce="n-1")
        server.clock.advance(server.settings.nonce_memory_s + 1)
        forgotten = await place.send("once", nonce="n-1")
    assert again.id == first.id != forgotten.id
    assert len(channel.said_by_bot) == 2


async def test_a_lost_answer_leaves_the_message_posted_and_the_client_in_doubt(server: DiscordServer) -> None:
    channel = server.guild("Home").channel("general")
    async with running(server, Listener()) as client:
        place = client.get_channel(channel.id)
        server.faults.lose_answer("POST", MESSAGES)
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await place.send("did it arrive?", nonce="n-2")
        await place.send("did it arrive?", nonce="n-2")
    assert [message.content for message in channel.said_by_bot] == ["did it arrive?"]


async def test_history_is_read_after_before_and_around_a_message(server: DiscordServer) -> None:
    home = server.guild("Home")
    channel, ana = home.channel("general"), home.member("Ana")
    said = [await channel.say(ana, f"line {number}") for number in range(7)]
    async with running(server, Listener()) as client:
        place = client.get_channel(channel.id)

        async def read(**where: discord.Object | int) -> list[str]:
            return [message.content[-1] async for message in place.history(**where)]

        assert await read(after=discord.Object(said[3].id), limit=2) == ["4", "5"]
        assert await read(before=discord.Object(said[3].id), limit=2) == ["2", "1"]
        assert sorted(await read(around=discord.Object(said[3].id), limit=3)) == ["2", "3", "4"]
        assert await read(limit=1) == ["6"]


async def test_without_the_intent_contents_come_only_with_mentions_and_in_direct_messages(
    server: DiscordServer,
) -> None:
    home = server.guild("Home")
    ana = home.member("Ana")
    async with running(server, Listener(contents=False)) as client:
        await home.channel("general").say(ana, "to nobody")
        await home.channel("general").say(ana, "to <@bot>")
        await server.direct(ana).say(ana, "in private")
        await server.until(lambda: client.heard == ["", f"to <@{server.bot.id}>", "in private"])


async def test_edits_and_deletions_by_people_are_told(server: DiscordServer) -> None:
    home = server.guild("Home")
    channel, ana = home.channel("general"), home.member("Ana")
    told: list[tuple[str, int]] = []
    client = Listener()

    @client.event
    async def on_raw_message_edit(event: discord.RawMessageUpdateEvent) -> None:
        told.append((event.data["content"], event.message_id))

    @client.event
    async def on_raw_message_delete(event: discord.RawMessageDeleteEvent) -> None:
        told.append(("deleted", event.message_id))

    async with running(server, client):
        message = await channel.say(ana, "which shelf?")
        await channel.edit(message, "which room?")
        await channel.remove(message)
        await server.until(lambda: told == [("which room?", message.id), ("deleted", message.id)])
    assert channel.messages == []


async def test_files_travel_both_ways(server: DiscordServer) -> None:
    home = server.guild("Home")
    channel = home.channel("general")
    said = await channel.say(home.member("Ana"), "read this", files={"plan.txt": b"shelf B4"})
    async with running(server, Listener()) as client:
        place = client.get_channel(channel.id)
        (attachment,) = (await place.fetch_message(said.id)).attachments
        assert (attachment.filename, await attachment.read()) == ("plan.txt", b"shelf B4")
        await place.send("a chart", file=discord.File(io.BytesIO(b"png"), "chart.png"))
        said.files[0].gone = True
        with pytest.raises(discord.NotFound):
            await attachment.read()
    assert [(file.name, file.data) for file in channel.said_by_bot[0].files] == [("chart.png", b"png")]


async def test_a_reply_points_at_its_message_and_pings_only_whom_it_may(server: DiscordServer) -> None:
    home = server.guild("Home")
    channel, ana = home.channel("general"), home.member("Ana")
    asked = await channel.say(ana, "who is everyone?")
    async with running(server, Listener()) as client:
        place = client.get_channel(channel.id)
        quiet = await place.send(
            f"@everyone {ana.mention}", reference=place.get_partial_message(asked.id), allowed_mentions=NO_PINGS
        )
        await place.send(f"@everyone {ana.mention}")
        assert (await place.fetch_message(quiet.id)).reference.message_id == asked.id
    first, second = channel.said_by_bot
    assert (first.answers, first.pings) == (asked, frozenset())
    assert second.pings == {"@everyone", ana.mention}


async def test_threads_are_opened_from_messages_and_heard_in(server: DiscordServer) -> None:
    home = server.guild("Home")
    channel, ana = home.channel("general"), home.member("Ana")
    asked = await channel.say(ana, "a long story")
    async with running(server, Listener()) as client:
        message = await client.get_channel(channel.id).fetch_message(asked.id)
        thread = await message.create_thread(name="Story")
        await thread.send("here")
        (made,) = home.threads
        await made.say(ana, "and then?")
        await server.until(lambda: client.heard == ["and then?"])
        await thread.edit(archived=True)
        with pytest.raises(discord.HTTPException) as refused:
            await message.create_thread(name="Again")
    assert (thread.id, made.parent, made.archived) == (asked.id, channel, True)
    assert refused.value.code == 160004


async def test_direct_messages_are_opened_and_refused(server: DiscordServer) -> None:
    ana = server.guild("Home").member("Ana")
    async with running(server, Listener()) as client:
        user = await client.fetch_user(ana.id)
        await user.send("psst")
        ana.user.closed_dms = True
        with pytest.raises(discord.Forbidden) as refused:
            await user.send("still there?")
    assert refused.value.code == 50007
    assert [message.content for message in server.direct(ana).said_by_bot] == ["psst"]


@pytest.mark.parametrize(
    ("denied", "code"), [("send_messages", 50013), ("attach_files", 50013), ("view_channel", 50001)]
)
async def test_a_permission_taken_is_refused_and_known_to_the_client(
    server: DiscordServer, denied: str, code: int
) -> None:
    channel = server.guild("Home").channel("general")
    async with running(server, Listener()) as client:
        place = client.get_channel(channel.id)
        channel.deny(denied)
        await server.until(lambda: not getattr(place.permissions_for(place.guild.me), denied))
        with pytest.raises(discord.Forbidden) as refused:
            await place.send("hello", file=discord.File(io.BytesIO(b"x"), "x.txt"))
        assert refused.value.code == code
        channel.allow(denied)
        await place.send("hello", file=discord.File(io.BytesIO(b"x"), "x.txt"))


async def test_what_is_gone_is_unknown(server: DiscordServer) -> None:
    home = server.guild("Home")
    channel, other = home.channel("general"), home.channel("other")
    async with running(server, Listener()) as client:
        place = client.get_channel(channel.id)
        sent = await place.send("soon gone")
        await channel.remove(channel.said_by_bot[0])
        with pytest.raises(discord.NotFound) as no_message:
            await sent.edit(content="still here?")
        channel.delete()
        with pytest.raises(discord.NotFound) as no_channel:
            await place.send("anybody?")
        home.delete()
        await server.until(lambda: not client.guilds)
        with pytest.raises(discord.NotFound) as no_guild:
            await client.fetch_channel(other.id)
    assert [one.value.code for one in (no_message, no_channel, no_guild)] == [10008, 10003, 10003]


async def test_people_places_and_roles_are_fetched_fresh(server: DiscordServer) -> None:
    home = server.guild("Home")
    channel, ana = home.channel("general"), home.member("Ana", "Parents")
    thread = channel.thread("Plans")
    async with running(server, Listener()) as client:
        guild = client.get_guild(home.id)
        assert [role.name for role in (await guild.fetch_member(ana.id)).roles] == ["@everyone", "Parents"]
        ana.take(home.role("Parents"))
        assert [role.name for role in (await guild.fetch_member(ana.id)).roles] == ["@everyone"]
        assert [one.id for one in await guild.active_threads()] == [thread.id]
        assert (await client.fetch_guild(home.id)).name == "Home"
        assert (await client.fetch_channel(thread.id)).parent_id == channel.id
        with pytest.raises(discord.NotFound) as nobody:
            await guild.fetch_member(7)
    assert nobody.value.code == 10007


async def test_a_route_that_the_fake_does_not_know_fails_the_test(server: DiscordServer) -> None:
    async with running(server, Listener()) as client:
        with pytest.raises(discord.NotFound):
            await client.http.request(discord.http.Route("GET", "/users/@me/connections"))
    assert server.requests.take_faults() == ["GET /users/@me/connections: the fake Discord does not know this route"]


async def test_what_a_bot_may_not_do_with_messages_is_refused(server: DiscordServer) -> None:
    home = server.guild("Home")
    channel = home.channel("general")
    said = await channel.say(home.member("Ana"), "mine")
    async with running(server, Listener()) as client:
        place = client.get_channel(channel.id)
        theirs, gone = await place.fetch_message(said.id), place.get_partial_message(7)
        large = discord.File(io.BytesIO(b"x" * (10 * 1024 * 1024 + 1)), "large.bin")
        for attempt, code in [
            (place.get_partial_message(said.id).edit(content="yours"), 50005),
            (theirs.delete(), 50013),
            (place.send("   "), 50006),
            (place.send("to nothing", reference=gone), 50035),
            (place.send("large", file=large), 40005),
        ]:
            with pytest.raises(discord.HTTPException) as refused:
                await attempt
            assert refused.value.code == code
        unless_there = discord.MessageReference.from_message(theirs, fail_if_not_exists=False)
        await channel.remove(said)
        assert (await place.send("to nobody", reference=unless_there)).reference is None


async def test_a_bot_deletes_its_own_messages_and_hears_of_it(server: DiscordServer) -> None:
    channel = server.guild("Home").channel("general")
    gone: list[int] = []
    client = Listener()

    @client.event
    async def on_raw_message_delete(event: discord.RawMessageDeleteEvent) -> None:
        gone.append(event.message_id)

    async with running(server, client):
        sent = await client.get_channel(channel.id).send("oops")
        await sent.delete()
        await server.until(lambda: gone == [sent.id])
    assert channel.messages == []
    assert channel.everything[0].deleted


async def test_a_closed_thread_opens_for_a_new_message_and_a_locked_one_does_not(server: DiscordServer) -> None:
    thread = server.guild("Home").channel("general").thread("Plans")
    async with running(server, Listener()) as client:
        place = await client.fetch_channel(thread.id)
        sent = await place.send("one")
        thread.archive()
        with pytest.raises(discord.HTTPException) as closed:
            await sent.edit(content="two")
        assert closed.value.code == 50083
        await place.send("three")
        assert not thread.archived
        thread.archive(locked=True)
        with pytest.raises(discord.Forbidden) as locked:
            await place.send("four")
        assert locked.value.code == 160005


async def test_forwards_polls_and_webhooks_arrive_as_discord_tells_of_them(server: DiscordServer) -> None:
    home = server.guild("Home")
    channel, ana = home.channel("general"), home.member("Ana")
    received: list[discord.Message] = []

    class Hearing(Listener):
        async def on_message(self, message: discord.Message) -> None:
            received.append(message)

    async with running(server, Hearing()):
        first = await channel.say(ana, "the boiler drips", files={"plan.md": b"# Plan"})
        await channel.say(ana, "", forwards=[first])
        await channel.say(ana, "", poll=poll("When?", "today", "tomorrow"))
        await channel.say(server.world.person("Zed", is_bot=True), "hello", webhook_of=77)
        await server.until(lambda: len(received) == 4)
    _, forward, asked, proxied = received
    assert forward.reference is not None
    assert forward.reference.type is discord.MessageReferenceType.forward
    assert [snapshot.content for snapshot in forward.message_snapshots] == ["the boiler drips"]
    assert [file.filename for file in forward.message_snapshots[0].attachments] == ["plan.md"]
    assert asked.poll is not None
    assert (asked.poll.question, [answer.text for answer in asked.poll.answers]) == ("When?", ["today", "tomorrow"])
    assert (proxied.webhook_id, proxied.application_id) == (proxied.author.id, 77)


async def test_suppressed_embeds_are_not_shown(server: DiscordServer) -> None:
    channel = server.guild("Home").channel("general")
    async with running(server, Listener()) as client:
        place = client.get_channel(channel.id)
        shown = await place.send(embed=discord.Embed(description="sources"))
        hidden = await place.send(embed=discord.Embed(description="sources"), suppress_embeds=True)
    assert (len(shown.embeds), len(hidden.embeds)) == (1, 0)


async def test_edits_of_an_old_message_are_limited(server: DiscordServer) -> None:
    channel = server.guild("Home").channel("general")
    server.settings.old_edits = 1
    server.limits.lift()
    async with running(server, Listener()) as client:
        sent = await client.get_channel(channel.id).send("one")
        server.clock.advance(3601)
        await sent.edit(content="two")
        with pytest.raises(discord.HTTPException) as refused:
            await sent.edit(content="three")
    assert (refused.value.status, refused.value.code) == (429, 30046)
    assert channel.said_by_bot[0].content == "two"


async def test_a_text_that_is_too_long_is_refused_and_fails_the_test() -> None:
    with pytest.raises(AssertionError, match="content has 2001 characters"):
        async with discord_server() as server, running(server, Listener()) as client:
            channel = server.guild("Home").channel("general")
            await server.until(lambda: client.get_channel(channel.id))
            with pytest.raises(discord.HTTPException) as refused:
                await client.get_channel(channel.id).send("x" * 2001)
            assert refused.value.code == 50035


async def test_discord_py_is_pointed_back_when_the_server_ends() -> None:
    before = discord.http.Route.BASE, discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY
    async with discord_server():
        assert "127.0.0.1" in discord.http.Route.BASE
    assert before == (discord.http.Route.BASE, discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY)
