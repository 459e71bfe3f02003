"""The buttons under an answer, pressed by people on a simulated Discord."""

import asyncio
from pathlib import Path

import discord
import pytest

from adapters.discord.outgoing.views import ButtonId
from bot.core.messages import ConversationId, FinalAnswer, Message
from bot.core.ports import Reply
from tests.fakes.furnished_discord import FullSimulatedDiscord, full_simulated_discord
from tests.fakes.inbox import TOOK, FakeInbox


class Endless:
    """A script whose answer does not end by itself, and takes its time when it is stopped."""

    def __init__(self) -> None:
        self.house: FullSimulatedDiscord | None = None
        self.let_go = asyncio.Event()

    async def __call__(self, message: Message, reply: Reply) -> None:
        assert self.house is not None
        await reply.working()
        await reply.append("The drive is on the shelf. ")
        try:
            await self.house.env.external_wait(asyncio.Event().wait(), reason="the model writes and writes")
        except asyncio.CancelledError:
            await self.house.env.external_wait(self.let_go.wait(), reason="the model is told to stop")
            raise


def labels(message: discord.Message) -> list[str | None]:
    return [button.label for row in message.components for button in row.children]  # type: ignore[union-attr]


def answer_in(house: FullSimulatedDiscord) -> discord.Message:
    message = house.channel.last_message
    assert message is not None
    return message


async def asked(house: FullSimulatedDiscord, text: str = "Where is the drive?") -> discord.Message:
    """Ana asks by mention; the message with the answer."""
    await house.ana.send(house.channel, f"{house.mention} {text}")
    await house.inbox.wait_until_idle()
    return answer_in(house)


async def running(house: FullSimulatedDiscord, script: Endless) -> discord.Message:
    """Ana asks, and the answer is in the making."""
    script.house = house
    await house.ana.send(house.channel, f"{house.mention} Where is the drive?")
    return answer_in(house)


async def test_a_finished_answer_can_be_tried_again_and_shows_its_sources(tmp_path: Path) -> None:
    async with full_simulated_discord(tmp_path) as house:
        assert labels(await asked(house)) == ["Try again", "Sources"]


async def test_stop_ends_the_answer_once_however_many_press_it(tmp_path: Path) -> None:
    script = Endless()
    async with full_simulated_discord(tmp_path, inbox=FakeInbox(script)) as house:
        message = await running(house, script)
        assert labels(message) == ["Stop"]
        first = await house.ana.click(message, label="Stop")
        second = await house.root.click(message, label="Stop")
        script.let_go.set()
        await house.inbox.wait_until_idle()
        assert len(house.inbox.stopped_answers) == 1
        assert [result.response and result.response.content for result in (first, second)] == [
            "I am stopping this answer."
        ] * 2
        assert first.ephemeral
        assert second.ephemeral


async def test_only_who_asked_and_admins_may_stop(tmp_path: Path) -> None:
    script = Endless()
    async with full_simulated_discord(tmp_path, inbox=FakeInbox(script)) as house:
        message = await running(house, script)
        result = await house.ben.click(message, label="Stop")
        assert result.response is not None
        assert result.response.content == "Only the person who asked, and admins, may do that."
        assert result.ephemeral
        assert house.inbox.stopped_answers == []
        await house.ana.click(message, label="Stop")
        script.let_go.set()
        await house.inbox.wait_until_idle()


async def test_trying_again_asks_the_question_again_under_an_id_of_its_own(tmp_path: Path) -> None:
    async with full_simulated_discord(tmp_path) as house:
        message = await asked(house)
        result = await house.ana.click(message, label="Try again")
        await house.inbox.wait_until_idle()
        assert result.response is not None
        assert result.response.content == "Where is the drive?"
        first, second = house.inbox.handled
        assert second.text == first.text
        assert second.conversation == first.conversation
        assert second.event_id != first.event_id


async def test_a_private_question_is_tried_again_in_private(tmp_path: Path) -> None:
    async with full_simulated_discord(tmp_path) as house:
        shown = await house.ana.slash(house.channel, "ask", question="Where is the key?", private=True)
        await house.inbox.wait_until_idle()
        assert shown.response is not None
        result = await house.ana.click(shown.response.message, label="Try again")
        await house.inbox.wait_until_idle()
        assert result.response is not None
        assert result.response.content == "Where is the key?"
        assert result.response.ephemeral
        assert house.inbox.handled[0].conversation == house.inbox.handled[1].conversation


async def test_a_question_that_is_gone_cannot_be_tried_again(tmp_path: Path) -> None:
    async with full_simulated_discord(tmp_path) as house:
        message = await asked(house)
        question = house.channel.history()[-2]
        await house.ana.delete(question)
        result = await house.ana.click(message, label="Try again")
        assert result.response is not None
        assert result.response.content == "I no longer have this question. Please ask it again."


async def test_sources_are_shown_to_whoever_presses_and_to_nobody_else(tmp_path: Path) -> None:
    async def script(message: Message, reply: Reply) -> None:
        if message.command == "sources":
            await reply.finish(FinalAnswer("Handbook, page 3."))
        else:
            await reply.finish(FinalAnswer("On the shelf.", timings=TOOK))

    async with full_simulated_discord(tmp_path, inbox=FakeInbox(script)) as house:
        message = await asked(house)
        result = await house.ben.click(message, label="Sources")
        await house.inbox.wait_until_idle()
        assert result.response is not None
        assert result.response.content == "Handbook, page 3."
        assert result.response.ephemeral
        named = house.inbox.handled[1]
        assert (named.command, named.text) == ("sources", house.inbox.handled[0].event_id)
        assert named.conversation == house.inbox.handled[0].conversation
        assert not named.audience.private


async def test_buttons_work_after_a_restart(tmp_path: Path) -> None:
    async with full_simulated_discord(tmp_path) as house:
        message = await asked(house)
        await house.restart()
        result = await house.ana.click(message, label="Try again")
        await house.inbox.wait_until_idle()
        assert result.response is not None
        assert result.response.content == "Where is the drive?"


async def test_what_a_slash_command_asked_can_be_tried_again_after_a_restart(tmp_path: Path) -> None:
    async with full_simulated_discord(tmp_path) as house:
        shown = await house.ana.slash(house.channel, "ask", question="Where is the key?")
        await house.inbox.wait_until_idle()
        await house.restart()
        assert shown.response is not None
        result = await house.ana.click(shown.response.message, label="Try again")
        await house.inbox.wait_until_idle()
        assert result.response is not None
        assert result.response.content == "Where is the key?"
        again = await house.ana.click(result.response.message, label="Try again")
        await house.inbox.wait_until_idle()
        assert again.response is not None
        assert again.response.content == "Where is the key?"


async def test_a_message_that_was_pointed_at_is_read_anew_when_it_is_tried_again(tmp_path: Path) -> None:
    async with full_simulated_discord(tmp_path) as house:
        target = await house.ben.send(house.channel, "Does it fit?", attachments=[("plan.md", b"# Plan")])
        shown = await house.ana.context_menu(house.channel, "Ask Hearth about this", target)
        await house.inbox.wait_until_idle()
        await house.ben.edit(target, "Does it fit the hall?")
        await house.restart()
        assert shown.response is not None
        result = await house.ana.click(shown.response.message, label="Try again")
        await house.inbox.wait_until_idle()
        assert result.response is not None
        assert result.response.content == "Does it fit the hall?"
        assert [file.name for file in house.inbox.handled[-1].attachments] == ["plan.md"]
        await house.ben.delete(target)
        gone = await house.ana.click(result.response.message, label="Try again")
        assert gone.response is not None
        assert gone.response.content == "I no longer have this question. Please ask it again."


async def test_a_command_by_mention_has_no_buttons_neither_while_it_runs_nor_in_the_end(tmp_path: Path) -> None:
    async with full_simulated_discord(tmp_path) as house:
        while_running: list[list[str | None]] = []

        async def script(message: Message, reply: Reply) -> None:
            await reply.replace("Reading documents.")
            while not house.answers():
                await asyncio.sleep(0)
            while_running.append(labels(answer_in(house)))
            await reply.finish(FinalAnswer("Read the documents."))

        house.inbox.script = script
        assert labels(await asked(house, "reindex")) == []
        assert while_running == [[]]


async def test_the_answer_to_a_command_has_no_buttons(tmp_path: Path) -> None:
    async with full_simulated_discord(tmp_path) as house:
        result = await house.ana.slash(house.channel, "help")
        await house.inbox.wait_until_idle()
        assert result.response is not None
        assert result.response.components == []


@pytest.mark.parametrize("private", [False, True])
@pytest.mark.parametrize("about", ["", str(2**64 - 1)])
def test_a_button_says_all_there_is_to_know_in_its_id(private: bool, about: str) -> None:
    longest = 2**64 - 1
    press = ButtonId("sources", str(longest), longest, longest, private, about)
    assert len(press.custom_id) <= 100
    assert ButtonId.from_custom_id(press.custom_id) == press


def test_ids_of_other_buttons_are_left_alone() -> None:
    assert ButtonId.from_custom_id("host:stop:1:2:3") is None
    assert ButtonId.from_custom_id("hearth:delete:1:2:3") is None


def test_a_private_answer_is_named_by_its_conversation() -> None:
    assert ButtonId("stop", "1", 7, 9, private=True).conversation == ConversationId("discord:9#private:7")
