"""Whatever is asked, waits, joins, leaves, dies and is forgotten in whatever order: what was forgotten is nowhere, and
nobody reads what they may not.
"""

import asyncio
import random
import re
import shutil
from array import array
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from bot.core.forgetting import Forgetter
from bot.core.messages import Attachment, Audience, ContextMessage, ConversationId, Message
from bot.core.texts import Language
from models.engine import Prompt
from tests.fakes.core import Core, running_core
from tests.fakes.messages import message
from tests.fakes.reply import FakePlatform, RecordingReply
from tests.fakes.state_keeping_engine import StateKeepingEngine

PEOPLE = ("ana", "ben", "eve")
READERS = {"safe": ("console:ana",), "board": ("console:without-eve",), "leaflet": ("everyone",)}
"""What may be read changes with the people of a place: the board is for places without Eve."""
DOCUMENT_WORDS = {f"zqdocument{name}": name for name in READERS}
WORD = re.compile(r"zq[a-z0-9]+")
STEPS = 30


@dataclass
class Word:
    """A word that occurs once in the world. `private_to`: only this person may read it, alone; empty: its place may."""

    owner: str
    conversation: str
    private_to: str = ""
    is_forgotten: bool = False


@dataclass
class Question:
    """What was asked where by whom, and its own words."""

    asked: Message
    words: set[str] = field(default_factory=set)


class PlaceReply(RecordingReply):
    """A reply whose place knows its readers."""

    def __init__(self, world: "World", asked: Message) -> None:
        super().__init__(asked.event_id, world.platform)
        self._world = world
        self._asked = asked

    def current_audience(self) -> Audience:
        return self._world.audience(self._asked.conversation, self._asked.author.id)


class World:
    """People, places and words, and one life of Hearth after the other."""

    platform_name = "console"

    def __init__(self, folder: Path, seed: int) -> None:
        self.random = random.Random(seed)
        self.folder = folder
        self.platform = FakePlatform()
        self.members = {"console:den": {"ana"}, "console:nook": {"ben"}, "console:hall": {"ana", "ben"}}
        self.words: dict[str, Word] = {}
        self.questions: dict[str, Question] = {}
        self.faults: list[str] = []
        self.lives = 0
        self.last = "console:hall"
        self.life = AsyncExitStack()
        self.core: Core
        self.engine: StateKeepingEngine

    # One life

    async def begin(self) -> None:
        self.engine = StateKeepingEngine(
            self.home / "parked", self.answer, self.check_prompt, self.random.choice([1, 2])
        )
        self.life.callback(self.engine.store.close, 5)
        self.core = await self.life.enter_async_context(
            running_core(
                self.home,
                engine=self.engine,
                platform=self.platform,
                readers=READERS,
                when_nothing_found="answer",
                flood_answers_per_minute=100_000,
            )
        )
        await Forgetter(self.core.history, self.engine).drop_noted_states()
        await self.core.inbox.resume(PlaceAdapter(self))

    @property
    def home(self) -> Path:
        return self.folder / f"life{self.lives}"

    async def kill(self) -> None:
        """Go on in a copy of what is on the disk at this moment, made on the database's own thread."""
        before, after = self.home, self.folder / f"life{self.lives + 1}"

        def copy() -> None:
            shutil.copytree(before / "documents", after / "documents")
            shutil.copytree(before / "parked", after / "parked", ignore_dangling_symlinks=True, copy_function=copy_file)
            for file in ("history.sqlite3", "history.sqlite3-wal"):
                if (before / file).exists():
                    shutil.copy(before / file, after / file)

        await self.core.history._database._connection._execute(copy)
        await self.end()
        self.lives += 1
        await self.begin()

    async def end(self) -> None:
        self.engine.gate.set()
        await self.life.aclose()
        self.life = AsyncExitStack()

    # What people do

    def audience(self, conversation: str, person: str) -> Audience:
        people = self.members[conversation]
        names = {conversation, *(f"console:{each}" for each in people if len(people) == 1)}
        return Audience(frozenset(names if "eve" in people else names | {"console:without-eve"}), people == {person})

    def new_word(self, owner: str, conversation: str, private_to: str = "") -> str:
        name = f"zqword{len(self.words):04}"
        self.words[name] = Word(owner, conversation, private_to)
        return name

    async def tell(self, text: str, conversation: str, person: str, **changes: object) -> PlaceReply:
        event_id = f"q{len(self.questions):04}"
        told = message(text, event_id, author=person, conversation=conversation)
        told = replace(told, audience=self.audience(conversation, person), **changes)  # type: ignore[arg-type]
        self.questions[event_id] = Question(told, set(WORD.findall(f"{text} {told.context} {told.attachments}")))
        for file in told.attachments:
            self.questions[event_id].words.update(WORD.findall(file.data.decode()))
        reply = PlaceReply(self, told)
        await self.core.inbox.handle(told, reply)
        return reply

    def pick(self) -> tuple[str, str]:
        """A place with somebody in it, mostly the last one, and one of them."""
        if not any(self.members.values()):
            self.members["console:hall"].add("ana")
        if not self.members[self.last] or self.random.random() < 0.3:
            self.last = self.random.choice([name for name, people in self.members.items() if people])
        return self.last, self.random.choice(sorted(self.members[self.last]))

    async def ask(self, names: Sequence[str] | None = None) -> None:
        conversation, person = self.pick()
        private_to = person if self.members[conversation] == {person} else ""
        if names is None:
            names = self.random.choice([[], [], ["board"], ["safe"], ["leaflet", "board"], ["safe", "leaflet"]])
        text = f"What say {' and '.join(names) or 'they'}? {self.new_word(person, conversation, private_to)}"
        changes: dict[str, object] = {}
        if self.random.random() < 0.4:
            word = self.new_word(person, conversation, private_to)
            changes["attachments"] = (Attachment("note.txt", "text/plain", f"The safe, {word}.".encode()),)
        if not private_to and self.random.random() < 0.4:
            other = self.random.choice(sorted(self.members[conversation]))
            line = f"I have {self.new_word(other, conversation)}."
            changes["context"] = (ContextMessage(other.title(), line, other),)
        await self.tell(f"{text} q{len(self.questions):04}", conversation, person, **changes)

    async def follow_up(self) -> None:
        """Ask on and on about a document, whose name is not said again."""
        self.engine.gate.set()
        for names in (["board"], [], []):
            await self.ask(names)
            await self.settle()
        await self.come_or_go()
        await self.ask([])

    async def forget_while_something_waits(self) -> None:
        self.engine.gate.clear()
        for place in self.random.sample(sorted(self.members), len(self.members)):
            if self.members[place]:
                self.last = place
                await self.ask()
        for _ in range(self.random.randrange(30)):  # each lets the questions go a visit of the database further
            await self.core.history.past_turns(ConversationId("console:hall"))
        await self.forget_person()
        self.engine.gate.set()

    async def forget_person(self) -> None:
        conversation, person = self.pick()
        said = [word for word in self.words.values() if word.owner == person]
        await self.confirm(await self.tell("!forget", conversation, person), said)

    async def forget_conversation(self) -> None:
        conversation, person = self.pick()
        admin = replace(message("", author=person).author, is_admin=True)
        said = [word for word in self.words.values() if word.conversation == conversation]
        await self.confirm(await self.tell("!forget conversation", conversation, person, author=admin), said)

    async def confirm(self, reply: PlaceReply, said: Sequence[Word]) -> None:
        await ended(reply)
        assert reply.closing is not None, reply.failure
        for word in said:
            word.is_forgotten = True
        self.check_files("after a confirmed forget")

    async def show_sources(self) -> None:
        conversation, person = self.pick()
        reply = await self.tell("!sources", conversation, person)
        await ended(reply)
        assert reply.closing is not None
        self.check_words(reply.closing.text, conversation, person, set(), "in the sources")

    async def come_or_go(self) -> None:
        place = self.last if self.random.random() < 0.6 else self.random.choice(sorted(self.members))
        self.members[place] ^= {self.random.choice(PEOPLE)}
        if self.members[place] and self.random.random() < 0.5:
            self.last = place
            await self.show_sources()

    async def hold_or_release(self) -> None:
        if self.engine.gate.is_set():
            self.engine.gate.clear()
        else:
            self.engine.gate.set()

    async def settle(self) -> None:
        async with asyncio.timeout(120):
            await self.core.inbox.wait_until_idle()

    async def wait(self) -> None:
        """Wait until all is answered, or a little."""
        if self.engine.gate.is_set() and self.random.random() < 0.7:
            await self.settle()
        for _ in range(self.random.randrange(60)):
            await asyncio.sleep(0)

    # What must hold

    def answer(self, prompt: Prompt) -> list[str]:
        """The worst model: it repeats every word that it has read."""
        text = " ".join(turn.text for turn in prompt.turns())
        return ["I", *(f" {word}" for word in dict.fromkeys(WORD.findall(text)))]

    def check_prompt(self, prompt: Prompt, key: str) -> None:
        text = "\n".join(turn.text for turn in prompt.turns())
        if not prompt.tail:  # a warm-up, which is in nobody's name
            self.faults += [f"{word} warmed up in {key}" for word in self.forgotten() if word in text]
            return
        question = self.questions[re.findall(r"q\d{4}", prompt.tail)[-1]]
        person, conversation = question.asked.author.id, question.asked.conversation
        if not self.audience(conversation, person).private:
            for word in question.words:  # its place reads the answer
                self.words[word].private_to = ""
        self.check_words(text, conversation, person, question.words, f"in the prompt of {question.asked.event_id}")

    def check_words(self, text: str, conversation: str, person: str, own: set[str], where: str) -> None:
        audience = self.audience(conversation, person)
        for name in set(WORD.findall(text)):
            if name in DOCUMENT_WORDS:
                readers = set(READERS[DOCUMENT_WORDS[name]])
                if not readers & (audience.names | {"everyone"}):
                    self.faults.append(f"{name} for {person} in {conversation} {where}")
                continue
            word = self.words[name]
            is_readable = not word.private_to or (audience.private and word.private_to == person) or name in own
            if word.is_forgotten or not is_readable or word.conversation != conversation:
                self.faults.append(f"{name}, {word}, for {person} in {conversation} {where}")

    def forgotten(self) -> list[str]:
        return [name for name, word in self.words.items() if word.is_forgotten]

    def check_files(self, when: str) -> None:
        files = {path: path.read_bytes() for path in self.home.rglob("*") if path.is_file()}
        for name in self.forgotten():
            as_tokens = array("i", map(ord, name)).tobytes()
            self.faults += [
                f"{name} in {path.name} {when}"
                for path, data in files.items()
                if name.encode() in data or as_tokens in data
            ]


class PlaceAdapter:
    """Fills `Adapter` for the next life."""

    platform = "console"

    def __init__(self, world: World) -> None:
        self._world = world

    async def run(self, inbox: object) -> None: ...

    def reply_to(self, message: Message) -> PlaceReply:
        return PlaceReply(self._world, message)

    async def health(self, language: Language) -> Sequence[str]:
        return ()


def copy_file(source: str, target: str) -> None:
    """Copy a file that may be renamed or deleted meanwhile, as another process would have left it."""
    try:
        shutil.copy(source, target)
    except FileNotFoundError:
        return


async def ended(reply: RecordingReply) -> None:
    async with asyncio.timeout(120):
        await reply.ended.wait()


async def one_round(folder: Path, seed: int) -> None:
    for name in READERS:
        (folder / "life0" / "documents" / name).mkdir(parents=True)
        (folder / "life0" / "documents" / name / f"{name}.txt").write_text(f"The {name} says zqdocument{name}.")
    world = World(folder, seed)
    await world.begin()
    steps = {
        world.ask: 12,
        world.wait: 6,
        world.hold_or_release: 2,
        world.come_or_go: 4,
        world.forget_person: 1,
        world.forget_while_something_waits: 3,
        world.follow_up: 2,
        world.forget_conversation: 1,
        world.show_sources: 1,
        world.kill: 1,
    }
    try:
        for step in world.random.choices(list(steps), list(steps.values()), k=STEPS):
            await step()
        world.engine.gate.set()
        await world.settle()
        assert await world.core.history.journal.open_messages("console") == [], "every question has ended"
        world.check_files("at the end")
    finally:
        await world.end()
    world.check_files("after the end")
    assert world.faults == [], f"seed {seed}"


@pytest.mark.parametrize("rounds", [20, pytest.param(200, marks=pytest.mark.soak)])
async def test_nothing_forgotten_or_private_comes_back_in_any_order(tmp_path: Path, rounds: int) -> None:
    for seed in range(rounds):
        await one_round(tmp_path / str(seed), seed)
