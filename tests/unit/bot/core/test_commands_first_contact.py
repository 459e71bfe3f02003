"""The first messages of a newcomer, on the real core: greetings, unknown commands, an empty index."""

from pathlib import Path

import pytest

from bot.core.messages import Attachment
from bot.core.texts import localize
from tests.fakes.core import Core, running_core
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


@pytest.mark.parametrize(
    ("text", "key", "language"),
    [
        ("Hello!", "small_talk_greeting", "en"),
        ("Bonjour", "small_talk_greeting", "fr"),
        ("Thanks a lot!", "small_talk_thanks", "en"),
        ("Merci !", "small_talk_thanks", "fr"),
        ("What can you do?", "small_talk_about", "en"),
        ("Qui es-tu ?", "small_talk_about", "fr"),
    ],
)
async def test_small_talk_is_answered_in_its_language_without_search_and_model(
    house: Path, text: str, key: str, language: str
) -> None:
    async with running_core(house) as core:
        reply = await core.ask(message(text))
        assert core.engine.prompts == []
        assert await core.history.past_turns(message("").conversation) == []
    assert reply.closing is not None
    assert reply.closing.text.startswith(localize(key, language, prefix="!"))  # type: ignore[arg-type]
    assert reply.closing.note == ""


async def test_a_greeting_names_the_documents_that_the_audience_may_read(house: Path) -> None:
    async with running_core(house) as core:
        assert localize("documents_open", "en", collections="handbook") in await told(core, "Hello", "1")
        closed = await told(core, "Hello", "2", names=frozenset({"console:room"}))
    assert localize("documents_closed", "en") in closed


async def test_a_greeting_is_no_proof_of_the_conversations_language(house: Path) -> None:
    async with running_core(house) as core:
        await told(core, "Hello", "1")
        helped = await told(core, "Où est rangé le disque de sauvegarde ?", "2") and await told(core, "!aide", "3")
    assert localize("help_stop", "fr") in helped


async def test_documents_that_are_not_indexed_yet_are_told_with_the_way_out(house: Path) -> None:
    (house / "documents" / "handbook" / "drive.txt").unlink()
    sentence = localize("nothing_indexed", "en", collections="handbook", prefix="!")
    async with running_core(house) as core:
        assert await told(core, "Where is the backup drive?", "1") == sentence
        assert sentence in await told(core, "Hello", "2")
    assert "hearth index" in sentence


async def test_a_model_that_answers_without_documents_says_that_they_are_not_indexed(house: Path) -> None:
    (house / "documents" / "handbook" / "drive.txt").unlink()
    async with running_core(house, when_nothing_found="answer") as core:
        reply = await core.ask(message("Where is the backup drive?"))
    assert reply.closing is not None
    assert localize("nothing_indexed", "en", collections="handbook", prefix="!") in reply.closing.note


@pytest.mark.parametrize("text", ["forget", "oublie", "Oublie !", "forget everything"])
async def test_an_everyday_word_deletes_nothing(house: Path, text: str) -> None:
    async with running_core(house) as core:
        await core.ask(message("Where is the backup drive?", "1"))
        assert await told(core, text, "2") == localize("forget_needs_prefix", "en", prefix="!")
        assert len(await core.history.past_turns(message("").conversation)) == 2


async def test_a_french_word_is_answered_in_french_from_the_first_message_on(house: Path) -> None:
    async with running_core(house) as core:
        assert await told(core, "oublie", "1") == localize("forget_needs_prefix", "fr", prefix="!")


async def test_a_misspelled_command_is_told_with_the_nearest_one(house: Path) -> None:
    async with running_core(house) as core:
        await core.ask(message("Where is the backup drive?", "1"))
        sentence = await told(core, "!forgett", "2")
        assert len(await core.history.past_turns(message("").conversation)) == 2
    assert "!forgett" in sentence
    assert "!forget?" in sentence
    assert len(core.engine.prompts) == 1


async def test_help_speaks_of_the_prefix_that_the_person_wrote(house: Path) -> None:
    async with running_core(house) as core:
        slash = await told(core, "/help", "1")
        mark = await told(core, "!help", "2")
    assert "/sources" in slash
    assert "!" not in slash
    assert "!sources" in mark


async def test_help_speaks_of_mentions_only_where_others_read_along(house: Path) -> None:
    async with running_core(house) as core:
        alone = await told(core, "!help", "1")
        in_room = await told(core, "!help", "2", private=False)
    assert "mention me" in in_room
    assert "mention me" not in alone


async def test_a_source_that_was_attached_is_told_as_such(house: Path) -> None:
    file = Attachment("pay.txt", "text/plain", b"The pay is 5000.")
    async with running_core(house) as core:
        await core.ask(message("What is the pay?", "1", attachments=(file,)))
        quoted = await told(core, "!sources", "2")
    assert "pay.txt (attached file)" in quoted
    assert "()" not in quoted
