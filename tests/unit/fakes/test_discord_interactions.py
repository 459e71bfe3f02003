"""Slash commands, menus and buttons of the fake Discord, as discord.py answers them."""

import io
from collections.abc import AsyncIterator

import discord
import pytest
from discord import app_commands

from tests.fakes.discord_server import DiscordServer, Listener, running
from tests.fakes.discord_server.channel import Channel
from tests.fakes.discord_server.people import Member


class Asked(Listener):
    """A client with commands; `waits` are moves of the server's clock before each answer."""

    def __init__(self, server: DiscordServer) -> None:
        super().__init__()
        self.server, self.waits_s, self.faults = server, 0.0, list[app_commands.AppCommandError | Exception]()
        self.tree = app_commands.CommandTree(self)
        self.tree.add_command(app_commands.Command(name="ask", description="Ask", callback=self._ask))
        self.tree.add_command(app_commands.Command(name="think", description="Think", callback=self._think))
        self.tree.add_command(app_commands.ContextMenu(name="Ask about this", callback=self._about))
        admin = app_commands.Command(name="reindex", description="Admins", callback=self._reindex)
        admin.default_permissions = discord.Permissions.none()
        self.tree.add_command(admin)
        self.tree.on_error = self._failed

    async def setup_hook(self) -> None:
        await self.tree.sync()

    async def _ask(self, interaction: discord.Interaction, question: str, private: bool = False) -> None:
        self.server.clock.advance(self.waits_s)
        await interaction.response.send_message(f"about {question}", ephemeral=private, view=self.view())
        await interaction.followup.send("and more", ephemeral=private)

    async def _think(self, interaction: discord.Interaction) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        self.server.clock.advance(self.waits_s)
        await interaction.edit_original_response(content="thought")
        await interaction.followup.send("with a file", file=discord.File(io.BytesIO(b"x"), "x.txt"), ephemeral=True)
        await (await interaction.original_response()).edit(content="thought well")

    async def _about(self, interaction: discord.Interaction, message: discord.Message) -> None:
        await interaction.response.send_message(f"you said {message.content}")

    async def _reindex(self, interaction: discord.Interaction) -> None:
        await interaction.response.send_message("reindexing", ephemeral=True)

    async def _failed(self, interaction: discord.Interaction, error: app_commands.AppCommandError) -> None:
        self.faults.append(error.__cause__ or error)

    def view(self) -> discord.ui.View:
        view = discord.ui.View(timeout=None)
        button: discord.ui.Button = discord.ui.Button(label="Stop", custom_id="stop:1")

        async def stop(interaction: discord.Interaction) -> None:
            await interaction.response.edit_message(content="stopped", view=None)

        button.callback = stop
        return view.add_item(button)


@pytest.fixture
async def client(server: DiscordServer) -> AsyncIterator[Asked]:
    server.guild("Home").channel("general")
    async with running(server, Asked(server)) as made:
        yield made


@pytest.fixture
def channel(server: DiscordServer) -> Channel:
    return server.guild("Home").channel("general")


@pytest.fixture
def ana(server: DiscordServer) -> Member:
    return server.guild("Home").member("Ana")


async def test_an_answer_and_a_follow_up_stand_in_the_channel(
    server: DiscordServer, client: Asked, channel: Channel, ana: Member
) -> None:
    used = await channel.command(ana, "ask", question="the drive")
    await server.until(lambda: used.texts == ["about the drive", "and more"])
    assert not used.private
    assert [message.content for message in channel.said_by_bot] == used.texts
    assert used.answered_after_s < 3


async def test_a_private_answer_is_seen_by_the_person_alone(
    server: DiscordServer, client: Asked, channel: Channel, ana: Member
) -> None:
    used = await channel.command(ana, "ask", question="my notes", private=True)
    await server.until(lambda: len(used.seen) == 2)
    assert used.private
    assert channel.said_by_bot == []


async def test_a_deferred_answer_is_filled_in_and_followed_up(
    server: DiscordServer, client: Asked, channel: Channel, ana: Member
) -> None:
    used = await channel.command(ana, "think")
    await server.until(lambda: used.texts == ["thought well", "with a file"])
    assert (used.deferred, used.loading, used.private) == (True, False, True)
    assert [file.data for file in used.seen[1].files] == [b"x"]


async def test_an_answer_after_three_seconds_meets_an_unknown_interaction(
    server: DiscordServer, client: Asked, channel: Channel, ana: Member
) -> None:
    client.waits_s = 3.1
    used = await channel.command(ana, "ask", question="the drive")
    await server.until(lambda: client.faults)
    assert (client.faults[0].code, used.seen) == (10062, [])


async def test_after_fifteen_minutes_the_token_is_worth_nothing(
    server: DiscordServer, client: Asked, channel: Channel, ana: Member
) -> None:
    client.waits_s = 15 * 60 + 1
    used = await channel.command(ana, "think")
    await server.until(lambda: client.faults)
    assert (client.faults[0].status, client.faults[0].code) == (401, 50027)
    assert used.loading


async def test_an_interaction_is_acknowledged_once(
    server: DiscordServer, client: Asked, channel: Channel, ana: Member
) -> None:
    used = await channel.command(ana, "ask", question="the drive")
    await server.until(lambda: len(used.seen) == 2)
    body = discord.http.handle_message_parameters("twice")
    with pytest.raises(discord.HTTPException) as refused:
        await client.http.request(
            discord.http.Route("POST", f"/interactions/{used.id}/{used.token}/callback"),
            json={"type": 4, "data": body.payload},
        )
    assert refused.value.code == 40060


async def test_a_menu_carries_its_message(server: DiscordServer, client: Asked, channel: Channel, ana: Member) -> None:
    said = await channel.say(ana, "the drive hums")
    used = await channel.menu(ana, "Ask about this", said)
    await server.until(lambda: used.texts == ["you said the drive hums"])


async def test_a_button_is_pressed_by_its_label_and_changes_its_message(
    server: DiscordServer, client: Asked, channel: Channel, ana: Member
) -> None:
    used = await channel.command(ana, "ask", question="the drive")
    await server.until(lambda: len(used.seen) == 2)
    message = channel.said_by_bot[0]
    assert message.buttons == {"Stop": "stop:1"}
    await channel.press(ana, message, "Stop")
    await server.until(lambda: message.content == "stopped" and not message.buttons)


async def test_only_admins_are_offered_what_is_for_admins(
    server: DiscordServer, client: Asked, channel: Channel, ana: Member
) -> None:
    with pytest.raises(AssertionError, match="not offered"):
        await channel.command(ana, "reindex")
    boss = server.guild("Home").member("Boss", admin=True)
    used = await channel.command(boss, "reindex")
    await server.until(lambda: used.texts == ["reindexing"])


async def test_registrations_are_counted_and_keep_their_ids(server: DiscordServer, client: Asked) -> None:
    before = {command["name"]: command["id"] for command in server.commands.listed()}
    await client.tree.sync()
    assert server.commands.writes == 2
    assert {command["name"]: command["id"] for command in server.commands.listed()} == before
    assert server.commands.names() == ["Ask about this", "ask", "reindex", "think"]


async def test_the_two_hundred_and_first_creation_of_a_day_is_refused(server: DiscordServer, client: Asked) -> None:
    with pytest.raises(discord.HTTPException) as refused:
        for day in range(4):
            named = [{"name": f"c{day}-{number}", "description": "x", "type": 1} for number in range(60)]
            await client.http.bulk_upsert_global_commands(client.application_id, named)
    assert refused.value.code == 30034
    server.clock.advance(24 * 3600 + 1)
    await client.tree.sync()
