"""The commands of the table, on the real core."""

import asyncio
from pathlib import Path

import pytest

from bot.core.texts import localize
from tests.fakes.core import Core, RecoveryAdapter, running_core
from tests.fakes.engine import ScriptedEngine
from tests.fakes.messages import message


@pytest.fixture
def house(tmp_path: Path) -> Path:
    folder = tmp_path / "documents" / "handbook"
    folder.mkdir(parents=True)
    (folder / "drive.txt").write_text("The backup drive lives on shelf Heron.")
    return tmp_path


async def told(core: Core, text: str, event_id: str = "c", **fields: object) -> str:
    reply = await core.ask(message(text, event_id, **fields))  # type: ignore[arg-type]
    assert reply.closing is not None
    return reply.closing.text


async def test_help_lists_every_command_in_the_conversations_language(house: Path) -> None:
    async with running_core(house) as core:
        english = await told(core, "!help", "1")
        await core.ask(message("Où est rangé le disque de sauvegarde ?", "2", conversation="console:fr"))
        french = await told(core, "!aide", "3", conversation="console:fr")
    for name in ("ask", "help", "stats", "reindex", "sources", "forget", "stop"):
        assert f"!{name}" in english
        assert f"!{name}" in french
    assert localize("help_stop", "fr") in french


async def test_sources_quotes_the_passages_of_the_last_answer(house: Path) -> None:
    async with running_core(house) as core:
        assert await told(core, "!sources", "1") == localize("no_answer_yet", "en")
        await core.ask(message("Where is the backup drive?", "2"))
        quoted = await told(core, "!sources", "3")
    assert "1. drive.txt (handbook)" in quoted
    assert "> The backup drive lives on shelf Heron." in quoted


async def test_sources_of_an_answer_without_documents_says_so(house: Path) -> None:
    async with running_core(house, when_nothing_found="answer") as core:
        await core.ask(message("Who composed the opera Turandot?", "1", names=frozenset()))
        assert await told(core, "!sources", "2") == localize("no_sources", "en")


async def test_stats_tells_queue_speed_and_index(house: Path) -> None:
    async with running_core(house) as core:
        await core.ask(message("Where is the backup drive?", "1"))
        text = await told(core, "!stats", "2", admin=True)
    assert "Model: scripted" in text
    assert "1 answered, 0 failed" in text
    assert "handbook: 1 documents, 1 passages, 0 unreadable" in text


async def test_stats_ends_with_what_the_platform_says_of_itself_in_the_conversations_language(house: Path) -> None:
    async with running_core(house) as core:
        before = await told(core, "!stats", "1", admin=True)
        core.stats.set_adapters([RecoveryAdapter(core, "All is well.")])
        here = await told(core, "!stats", "2", admin=True)
        elsewhere = await told(core, "!stats", "3", admin=True, conversation="matrix:!room")
    assert here.splitlines()[-1] == "All is well. (en)"
    assert "All is well." not in before + elsewhere


@pytest.mark.parametrize("command", ["reindex", "stats"])
async def test_what_is_for_admins_is_refused_to_others_however_they_write_it(house: Path, command: str) -> None:
    async with running_core(house) as core:
        assert await told(core, f"!{command}", "1") == localize("not_admin", "en", command=f"!{command}")
        assert await told(core, command, "2", private=True) == localize("not_admin", "en", command=f"!{command}")


async def test_reindex_reports_what_changed_and_what_failed(house: Path) -> None:
    async with running_core(house) as core:
        (house / "documents" / "handbook" / "new.txt").write_text("A new page.")
        (house / "documents" / "handbook" / "bad.txt").write_text("unreadable")
        text = await told(core, "!reindex", admin=True)
    assert "1 added, 0 changed, 0 removed, 1 unchanged, 1 failed" in text
    assert "handbook/bad.txt: It says itself that it is unreadable." in text


async def test_reindex_removes_what_looks_like_an_accident_only_when_that_is_confirmed(house: Path) -> None:
    async with running_core(house) as core:
        (house / "documents" / "handbook" / "drive.txt").unlink()
        text = await told(core, "!reindex", "1", admin=True)
        assert "0 removed" in text
        assert localize("reindex_vanished", "en", collection="handbook", documents=1) in text
        assert "!reindex confirm" in text
        confirmed = await told(core, "!reindex confirm", "2", admin=True)
    assert "1 removed" in confirmed
    assert "confirm" not in confirmed


async def test_a_second_reindex_at_the_same_time_is_refused(house: Path) -> None:
    async with running_core(house) as core:
        first = await core.send(message("!reindex", "1", admin=True))
        second = await core.send(message("!reindex", "2", admin=True, conversation="console:b"))
        await core.inbox.wait_until_idle()
    texts = {reply.closing.text for reply in (first, second) if reply.closing}
    assert localize("reindex_running", "en") in texts
    assert len(texts) == 2


async def test_forget_deletes_what_a_person_said_everywhere_and_says_how_much(house: Path) -> None:
    async with running_core(house) as core:
        await core.ask(message("Where is the backup drive?", "1"))
        await core.ask(message("Where is the backup drive?", "2", conversation="console:b"))
        await core.ask(message("Where is the backup drive?", "3", author="ben"))
        text = await told(core, "!forget", "4")
        left = await core.history.past_turns(message("").conversation)
    assert "4 turns" in text
    assert "4 KB of model state" in text
    assert [turn.speaker for turn in left] == ["Ben", ""]
    assert set(core.engine.forgotten) == {"console:room", "console:b"}


async def test_forget_conversation_is_for_private_conversations_and_admins(house: Path) -> None:
    async with running_core(house) as core:
        await core.ask(message("Where is the backup drive?", "1", author="ben"))
        refused = await told(core, "!forget conversation", "2", private=False)
        assert refused == localize("forget_conversation_refused", "en", prefix="!")
        await told(core, "!forget conversation", "3", private=False, admin=True)
        assert await core.history.past_turns(message("").conversation) == []


async def test_forget_something_else_is_explained(house: Path) -> None:
    async with running_core(house) as core:
        await core.ask(message("Where is the backup drive?", "1"))
        assert await told(core, "!forget the drive", "2") == localize("forget_unknown", "en", prefix="!")
        assert len(await core.history.past_turns(message("").conversation)) == 2


async def test_forgetting_in_the_middle_of_an_answer_leaves_nothing_of_it(house: Path) -> None:
    engine = ScriptedEngine()
    engine.gate.clear()
    async with running_core(house, engine=engine) as core:
        reply = await core.send(message("Where is the backup drive?", "1"))
        async with asyncio.timeout(60):
            while not reply.pieces:
                await asyncio.sleep(0.005)
        await core.ask(message("!forget conversation", "2"))
        engine.gate.set()
        await core.inbox.wait_until_idle()
        assert await core.history.past_turns(message("").conversation) == []
        assert await core.history.journal.open_messages("console") == []
    assert reply.ended.is_set()


async def test_stop_with_nothing_to_stop_says_so(house: Path) -> None:
    async with running_core(house) as core:
        assert await told(core, "!stop") == localize("nothing_to_stop", "en")


async def test_sources_that_the_audience_may_no_longer_read_are_not_quoted(house: Path) -> None:
    async with running_core(house) as core:
        await core.ask(message("Where is the backup drive?", "1"))
        quoted = await told(core, "!sources", "2", names=frozenset({"console:room"}))
    assert quoted == localize("no_sources", "en")
