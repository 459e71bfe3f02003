"""Slash commands and buttons over the wire: deadlines, ended tokens, who sees what, and in which language."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import discord
import pytest

from adapters.discord.settings import Ids
from adapters.discord.texts import localize
from bot.core.errors import ReplyFailed
from bot.core.messages import FinalAnswer, Message
from bot.core.ports import Reply
from tests.fakes.discord_server import refusals
from tests.fakes.discord_server.channel import Channel
from tests.fakes.discord_server.interactions import FIRST_RESPONSE_S, TOKEN_LIFE_S, Interaction
from tests.fakes.discord_server.routes_interactions import FOLLOWED
from tests.fakes.discord_wire import DiscordHarness
from tests.fakes.inbox import TOOK, FakeInbox

MEMBER = "/guilds/{guild_id}/members/{user_id}"
CALLBACK = "/interactions/{interaction_id}/{interaction_token}/callback"


@asynccontextmanager
async def serving(wire: DiscordHarness, inbox: FakeInbox, **more: object) -> AsyncIterator[None]:
    async with wire.living(inbox, **more):
        await wire.until(lambda: "ask" in wire.server.commands.names())
        yield


class Waits:
    """A script whose answer waits until it is let go."""

    def __init__(self) -> None:
        self.go = asyncio.Event()

    async def __call__(self, message: Message, reply: Reply) -> None:
        await reply.working()
        await self.go.wait()
        await reply.finish(FinalAnswer("Under the mat.", timings=TOOK))


async def test_an_answer_unfolds_no_link_and_pings_nobody(wire: DiscordHarness) -> None:
    text = f"See https://example.org, @everyone and {wire.root.mention}"

    async def script(message: Message, reply: Reply) -> None:
        await reply.append("See this first. ")
        await reply.finish(FinalAnswer(text, timings=TOOK))

    inbox = FakeInbox(script)
    async with serving(wire, inbox):
        for private in (False, True):
            asked = await wire.channel.command(wire.ana, "ask", question="where?", private=private)
            await wire.until(lambda asked=asked: asked.texts == [text])
            assert asked.private is private
            assert discord.MessageFlags._from_value(asked.seen[0].flags).suppress_embeds
            assert not asked.seen[0].pings
        await inbox.wait_until_idle()


@pytest.mark.parametrize("name", ["help", "sources", "stop", "forget", "stats", "reindex"])
async def test_what_a_command_says_is_seen_by_the_person_alone(wire: DiscordHarness, name: str) -> None:
    async def script(message: Message, reply: Reply) -> None:
        await reply.finish(FinalAnswer(f"This is {message.command}."))

    inbox = FakeInbox(script)
    async with serving(wire, inbox):
        given = await wire.channel.command(wire.root, name)
        await wire.until(lambda: given.texts == [f"This is {name}."])
        await inbox.wait_until_idle()
    assert given.deferred
    assert given.private
    assert not given.seen[0].buttons


async def test_a_command_is_acknowledged_in_time_though_discord_is_slow_to_tell_the_persons_roles(
    wire: DiscordHarness,
) -> None:
    inbox, direct = FakeInbox(), wire.server.direct(wire.ana)
    async with serving(wire, inbox, users=Ids(allow=(wire.ana.id,)), roles=Ids(allow=(1,))):
        wire.server.faults.delay(4.0, "GET", MEMBER)
        asked = await direct.command(wire.ana, "ask", question="where?")
        await wire.until(lambda: asked.texts == ["where?"])
        await inbox.wait_until_idle()
    assert asked.answered_after_s is not None
    assert asked.answered_after_s < FIRST_RESPONSE_S


async def test_a_private_question_acknowledged_too_late_is_answered_directly_and_never_in_the_channel(
    wire: DiscordHarness,
) -> None:
    inbox = FakeInbox()
    async with serving(wire, inbox):
        wire.server.faults.delay(FIRST_RESPONSE_S + 0.2, "POST", CALLBACK, times=1)
        await wire.channel.command(wire.ana, "ask", question="where?", private=True)
        direct = wire.server.direct(wire.ana)
        await wire.until(lambda: [message.content for message in direct.said_by_bot] == ["where?"])
        await inbox.wait_until_idle()
    assert wire.shown == []


async def test_a_token_that_ended_leaves_nobody_thinking_in_the_channel(wire: DiscordHarness) -> None:
    script = Waits()
    inbox = FakeInbox(script)
    async with serving(wire, inbox):
        asked = await wire.channel.command(wire.ana, "ask", question="where?")
        await wire.until(lambda: inbox.handled)
        wire.server.clock.advance(TOKEN_LIFE_S + 1)
        script.go.set()
        await wire.until(lambda: wire.shown == ["Under the mat."])
        await inbox.wait_until_idle()
    assert asked.seen[0].deleted
    assert wire.channel.said_by_bot[0].interaction is None


async def test_an_answer_that_was_begun_with_a_token_that_ended_stands_there_once(wire: DiscordHarness) -> None:
    go = asyncio.Event()

    async def script(message: Message, reply: Reply) -> None:
        await reply.working()
        await reply.append("Under the mat. ")
        await go.wait()
        await reply.finish(FinalAnswer("Under the mat. And in the drawer.", timings=TOOK))

    inbox = FakeInbox(script)
    async with serving(wire, inbox):
        await wire.channel.command(wire.ana, "ask", question="where?")
        await wire.until(lambda: wire.shown and wire.shown[0].strip() == "Under the mat.")
        wire.server.clock.advance(TOKEN_LIFE_S + 1)
        go.set()
        await wire.until(lambda: wire.shown == ["Under the mat. And in the drawer."])
        await inbox.wait_until_idle()
    assert "Try again" in wire.channel.said_by_bot[0].buttons


async def test_an_answer_that_automod_blocks_keeps_no_button_and_the_person_is_told(wire: DiscordHarness) -> None:
    async def script(message: Message, reply: Reply) -> None:
        await reply.working()
        await reply.append("Under the mat. ")
        await wire.until(lambda: asked.seen and asked.seen[0].buttons)
        wire.server.faults.refuse(refusals.automod_blocked(), "PATCH", FOLLOWED, times=1)
        with pytest.raises(ReplyFailed, match="AutoMod"):
            while True:
                await reply.append("And in the drawer. ")
                await asyncio.sleep(0.01)

    inbox = FakeInbox(script)
    async with serving(wire, inbox):
        asked = await wire.channel.command(wire.ana, "ask", question="where?")
        await wire.until(lambda: inbox.handled)
        await inbox.wait_until_idle()
        assert asked.seen[0].content.startswith("Under the mat.")
        assert asked.seen[0].buttons == {}
        direct = wire.server.direct(wire.ana)
        assert [said.content for said in direct.said_by_bot] == [
            localize("answer_blocked", "en", place=wire.channel.mention)
        ]


async def french(wire: DiscordHarness, channel: Channel, inbox: FakeInbox) -> Interaction:
    zoe = wire.server.guild("Rook Lane").member("Zoé", locale="fr")
    asked = await channel.command(zoe, "ask", question="Où est la clé ?")
    await wire.until(lambda: asked.seen and asked.seen[0].buttons)
    await inbox.wait_until_idle()
    return asked


async def test_buttons_and_sentences_come_in_the_persons_language(wire: DiscordHarness) -> None:
    inbox = FakeInbox()
    async with serving(wire, inbox):
        asked = await french(wire, wire.channel, inbox)
        assert set(asked.seen[0].buttons) == {localize("button_again", "fr"), localize("button_sources", "fr")}
        paul = wire.server.guild("Rook Lane").member("Paul", locale="fr")
        pressed = await wire.channel.press(paul, asked.seen[0], localize("button_again", "fr"))
        await wire.until(lambda: pressed.texts == [localize("button_not_yours", "fr")])
        refused = await wire.channel.command(paul, "stats", unchecked=True)
        await wire.until(lambda: refused.texts == [localize("not_admin", "fr", command="/stats")])
