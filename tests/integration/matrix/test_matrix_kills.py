"""Hearth is killed at every moment of an answer on a real homeserver: each question gets one answer, whole and once."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest

from deploy.dev.homeserver import SynapseServer
from deploy.dev.homeserver.client import Client
from tests.homeserver import Capture
from tests.integration.matrix.killed_child import MOMENTS, Child, joined

Enter = Callable[..., Awaitable[Client]]
WORDS = "where does the grey heron sleep when the batteries in the storeroom are gone à côté du chêne 🌳"
SHORT, MIDDLE, LONG = 30, 9_000, 18_000
"""Characters of questions: the answer to a short one is sent once, to a middle one edited, to a long one two messages.
What is asked between lives is short, because a new life sends no more than a server's default limit allows at first.
"""

LONG_EVERY = 4
WITHIN_S = 120.0
"""What a life may take to start and answer, on a machine that has much else to do."""


@pytest.fixture
async def child(homeserver: SynapseServer, capture: Capture, tmp_path: Path) -> AsyncIterator[Child]:
    """Hearth behind a proxy, not started."""
    seed = int(os.environ.get("HEARTH_SEED") or 20)
    child = Child(tmp_path, await homeserver.register("hearth"), capture, seed)
    yield child
    await child.close()


class Trial:
    """Asks, kills, asks while nobody is there, and looks at what people see. `asked`: the questions by event."""

    def __init__(self, child: Child, asker: Client) -> None:
        self.child = child
        self.asker = asker
        self.room = ""
        self.asked: dict[str, str] = {}

    async def begin(self, encrypted: bool) -> None:
        """The first life, a direct chat, and a first answer."""
        await self.child.start()
        self.room = await self.asker.direct(self.child.account.user_id, encrypted=encrypted)
        await self.asker.shown(self.room, lambda shown: "!help" in shown.body)
        await self.ask(SHORT)
        await self.all_answered()

    async def ask(self, characters: int) -> tuple[str, str]:
        """Say a new question; its event's id and its text, which is the answer's too."""
        number = len(self.asked)
        text = f"This is question {number}."
        while len(text) < characters:
            text += f" {self.child.random.choice(WORDS.split())}"
        self.asked[event_id := await self.asker.say(self.room, text)] = text
        return event_id, text

    async def round(self, number: int) -> None:
        """Kill over a question, ask another while nobody is there; a new life answers what is open."""
        ask = partial(self.ask, LONG if number % LONG_EVERY == LONG_EVERY - 1 else MIDDLE)
        await self.child.strike(MOMENTS[number % len(MOMENTS)], ask, self.asker, self.room)
        await self.ask(SHORT)
        await self.child.start()
        await self.all_answered()

    async def all_answered(self) -> None:
        """Wait until people see the last answer; they see each once, whole, in order, and nothing else."""
        last = list(self.asked)[-1]
        await self.asker.until(lambda: self.child.has_answered(self.asker, self.room, last, self.asked[last]), WITHIN_S)
        answers = self.child.answers(self.asker, self.room)
        assert {event_id: joined(shown.body for shown in some) for event_id, some in answers.items()} == {
            event_id: joined([text]) for event_id, text in self.asked.items()
        }
        assert list(answers) == list(self.asked)
        shown = self.asker.timeline.shown(self.room, self.child.account.user_id)
        assert len(shown) == 1 + sum(map(len, answers.values())), "only one welcome beside the answers"


async def kill_and_judge(child: Child, asker: Client, rounds: int, encrypted: bool) -> None:
    trial = Trial(child, asker)
    await trial.begin(encrypted)
    for number in range(rounds):
        await trial.round(number)
    assert "Traceback" not in child.log.read_text(encoding="utf-8")


@pytest.mark.timeout(400)
async def test_kills_at_every_moment_leave_one_answer_each(
    homeserver: SynapseServer, enter: Enter, child: Child
) -> None:
    await kill_and_judge(child, await enter(homeserver, "ana"), len(MOMENTS), encrypted=False)


@pytest.mark.soak
@pytest.mark.timeout(3600)
async def test_100_kills_leave_one_answer_each(homeserver: SynapseServer, enter: Enter, child: Child) -> None:
    await kill_and_judge(child, await enter(homeserver, "ana"), 100, encrypted=False)


@pytest.mark.soak
@pytest.mark.timeout(3600)
async def test_100_kills_leave_one_answer_each_in_an_encrypted_chat(
    homeserver: SynapseServer, enter_encrypted: Enter, child: Child
) -> None:
    await kill_and_judge(child, await enter_encrypted(homeserver, "ana"), 100, encrypted=True)
