"""One builder makes the prompts of chats and of API requests."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from bot.core.messages import Audience, ContextMessage
from bot.core.retrieval_prompt import PromptRequest, RetrievalPromptBuilder
from bot.core.settings import CoreSettings
from bot.core.texts import localize
from knowledge.passages import Passage, PassageLocation
from models.engine import PromptTooLong, Turn
from tests.fakes.core import Core, running_core

CONSOLE = Audience(frozenset({"console"}), private=True)
REQUEST = PromptRequest("On which shelf is the backup drive?", "en", CONSOLE, 64)
NOTHING_FOUND = "I found nothing about this in the documents. I looked in: home."
UNSUPPORTED = "No document supports this answer. I looked in: home."
SEARCH_FAILED = "The documents could not be searched, so this answer comes without them."


@pytest.fixture
async def core(tmp_path: Path) -> AsyncIterator[Core]:
    folder = tmp_path / "documents" / "home"
    folder.mkdir(parents=True)
    (folder / "drive.txt").write_text("The backup drive is on shelf Heron.")
    async with running_core(tmp_path) as at_work:
        yield at_work


def builder(core: Core, **settings: object) -> RetrievalPromptBuilder:
    return RetrievalPromptBuilder(core.engine, core.library, CoreSettings.model_validate(settings), core.observer)


def attached(text: str) -> Passage:
    return Passage(-1, "", "note.txt", "note", PassageLocation(), text)


async def test_a_prompt_holds_the_passages_found_the_history_and_their_sources(core: Core) -> None:
    prompts = builder(core)
    retrieval = await prompts.retrieve(REQUEST, "", has_history=False)
    history = (Turn("user", "Hello"), Turn("assistant", "Good day."))
    prepared = prompts.build_prompt(REQUEST, retrieval, history)
    assert "The backup drive is on shelf Heron." in prepared.prompt.tail
    assert prepared.prompt.history == history
    assert [source.document for source in prepared.sources] == ["drive.txt"]
    assert (prepared.notes, prepared.unsupported_note, retrieval.refusal) == ((), "", "")


async def test_a_question_that_nothing_supports_is_refused_unless_there_is_something_else(core: Core) -> None:
    prompts, request = builder(core), replace(REQUEST, question="Xylophone quotas?")
    assert (await prompts.retrieve(request, "", has_history=False)).refusal == NOTHING_FOUND
    assert (await prompts.retrieve(request, "", has_history=True)).refusal == ""
    for other in (
        replace(request, attached=(attached("Quotas: 3."),)),
        replace(request, context=(ContextMessage("Ada", "Hello"),)),
        replace(request, requires_model=True),
    ):
        assert (await prompts.retrieve(other, "", has_history=False)).refusal == ""
    lenient = builder(core, when_nothing_found="answer")
    retrieval = await lenient.retrieve(request, "", has_history=False)
    assert retrieval.refusal == ""
    assert lenient.build_prompt(request, retrieval, ()).unsupported_note == UNSUPPORTED


async def test_after_a_failed_search_the_bare_question_is_asked_and_a_note_says_so(core: Core) -> None:
    prompts = builder(core, search_timeout_s=1e-9)
    retrieval = await prompts.retrieve(REQUEST, "", has_history=False)
    prepared = prompts.build_prompt(REQUEST, retrieval, ())
    assert prepared.prompt.tail == REQUEST.question
    assert (prepared.notes, prepared.unsupported_note) == ((SEARCH_FAILED,), "")


async def test_an_attachment_that_does_not_fit_is_left_out_with_a_note(core: Core) -> None:
    prompts = builder(core)
    request = replace(REQUEST, attached=(attached("word " * 5000),))
    retrieval = await prompts.retrieve(request, "", has_history=False)
    prepared = prompts.build_prompt(request, retrieval, ())
    assert [source.document for source in prepared.sources] == ["drive.txt"]
    assert len(prepared.notes) == 1


async def test_a_question_too_long_for_the_model_is_refused(core: Core) -> None:
    prompts = builder(core)
    request = replace(REQUEST, question="word " * 5000)
    with pytest.raises(PromptTooLong):
        prompts.build_prompt(request, await prompts.retrieve(request, "", has_history=False), ())


async def test_a_speaker_is_named_where_several_people_write(core: Core) -> None:
    room = replace(REQUEST, audience=Audience(frozenset({"console"})), speaker="Ada")
    assert room.spoken_question == f"Ada: {REQUEST.question}"
    assert REQUEST.spoken_question == REQUEST.question


async def test_files_alone_that_cannot_be_read_are_asked_about_and_not_guessed_at(core: Core) -> None:
    nothing = replace(REQUEST, question="  ")
    assert (await builder(core).retrieve(nothing, "", has_history=True)).refusal == localize("empty_question", "en")
    read = replace(nothing, attached=(attached("Quotas: 3."),))
    assert (await builder(core).retrieve(read, "", has_history=True)).refusal == ""


async def test_a_reply_to_an_answer_of_the_history_costs_no_passage(core: Core) -> None:
    prompts = builder(core, passage_tokens=40)
    answer = "It is on shelf Heron, as the handbook says on its first page [1]."
    history = (Turn("user", "Ada: Where is the drive?"), Turn("assistant", answer))
    context = (ContextMessage("Ada", "Where is the drive?"), ContextMessage("Hearth", answer))
    reply = replace(REQUEST, context=context)
    retrieval = await prompts.retrieve(reply, "", has_history=True)
    assert prompts.build_prompt(reply, retrieval, history) == prompts.build_prompt(REQUEST, retrieval, history)


async def test_messages_before_a_question_take_no_more_room_than_they_need(core: Core) -> None:
    prompts = builder(core, passage_tokens=30)
    short = replace(REQUEST, context=(ContextMessage("Ben", "Hello there."),))
    retrieval = await prompts.retrieve(short, "", has_history=False)
    prepared = prompts.build_prompt(short, retrieval, ())
    assert "> Ben: Hello there." in prepared.prompt.tail
    assert [source.document for source in prepared.sources] == ["drive.txt"]
