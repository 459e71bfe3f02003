"""The real core behind the real library: whatever goes wrong on Discord, the journal is right afterwards."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from tests.fakes.core import Core, running_core
from tests.fakes.discord_server.message import Message
from tests.fakes.discord_wire import DiscordHarness
from tests.fakes.engine import ScriptedEngine

ANSWER = ["The drive is on shelf Heron. ", "It goes back there in the evening. ", "All adults may touch it."]
DOCUMENTS = {
    "handbook": "Where is the backup drive? The backup drive lives on shelf Heron.",
    "accounts": "Where is the backup drive? Its password is zanzibar.",
}


class House:
    """Hearth at work. Its engine holds answers back after their first piece until it is let go."""

    def __init__(self, wire: DiscordHarness, core: Core) -> None:
        self.wire, self.core = wire, core

    async def half(self, text: str = "Where is the backup drive?") -> Message:
        """Ana asks; the question, when the first piece of its answer is shown."""
        self.core.engine.gate.clear()
        question = await self.wire.ask(text)
        await self.wire.until(lambda: self.wire.shown)
        return question

    async def rest(self) -> None:
        """The engine goes on, and everything comes to its end."""
        self.core.engine.gate.set()
        await self.ended()

    async def ended(self) -> None:
        async with asyncio.timeout(60):
            await self.core.inbox.wait_until_idle()

    async def states(self) -> list[str]:
        """What the journal says of each question, oldest first, and that nothing is left open."""
        assert await self.core.history.journal.open_messages("discord") == []
        rows = await self.core.history._database.fetch_rows("SELECT state FROM messages ORDER BY rowid")
        return [state for (state,) in rows]


@asynccontextmanager
async def house(
    wire: DiscordHarness, pieces: Sequence[str] = ANSWER, *, held: bool = False, **settings: object
) -> AsyncIterator[House]:
    """With `held` the engine holds back from the start."""
    for name, text in DOCUMENTS.items():
        folder = wire.folder / "documents" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "drive.txt").write_text(text, encoding="utf-8")
    home = wire.server.guild("Rook Lane")
    readers = {
        "handbook": [f"discord:guild:{home.id}"],
        "accounts": [f"discord:role:{home.role('Keepers').id}"],
    }
    engine = ScriptedEngine(lambda _: pieces, capacity=2)
    if held:
        engine.gate.clear()
    async with running_core(wire.folder, engine=engine, readers=readers, **settings) as core, wire.living(core.inbox):
        await wire.until(lambda: "ask" in wire.server.commands.names())
        yield House(wire, core)


async def test_a_channel_that_goes_in_the_middle_of_an_answer_fails_it_and_the_log_says_why_once(
    wire: DiscordHarness, caplog: pytest.LogCaptureFixture
) -> None:
    async with house(wire) as hearth:
        await hearth.half()
        wire.channel.delete()
        await hearth.rest()
        assert await hearth.states() == ["failed"]
    assert caplog.text.count("The channel no longer exists.") == 1


async def test_a_guild_that_goes_in_the_middle_of_an_answer_fails_it(
    wire: DiscordHarness, caplog: pytest.LogCaptureFixture
) -> None:
    async with house(wire) as hearth:
        await hearth.half()
        wire.server.guild("Rook Lane").delete()
        await hearth.rest()
        assert await hearth.states() == ["failed"]
    assert caplog.text.count("The channel no longer exists.") == 1


async def test_an_answer_that_somebody_deletes_fails(wire: DiscordHarness, caplog: pytest.LogCaptureFixture) -> None:
    async with house(wire) as hearth:
        await hearth.half()
        await wire.channel.remove(*wire.channel.said_by_bot)
        await hearth.rest()
        assert await hearth.states() == ["failed"]
        assert wire.shown == []
    assert caplog.text.count("The message with the answer was deleted.") == 1


async def test_a_question_that_is_deleted_stops_its_answer(wire: DiscordHarness) -> None:
    async with house(wire) as hearth:
        question = await hearth.half()
        await wire.channel.remove(question)
        await hearth.ended()
        assert await hearth.states() == ["cancelled"]
        assert wire.shown[0].startswith("The drive is on shelf Heron.")
        assert "Stopped." in wire.shown[0]


async def test_a_question_that_is_edited_starts_over_in_the_same_message(wire: DiscordHarness) -> None:
    async with house(wire) as hearth:
        question = await hearth.half()
        (message,) = wire.channel.said_by_bot
        await wire.channel.edit(question, "<@bot> Where is the backup drive, exactly?")
        await wire.until(lambda: len(hearth.core.engine.prompts) == 2)
        await hearth.rest()
        assert await hearth.states() == ["answered"]
        assert "exactly?" in hearth.core.engine.prompts[1].tail
        assert wire.channel.said_by_bot == [message]
        assert message.content.startswith("".join(ANSWER))


async def test_two_people_who_press_stop_end_the_answer_once(wire: DiscordHarness) -> None:
    async with house(wire) as hearth:
        await hearth.half()
        (message,) = wire.channel.said_by_bot
        assert "Stop" in message.buttons
        pressed = await asyncio.gather(
            *(wire.channel.press(person, message, "Stop") for person in (wire.ana, wire.root))
        )
        await hearth.ended()
        await wire.until(lambda: all(press.texts for press in pressed))
        assert pressed[0].texts == ["I am stopping this answer."]
        assert pressed[1].texts[0] in ("I am stopping this answer.", "There is nothing to stop.")
        assert await hearth.states() == ["cancelled"]
        assert message.content.count("Stopped.") == 1


@pytest.mark.parametrize(
    "text",
    ["x" * 6000, "```python\n" + "print('heron')\n" * 600 + "```", "🏡" * 3000, "שלום " * 1000, "a\u200b" * 2500],
    ids=["no spaces", "one code block", "emoji", "right to left", "zero width"],
)
async def test_long_answers_are_journaled_and_shown_whole(wire: DiscordHarness, text: str) -> None:
    async with house(wire, [text[start : start + 500] for start in range(0, len(text), 500)]) as hearth:
        await wire.ask("Where is the backup drive?")
        await wire.until(lambda: wire.channel.said_by_bot and "Try again" in wire.channel.said_by_bot[-1].buttons)
        await hearth.ended()
        assert await hearth.states() == ["answered"]
        kept = await hearth.core.history._database.fetch_rows("SELECT text FROM turns WHERE role = 'assistant'")
        assert kept == [(text,)]
    assert max(map(len, wire.shown)) <= 2000
    shown = "".join(wire.shown).split("\n-# ")[0]

    def bare(written: str) -> str:
        return "".join(written.replace("```python", "").replace("```", "").split())

    assert bare(shown) == bare(text)


async def test_a_minute_without_discord_delays_the_answer_and_the_journal_keeps_it(wire: DiscordHarness) -> None:
    async with house(wire) as hearth:
        await hearth.half()
        fault = wire.server.faults.fail(status=503, for_s=60.0)
        hearth.core.engine.gate.set()
        await wire.until(lambda: fault.hits >= 2)
        assert len(await hearth.core.history.journal.open_messages("discord")) == 1
        wire.server.clock.advance(61)
        await hearth.ended()
        assert await hearth.states() == ["answered"]
        assert wire.shown[0].startswith("".join(ANSWER))


async def test_nothing_of_a_restricted_collection_or_of_a_private_answer_shows_up_in_the_channel(
    wire: DiscordHarness,
) -> None:
    home = wire.server.guild("Rook Lane")
    async with house(wire, when_nothing_found="answer") as hearth:
        keeper = home.member("Keeper", "Keepers")
        private = await wire.channel.command(keeper, "ask", question="Where is the backup drive?", private=True)
        await wire.until(lambda: private.texts and private.texts[0].startswith("".join(ANSWER)))
        await hearth.ended()
        await wire.channel.command(keeper, "ask", question="Where is the backup drive now?")
        await wire.until(lambda: len(hearth.core.engine.prompts) == 2)
        await hearth.ended()
        again = await wire.channel.command(keeper, "ask", question="And what else?", private=True)
        await wire.until(lambda: again.texts and again.texts[0])
        await hearth.ended()
        secret, public, later = hearth.core.engine.prompts
        assert private.private
        assert "zanzibar" in secret.tail
        assert all("zanzibar" not in turn.text for turn in public.turns())
        # Each conversation reads its own turns alone.
        assert public.history == ()
        assert later.history[0].text.endswith("Where is the backup drive?")
        conversations = await hearth.core.history._database.fetch_rows(
            "SELECT conversation FROM messages ORDER BY rowid"
        )
        channel = f"discord:{wire.channel.id}"
        assert [row[0] for row in conversations] == [
            f"{channel}#private:{keeper.id}",
            channel,
            f"{channel}#private:{keeper.id}",
        ]
        assert await hearth.states() == ["answered"] * 3


async def test_an_answer_that_a_restart_interrupts_goes_on_in_the_same_message(wire: DiscordHarness) -> None:
    async with house(wire) as hearth:
        await hearth.half()
        (message,) = wire.channel.said_by_bot
    async with house(wire) as hearth:
        await wire.until(lambda: "Try again" in message.buttons)
        await hearth.ended()
        assert await hearth.states() == ["answered"]
    assert wire.channel.said_by_bot == [message]
    assert message.content.startswith("".join(ANSWER))
    assert message.content.count(ANSWER[0]) == 1


async def test_a_question_that_is_edited_after_a_restart_starts_over(wire: DiscordHarness) -> None:
    async with house(wire) as hearth:
        question = await hearth.half()
    async with house(wire, held=True) as hearth:
        await wire.until(lambda: hearth.core.engine.prompts)
        await wire.channel.edit(question, "<@bot> Where is the backup drive, exactly?")
        await wire.until(lambda: len(hearth.core.engine.prompts) == 2)
        await hearth.rest()
        assert await hearth.states() == ["answered"]
        assert "exactly?" in hearth.core.engine.prompts[1].tail
    assert len(wire.shown) == 1


async def test_a_slash_command_of_an_earlier_process_is_asked_again_until_it_is_forgotten(wire: DiscordHarness) -> None:
    async with house(wire) as hearth:
        asked = await wire.channel.command(wire.ana, "ask", question="Where is the backup drive?")
        await wire.until(lambda: asked.seen and "Try again" in asked.seen[0].buttons)
        await hearth.ended()
    async with house(wire) as hearth:
        again = await wire.channel.press(wire.ana, asked.seen[0], "Try again")
        await wire.until(lambda: again.seen and "Try again" in again.seen[0].buttons)
        await hearth.ended()
        assert await hearth.states() == ["answered"] * 2
        assert hearth.core.engine.prompts[0].tail.endswith("Where is the backup drive?")
        forgotten = await wire.channel.command(wire.ana, "forget")
        await wire.until(lambda: forgotten.texts and "Forgotten" in forgotten.texts[0])
        gone = await wire.channel.press(wire.ana, asked.seen[0], "Try again")
        await wire.until(lambda: gone.texts == ["I no longer have this question. Please ask it again."])
        await hearth.ended()


async def test_a_deleted_question_takes_back_a_reply_without_any_text_of_an_answer(wire: DiscordHarness) -> None:
    async with house(wire, held=True, queue_notice_after_s=0.0) as hearth:
        others = [await wire.channel.say(wire.root, f"<@bot> Where is the backup drive? {n}") for n in range(2)]
        await wire.until(lambda: len(hearth.core.engine.prompts) == 1)
        waiting = await wire.ask("Where is the backup drive?")
        await wire.until(lambda: any(said.answers is waiting for said in wire.channel.said_by_bot))
        await wire.channel.remove(waiting)
        await wire.until(lambda: not any(said.answers is waiting for said in wire.channel.said_by_bot))
        await hearth.rest()
        assert (await hearth.states())[-1] == "cancelled"
    assert not any("Stopped" in text for text in wire.shown)
    assert len(wire.shown) == len(others)
