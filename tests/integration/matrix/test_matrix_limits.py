"""Hearth under Synapse's default limits, and where its admin has lifted them for the account: what people see when."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
import pytest_asyncio

from adapters.matrix.limits import BURST, MAX_EDITS, PER_S
from adapters.matrix.settings import MatrixSettings, Patterns
from deploy.dev.element import Peer
from deploy.dev.homeserver import Person, Shown, SynapseServer
from models.engine import Prompt
from tests.fakes.engine import ScriptedEngine
from tests.fakes.matrix_resident import MatrixInstance
from tests.integration.matrix.home import END, SOURCE, Chat, furnish, pointed_at, settled_in

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.alone]

LONG_S = 60.0 if os.environ.get("HEARTH_SOAK") else 20.0
PIECES_PER_S = 8
LATE_MS = 5000
"""A final text that had to wait for one event of the limit would be later than this."""


class Spoken(list[str]):
    """The pieces of an answer; notes by the wall clock, which is the homeserver's too, when the last one was spoken."""

    ended_ms = 0.0

    def __iter__(self) -> Iterator[str]:
        yield from super().__iter__()
        self.ended_ms = 1000 * time.time()


class Speaker:
    """A script whose answers last as many seconds as the question says; `spoken` are they, by question."""

    def __init__(self) -> None:
        self.spoken: dict[str, Spoken] = {}

    def __call__(self, prompt: Prompt) -> Spoken:
        question = prompt.tail.rpartition("Question: ")[2].strip()
        lasts_s = float(question.rpartition("for ")[2].removesuffix(" s")) if question.endswith(" s") else 0.5
        sentences = ["It is still there, on shelf Heron. "] * round(lasts_s * PIECES_PER_S)
        made = self.spoken[question.rpartition(": ")[2]] = Spoken([f"You asked: {question}\n\n", *sentences, END])
        return made


@dataclass
class People:
    """Ana's client does not encrypt, Kim's does; the homeserver limits neither of them."""

    server: SynapseServer
    ana: Person
    kim: Peer


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def people(_limited_server: SynapseServer, _client_library: None) -> AsyncIterator[People]:
    server = _limited_server
    server.start_now()
    async with await server.person("ana") as ana, await Peer.enter(server.url, await server.register("kim")) as kim:
        for person in (ana, kim):
            await server.lift_limits(person.user_id)
        yield People(server, ana, kim)


@pytest_asyncio.fixture(loop_scope="module")
async def resident(people: People, tmp_path: Path) -> AsyncIterator[MatrixInstance]:
    """Hearth with an account of its own that has sent nothing yet, at work."""
    resident = await MatrixInstance.registered_at(people.server, settled_in(tmp_path))
    doors = Patterns(allow=("@ana-*", "@kim-*"))
    resident.settings = MatrixSettings(admin_users=frozenset({people.ana.user_id}), users=doors)
    furnish(resident)
    resident.engine = ScriptedEngine(Speaker(), capacity=5, piece_s=1 / PIECES_PER_S)
    await resident.start()
    yield resident
    await resident.stop()


def spoken(resident: MatrixInstance, question: str) -> Spoken:
    assert isinstance(resident.engine.script, Speaker)
    return resident.engine.script.spoken[question]


def figures(shown: Shown, ended_ms: float) -> str:
    """How an answer went: its edits, their distances, and how late its last text was, in seconds."""
    times = [shown.sent_ms, *shown.edited_ms]
    gaps = " ".join(f"{(later - earlier) / 1000:.1f}" for earlier, later in pairwise(times))
    return (
        f"{len(shown.edited_ms)} edits, {gaps} s apart, the last {(times[-1] - ended_ms) / 1000:+.1f} s after the end"
    )


async def direct(person: Person | Peer, resident: MatrixInstance) -> Chat:
    """A direct chat with Hearth, encrypted where the person's client can."""
    room = await person.direct(resident.user_id, encrypted=isinstance(person, Peer))
    return await Chat(person, resident, room).begun()


async def kitchen(people: People, resident: MatrixInstance) -> Chat:
    """A room in which both and Hearth are."""
    room = await people.ana.create_room("kitchen", [people.kim.user_id, resident.user_id])
    await people.kim.until(lambda: room in people.kim.invites)
    await people.kim.join(room)
    return await Chat(people.ana, resident, room).begun()


@pytest.mark.parametrize("lifted", [False, True])
async def test_everything_works_with_the_default_limits_and_with_lifted_ones(
    people: People, resident: MatrixInstance, lifted: bool
) -> None:
    bot = resident.user_id
    if lifted:
        await people.server.lift_limits(bot)
    strangers = await people.server.person("eve")
    theirs = await strangers.direct(bot)
    plain, secret = await direct(people.ana, resident), await direct(people.kim, resident)
    room = await kitchen(people, resident)
    await room.say("Nothing of this is for Hearth.")
    await strangers.until(lambda: strangers.members[theirs].get(bot) == "leave")
    await strangers.close()
    first = await plain.say("Where is the drive? Talk for 4 s")
    mention = await room.say("Hearth: where is the drive?", mentions=[bot])
    root = await secret.ask("Where is the drive?")
    threaded = await secret.say("Where is the drive in this thread?", thread=root.event_id)
    await room.answered(mention)
    assert (await secret.answered(threaded)).thread == root.event_id
    streamed = await plain.answered(first)
    ended_ms = spoken(resident, "Where is the drive? Talk for 4 s").ended_ms
    print(figures(streamed, ended_ms))
    # Joining, welcoming and declining have taken most of what goes at once: the first text may be the last one, too, or
    # the last one has to wait for one more event.
    late_ms = LATE_MS if lifted else LATE_MS + 1000 / PER_S
    assert [streamed.sent_ms, *streamed.edited_ms][-1] - ended_ms < late_ms
    assert int(lifted) <= len(streamed.edited_ms) <= MAX_EDITS
    await room.command("Hearth, help", "Commands", mentions=[bot])
    assert len(room.answers()) == 1


async def test_a_long_answer_streams_in_a_handful_of_edits_and_its_last_text_comes_at_once(
    people: People, resident: MatrixInstance
) -> None:
    chat = await direct(people.kim, resident)
    question = f"Where is the drive? Talk for {LONG_S:.0f} s"
    shown = await chat.hears(SOURCE, await chat.say(question), LONG_S + 60)
    ended_ms = spoken(resident, question).ended_ms
    print(figures(shown, ended_ms))
    assert chat.answers() == [shown]
    assert shown.edited_ms[-1] - ended_ms < LATE_MS
    # No more than a homeserver of these limits takes, and the reader sees it grow to the end.
    assert 3 <= len(shown.edited_ms) <= BURST + PER_S * LONG_S
    assert all(len(later) > len(earlier) for earlier, later in pairwise(shown.bodies))
    gaps_ms = [later - earlier for earlier, later in pairwise([shown.sent_ms, *shown.edited_ms])]
    assert max(gaps_ms) < 20_000
    assert min(gaps_ms[:-1]) > 500


async def test_an_answer_is_fluent_once_the_limits_are_lifted_for_the_account(
    people: People, resident: MatrixInstance
) -> None:
    await people.server.lift_limits(resident.user_id)
    chat = await direct(people.ana, resident)
    question = "Where is the drive? Talk for 10 s"
    shown = await chat.hears(SOURCE, await chat.say(question), 60)
    print(figures(shown, spoken(resident, question).ended_ms))
    assert 5 <= len(shown.edited_ms) <= MAX_EDITS
    assert shown.edited_ms[-1] - spoken(resident, question).ended_ms < LATE_MS


async def test_five_answers_at_once_begin_early_and_no_edit_of_one_holds_up_the_end_of_another(
    people: People, resident: MatrixInstance
) -> None:
    chat = await kitchen(people, resident)
    await chat.hears("Hello!")
    await asyncio.sleep(1 / PER_S)  # what the welcome took has come back
    roots = [await chat.say(f"About drive {number}") for number in range(5)]
    questions = [f"On which shelf lies the backup drive {number} for {6 + number} s" for number in range(5)]
    asked = [
        await chat.say(question, thread=root, mentions=[resident.user_id])
        for question, root in zip(questions, roots, strict=True)
    ]
    begun_ms = 1000 * time.time()
    shown = [await chat.answered(question) for question in asked]
    assert {pointed_at(each) for each in chat.answers()} == set(asked)
    ends = [spoken(resident, question).ended_ms for question in questions]
    for each, ended_ms in zip(shown, ends, strict=True):
        print(f"begun {(each.sent_ms - begun_ms) / 1000:+.1f} s,", figures(each, ended_ms))
        assert each.sent_ms - begun_ms < LATE_MS
        assert each.edited_ms[-1] - ended_ms < LATE_MS
        assert 1 <= len(each.edited_ms) <= 5
    for each, ended_ms in zip(shown, ends, strict=True):
        final_ms = each.edited_ms[-1]
        others = [at for other in shown if other is not each for at in other.edited_ms[:-1]]
        # What was on its way when the answer ended does not count.
        assert not [at for at in others if ended_ms + 1000 < at < final_ms]
