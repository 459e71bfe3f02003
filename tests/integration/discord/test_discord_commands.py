"""Slash commands and the message menu, chosen by people on a simulated Discord."""

import asyncio
import json
from pathlib import Path

import discord
import pytest
import simcord
from discord.ext import commands

from adapters.discord.settings import DiscordSettings, Ids
from bot.core.errors import ReplyFailed
from bot.core.messages import Attachment, FinalAnswer, Message
from bot.core.ports import Reply
from tests.fakes.furnished_discord import FullSimulatedDiscord, full_simulated_discord
from tests.fakes.inbox import FakeInbox


def synced(house: FullSimulatedDiscord) -> int:
    """How often the bot has handed its commands over."""
    return sum(request.method == "PUT" and request.path.endswith("/commands") for request in house.env.http_requests)


async def test_ask_answers_everybody_in_the_channel(tmp_path: Path) -> None:
    async with full_simulated_discord(tmp_path) as house:
        result = await house.ana.slash(house.channel, "ask", question="Where is the drive?")
        await house.inbox.wait_until_idle()
        await house.env.settle()
        assert result.acknowledged
        assert result.response is not None
        assert result.response.content == "Where is the drive?"
        assert not result.response.ephemeral
        message = house.inbox.handled[0]
        assert message.conversation == f"discord:{house.channel.id}"
        assert message.audience.names == {f"discord:{house.channel.id}", f"discord:guild:{house.guild.id}"}
        assert message.command == "ask"


async def test_a_private_answer_is_seen_by_the_person_alone_and_has_their_own_rights(tmp_path: Path) -> None:
    async with full_simulated_discord(tmp_path) as house:
        result = await house.root.slash(house.channel, "ask", question="Where is the key?", private=True)
        await house.inbox.wait_until_idle()
        await house.env.settle()
        assert result.response is not None
        assert result.response.ephemeral
        assert result.response.content == "Where is the key?"
        message = house.inbox.handled[0]
        conversation = f"discord:{house.channel.id}#private:{house.root.id}"
        assert message.conversation == conversation
        assert message.audience.private
        roles = [role for role in message.audience.names if role.startswith("discord:role:")]
        assert {conversation, f"discord:user:{house.root.id}"} <= message.audience.names
        assert len(roles) >= 1
        assert f"discord:{house.channel.id}" not in message.audience.names


async def test_a_question_in_direct_messages_is_private_with_the_roles_the_person_has_now(tmp_path: Path) -> None:
    async with full_simulated_discord(tmp_path) as house:
        role = house.guild.create_role("Residents")
        user = house.env.create_user("cara")
        house.guild.add_member(user, roles=[role])
        result = await user.slash("ask", question="Where is the key?")
        await house.inbox.wait_until_idle()
        assert result.response is not None
        assert result.response.content == "Where is the key?"
        message = house.inbox.handled[0]
        assert message.conversation == f"discord:{user.dm_channel.id}"
        assert message.audience.private
        assert f"discord:role:{role.id}" in message.audience.names


async def test_a_question_in_a_thread_is_read_by_whoever_reads_its_channel(tmp_path: Path) -> None:
    async with full_simulated_discord(tmp_path) as house:
        opener = await house.ben.send(house.channel, "The boiler")
        await opener.create_thread(name="Boiler")
        (thread,) = house.channel.threads
        await house.ana.slash(thread, "ask", question="Is it serviced?")
        await house.inbox.wait_until_idle()
        message = house.inbox.handled[0]
        assert message.conversation == f"discord:{thread.id}"
        assert {f"discord:{thread.id}", f"discord:{house.channel.id}"} <= message.audience.names


async def test_what_was_said_before_goes_with_a_question_where_the_admin_lets_it(tmp_path: Path) -> None:
    async with full_simulated_discord(tmp_path, DiscordSettings(recent_messages=2)) as house:
        for text in ("First", "Second", "Third"):
            await house.ben.send(house.channel, text)
        await house.ana.slash(house.channel, "ask", question="What did they say?")
        await house.inbox.wait_until_idle()
        assert [said.text for said in house.inbox.handled[0].context] == ["Second", "Third"]


async def test_a_long_private_answer_goes_on_in_messages_that_nobody_else_sees(tmp_path: Path) -> None:
    async def script(message: Message, reply: Reply) -> None:
        await reply.finish(FinalAnswer("word " * 700))

    async with full_simulated_discord(tmp_path, inbox=FakeInbox(script)) as house:
        result = await house.ana.slash(house.channel, "ask", question="All of it?", private=True)
        await house.inbox.wait_until_idle()
        assert len(result.followups) >= 1
        assert all(part.ephemeral for part in result.followups)
        assert house.channel.history(viewer=house.ben) == []


async def test_a_command_for_admins_is_refused_to_others_with_a_sentence(tmp_path: Path) -> None:
    async with full_simulated_discord(tmp_path) as house:
        assert "reindex" not in house.ben.available_commands(house.channel)
        house.env.backend.commands[None][("reindex", 1)]["default_member_permissions"] = None  # let by the server
        result = await house.ben.slash(house.channel, "reindex")
        assert result.response is not None
        assert result.response.content == "Only admins may use /reindex."
        assert result.ephemeral
        assert house.inbox.handled == []


@pytest.mark.parametrize("direct", [False, True], ids=["on a server", "in direct messages"])
async def test_slash_commands_and_mentions_agree_on_who_is_an_admin(tmp_path: Path, direct: bool) -> None:
    async with full_simulated_discord(tmp_path) as house:
        cooks = house.guild.create_role("Cooks")
        users = {name: house.env.create_user(name) for name in ("by-id", "by-role", "by-right", "nobody")}
        manager = house.guild.create_role("Managers", permissions=discord.Permissions(administrator=True))
        roles = {"by-role": [cooks], "by-right": [manager]}
        members = {name: house.guild.add_member(user, roles=roles.get(name, [])) for name, user in users.items()}
        house.settings = DiscordSettings(admin_users=frozenset({users["by-id"].id}), admin_roles=frozenset({cooks.id}))
        await house.restart()
        for name, user in users.items():
            if direct:
                await user.slash("ask", question=name)
                await members[name].send_dm(name)
            else:
                await members[name].slash(house.channel, "ask", question=name)
                await members[name].send(house.channel, f"{house.mention} {name}")
        await house.inbox.wait_until_idle()
        found = [(message.text, message.author.is_admin) for message in house.inbox.handled]
        expected = {"by-id": True, "by-role": True, "by-right": True, "nobody": False}
        assert found == [pair for pair in expected.items() for _ in range(2)]


async def test_who_is_let_in_by_role_may_use_commands_in_direct_messages_too(tmp_path: Path) -> None:
    async with full_simulated_discord(tmp_path) as house:
        cooks = house.guild.create_role("Cooks")
        cara = house.env.create_user("cara")
        house.guild.add_member(cara, roles=[cooks])
        house.settings = DiscordSettings(roles=Ids(allow=frozenset({cooks.id})))
        await house.restart()
        await cara.slash("ask", question="Where is the key?")
        refused = await house.ana_user.slash("ask", question="Where is the key?")
        await house.inbox.wait_until_idle()
        assert [message.author.id for message in house.inbox.handled] == [f"discord:{cara.id}"]
        assert refused.response is not None
        assert refused.response.content == "I do not answer here."


async def test_reindex_shows_progress_and_result_to_the_admin_alone(tmp_path: Path) -> None:
    async def script(message: Message, reply: Reply) -> None:
        await reply.replace("Reading documents: 1 of 2.")
        await reply.finish(FinalAnswer("Read the documents."))

    async with full_simulated_discord(tmp_path, inbox=FakeInbox(script)) as house:
        result = await house.root.slash(house.channel, "reindex")
        await house.inbox.wait_until_idle()
        assert result.response is not None
        assert result.ephemeral
        assert result.response.content == "Read the documents."
        assert house.inbox.handled[0].command == "reindex"
        assert house.inbox.handled[0].author.is_admin


async def test_stats_shows_the_picture(tmp_path: Path) -> None:
    async def script(message: Message, reply: Reply) -> None:
        await reply.finish(
            FinalAnswer("Up for a day.", pictures=(Attachment("last-day.png", "image/png", b"\x89PNG"),))
        )

    async with full_simulated_discord(tmp_path, inbox=FakeInbox(script)) as house:
        result = await house.root.slash(house.channel, "stats")
        await house.inbox.wait_until_idle()
        assert result.response is not None
        assert [file.filename for file in result.response.attachments] == ["last-day.png"]


async def test_forget_of_the_conversation_names_the_room(tmp_path: Path) -> None:
    async with full_simulated_discord(tmp_path) as house:
        await house.ana.slash(house.channel, "forget", conversation=True)
        message = house.inbox.handled[0]
        assert (message.command, message.text) == ("forget", "conversation")
        assert message.conversation == f"discord:{house.channel.id}"
        assert not message.audience.private


async def test_the_menu_on_a_message_asks_what_the_message_says(tmp_path: Path) -> None:
    async with full_simulated_discord(tmp_path) as house:
        target = await house.ben.send(house.channel, "Is the boiler serviced?")
        result = await house.ana.context_menu(house.channel, "Ask Hearth about this", target)
        await house.inbox.wait_until_idle()
        assert result.response is not None
        assert result.response.content == "Is the boiler serviced?"
        assert house.inbox.handled[0].author.id == f"discord:{house.ana.id}"


async def test_a_channel_that_is_shut_gets_a_sentence(tmp_path: Path) -> None:
    settings = DiscordSettings(channels=Ids(allow=frozenset({1})))
    async with full_simulated_discord(tmp_path, settings) as house:
        result = await house.ana.slash(house.channel, "ask", question="Anybody?")
        assert result.response is not None
        assert result.response.content == "I do not answer here."
        assert house.inbox.handled == []


async def test_names_of_commands_come_in_the_persons_language(tmp_path: Path) -> None:
    async with full_simulated_discord(tmp_path) as house:
        french = {
            command["name"]: command["name_localizations"] for command in house.env.backend.commands[None].values()
        }
        assert french["forget"] == {"fr": "oublier"}
        assert french["Ask Hearth about this"] == {"fr": "Demander à Hearth"}


async def test_definitions_are_handed_over_once_until_they_change(tmp_path: Path) -> None:
    async with full_simulated_discord(tmp_path) as house:
        assert synced(house) == 1
        await house.restart()
        assert synced(house) == 1
        file = tmp_path / "discord-commands.json"
        kept = json.loads(file.read_text(encoding="utf-8"))
        file.write_text(json.dumps({key: {**value, "hash": "older"} for key, value in kept.items()}), encoding="utf-8")
        await house.restart()
        assert synced(house) == 2


async def test_commands_that_another_program_overwrote_are_registered_again_at_the_next_start(tmp_path: Path) -> None:
    async with full_simulated_discord(tmp_path) as house:
        names = {command["name"] for command in house.env.backend.commands[None].values()}
        await house.restart()
        assert synced(house) == 1
        assert house.env.bot.application_id is not None
        await house.env.bot.http.bulk_upsert_global_commands(
            house.env.bot.application_id, payload=[{"name": "ping", "description": "of the host", "type": 1}]
        )
        await house.restart()
        found = {command["name"] for command in house.env.backend.commands[None].values()}
        assert found == names | {"ping"}


async def test_in_a_bot_full_of_commands_only_those_that_do_not_fit_are_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    host = commands.Bot(command_prefix="?", intents=discord.Intents.default(), help_command=None)
    for number in range(5):

        @host.tree.context_menu(name=f"Menu {number}")
        async def menu(interaction: discord.Interaction[commands.Bot], message: discord.Message) -> None:
            await interaction.response.send_message("host")

    async with full_simulated_discord(tmp_path, bot=host) as house:
        result = await house.ana.slash(house.channel, "ask", question="Where is the drive?")
        await house.inbox.wait_until_idle()
        assert result.response is not None
        assert result.response.content == "Where is the drive?"
        assert sum(command["type"] == 3 for command in house.env.backend.commands[None].values()) == 0
    assert "Skipping the command “Ask Hearth about this”: the bot has 5" in caplog.text


async def test_definitions_that_discord_does_not_take_are_tried_again_at_the_next_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with full_simulated_discord(tmp_path) as house:
        (tmp_path / "discord-commands.json").unlink()
        house.env.inject_error("PUT", "/applications/*/commands", status=400, code=30034, message="Too many today")
        await house.restart()
        assert "Could not update the slash commands" in caplog.text
        assert not (tmp_path / "discord-commands.json").exists()
        assert house.env.errors == []
        await house.restart()
        assert (tmp_path / "discord-commands.json").exists()


class Deaf(FakeInbox):
    """An inbox that takes nothing: the person is blocked, or the conversation paused."""

    async def handle(self, message: Message, reply: Reply) -> None:
        self.handled.append(message)


async def test_who_is_blocked_is_told_instead_of_left_waiting(tmp_path: Path) -> None:
    async with full_simulated_discord(tmp_path, inbox=Deaf()) as house:
        result = await house.ana.slash(house.channel, "ask", question="Anybody?")
        assert result.response is not None
        assert result.response.content == "I do not answer here."


async def test_commands_of_the_host_stay_as_they_are(tmp_path: Path) -> None:
    host = commands.Bot(command_prefix="?", intents=discord.Intents.default(), help_command=None)

    @host.tree.command(name="help", description="The host's own help")
    async def own_help(interaction: discord.Interaction[commands.Bot]) -> None:
        await interaction.response.send_message("host")

    async with full_simulated_discord(tmp_path, bot=host) as house:
        await host.tree.sync()
        result = await house.ana.slash(house.channel, "help")
        assert result.response is not None
        assert result.response.content == "host"


@pytest.fixture
def short_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    """A minute is enough: the simulation plays each typing notice of the time."""
    monkeypatch.setattr("adapters.discord.outgoing.interaction_token.INTERACTION_LASTS_S", 60.0)


class SlowModel:
    """A script whose answer comes when the test says so."""

    def __init__(self) -> None:
        self.house: FullSimulatedDiscord | None = None
        self.ready = asyncio.Event()
        self.refused: ReplyFailed | None = None
        """What the core was told of the answer."""

    async def __call__(self, message: Message, reply: Reply) -> None:
        assert self.house is not None
        await self.house.env.external_wait(self.ready.wait(), reason="the model is slow")
        await reply.finish(FinalAnswer("Under the mat."))

    async def outlast(self, house: FullSimulatedDiscord, seconds: float, private: bool) -> simcord.InteractionResult:
        """Ana asks, and the answer comes so much later."""
        self.house = house
        asked = await house.ana.slash(house.channel, "ask", question="Where is the key?", private=private)
        await house.env.advance_time(seconds)
        self.ready.set()
        try:
            await house.inbox.wait_until_idle()
        except ReplyFailed as error:
            self.refused = error
        return asked


async def test_a_private_answer_that_outlasts_its_token_comes_as_a_direct_message(
    tmp_path: Path, short_tokens: None
) -> None:
    model = SlowModel()
    async with full_simulated_discord(tmp_path, inbox=FakeInbox(model)) as house:
        shown = await model.outlast(house, 2 * 60, private=True)
        assert [message.content for message in house.ana_direct()] == ["Under the mat."]
        assert house.channel.history(viewer=house.ben) == []
        assert shown.response is not None
        assert shown.response.content == (
            "This is taking longer than Discord allows. I'll send the answer by direct message if I can."
        )


async def test_a_private_answer_never_comes_to_the_channel(tmp_path: Path, short_tokens: None) -> None:
    model = SlowModel()
    async with full_simulated_discord(tmp_path, inbox=FakeInbox(model)) as house:
        house.env.inject_error("POST", "/channels/*/messages", status=403, code=50007)
        await model.outlast(house, 2 * 60, private=True)
        assert model.refused is not None
        assert [message.content for message in house.channel.history(viewer=house.ben)] == [
            f"<@{house.ana.id}>, your private answer took too long, and I may not write to you directly."
            " Please ask again."
        ]


async def test_a_public_answer_that_outlasts_its_token_comes_as_a_message_of_the_channel(
    tmp_path: Path, short_tokens: None
) -> None:
    model = SlowModel()
    async with full_simulated_discord(tmp_path, inbox=FakeInbox(model)) as house:
        await model.outlast(house, 2 * 60, private=False)
        # Nothing is left that says it was still thinking.
        assert [message.content for message in house.channel.history()] == ["Under the mat."]


async def test_a_token_that_discord_ends_early_is_given_up(tmp_path: Path) -> None:
    async with full_simulated_discord(tmp_path) as house:
        house.env.inject_error("PATCH", "/webhooks/*", status=404, code=10015)
        await house.ana.slash(house.channel, "ask", question="Where is the drive?")
        await house.inbox.wait_until_idle()
        assert house.channel.history()[-1].content == "Where is the drive?"


@pytest.mark.parametrize("code", [10062, 40060])
async def test_an_interaction_acknowledged_too_late_or_twice_is_answered(tmp_path: Path, code: int) -> None:
    async with full_simulated_discord(tmp_path) as house:
        house.env.inject_error("POST", "/interactions/*", status=404 if code == 10062 else 400, code=code)
        await house.ana.slash(house.channel, "ask", question="Where is the drive?")
        await house.inbox.wait_until_idle()
        assert house.answers() == ["Where is the drive?"]
