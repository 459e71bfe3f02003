"""Hearth in a home: documents, an admin and a guest whose clients encrypt, and a proxy that sees what Hearth sends."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from adapters.matrix.settings import MatrixSettings
from deploy.dev.element import Peer
from deploy.dev.homeserver import Shown, SynapseServer
from deploy.dev.homeserver.client import WAIT_S, Client
from models.engine import Prompt
from tests.fakes.engine import ScriptedEngine
from tests.fakes.matrix_resident import MatrixInstance, log_in
from tests.homeserver import Capture

Come = Callable[..., Awaitable[Peer]]

DOCUMENT = "The backup drive lies on shelf Heron.\n\nThe ladder hangs in the shed."
SOURCE = "[1] drive (household)"
END = "That is all [1]."
PIECE_S = 0.05
LONG_PIECES = 80
FILE_BYTES = 1_000_000
"""The largest file that is read."""


def script(prompt: Prompt) -> list[str]:
    """An answer that repeats its question, in many pieces where the question asks for that."""
    question = prompt.tail.rpartition("Question: ")[2].strip()
    pieces = [f"You asked: {question}\n\n", "The **drive** is on shelf Heron. "]
    return [*pieces, *(["It is still there. "] * LONG_PIECES if "at length" in question else []), END]


def settled_in(folder: Path) -> Path:
    """A folder with documents of a household."""
    (folder / "documents" / "household").mkdir(parents=True)
    (folder / "documents" / "household" / "drive.txt").write_text(DOCUMENT, encoding="utf-8")
    return folder


@dataclass
class Home:
    """One for the tests of a module. Ana is an admin; `capture` stands between Hearth and the homeserver."""

    server: SynapseServer
    capture: Capture
    resident: MatrixInstance
    ana: Peer
    ben: Peer
    come: Come
    """`await home.come("eve")`: somebody else with a client that encrypts, for the rest of the module."""

    async def direct(self, person: Client, resident: MatrixInstance | None = None) -> "Chat":
        """An encrypted direct chat in which Hearth is."""
        resident = resident or self.resident
        return await Chat(person, resident, await person.direct(resident.user_id, encrypted=True)).begun()

    async def room(self, *people: Client) -> "Chat":
        """An encrypted room of some people, as its maker sees it."""
        maker, *others = people
        invited = [self.resident.user_id, *(each.user_id for each in others)]
        chat = Chat(maker, self.resident, await maker.create_room("kitchen", invited, encrypted=True))
        for each in others:
            await each.until(lambda each=each: chat.room in each.invites)  # type: ignore[misc]
            await each.join(chat.room)
        return await chat.begun()

    @contextmanager
    def held(self) -> Iterator[ScriptedEngine]:
        """Answers get no further than their first words, until the end of the block."""
        engine = self.resident.engine
        engine.gate.clear()
        try:
            yield engine
        finally:
            engine.gate.set()

    @asynccontextmanager
    async def another(self, folder: Path, url: str = "", **settings: object) -> AsyncIterator[MatrixInstance]:
        """Hearth with another account, which may be stopped without disturbing the other; not started."""
        resident = await MatrixInstance.registered_at(
            self.server, settled_in(folder), url or self.capture.url, **settings
        )
        furnish(resident)
        try:
            yield resident
        finally:
            await resident.stop()


def furnish(resident: MatrixInstance) -> None:
    """Answers that repeat their questions, from documents that everybody may read.

    Nobody is told that they wait: on a busy machine that may come before the answer in front, and tests judge order.
    """
    resident.engine = ScriptedEngine(script, piece_s=PIECE_S)
    resident.core_settings = {"readers": ["everyone"], "flood_answers_per_minute": 1000, "queue_notice_after_s": 60}


@asynccontextmanager
async def opened(server: SynapseServer, folder: Path) -> AsyncIterator[Home]:
    """A home with everybody in it, Hearth at work."""
    people: list[Peer] = []

    async def come(name: str, url: str = "") -> Peer:
        people.append(await Peer.enter(url or server.url, await server.register(name)))
        return people[-1]

    async with Capture.before(server.url) as capture:
        resident = MatrixInstance(settled_in(folder), await server.register("hearth"))
        log_in(folder, capture.url, resident.account)
        try:
            ana, ben = await come("ana"), await come("ben")
            resident.settings = MatrixSettings(admin_users=frozenset({ana.user_id}), attachment_bytes=FILE_BYTES)
            furnish(resident)
            await resident.start()
            yield Home(server, capture, resident, ana, ben, come)
        finally:
            await resident.stop()
            for person in people:
                await person.close()


@dataclass
class Chat:
    """A room as one of its people sees it."""

    person: Client
    resident: MatrixInstance
    room: str

    async def begun(self) -> "Chat":
        """The same, once Hearth is in and the person's client has its keys: what came earlier it would never show."""
        person, bot = self.person, self.resident
        await person.until(lambda: person.members[self.room].get(bot.user_id) == "join")
        if isinstance(person, Peer):
            await person.know(bot.user_id, bot.account.device_id)
        return self

    def seen_by(self, person: Client) -> "Chat":
        """The same room in the eyes of another."""
        return Chat(person, self.resident, self.room)

    def is_ours(self, shown: Shown) -> bool:
        return shown.sender == self.resident.user_id

    def said(self) -> list[Shown]:
        """What Hearth has said, the oldest first."""
        return self.person.timeline.shown(self.room, self.resident.user_id)

    def answers(self) -> list[Shown]:
        """What it has answered: notices are none."""
        return [shown for shown in self.said() if shown.kind == "m.text"]

    def replies(self, event_id: str) -> list[Shown]:
        """All that stands in reply to an event."""
        return [shown for shown in self.said() if pointed_at(shown) == event_id]

    async def say(self, body: str, **how: object) -> str:
        return await self.person.say(self.room, body, **how)

    async def hears(self, words: str, to: str = "", timeout_s: float = WAIT_S) -> Shown:
        """Wait until Hearth has said something, in reply to an event where one is named."""
        return await self.person.shown(
            self.room,
            lambda shown: self.is_ours(shown) and words in shown.body and to in ("", pointed_at(shown)),
            timeout_s,
        )

    async def answered(self, question: str) -> Shown:
        """Wait for the whole answer to a question, its sources below."""
        return await self.hears(SOURCE, question)

    async def ask(self, body: str, **how: object) -> Shown:
        """Say something and wait for the whole answer."""
        return await self.answered(await self.say(body, **how))

    async def command(self, body: str, words: str, **how: object) -> Shown:
        """Give a command and wait for what it says."""
        return await self.hears(words, await self.say(body, **how))

    async def idle(self) -> None:
        """Wait until Hearth has seen to everything that it was asked."""
        await self.resident.core.inbox.wait_until_idle()


def pointed_at(shown: Shown) -> str:
    """What a message stands in reply to, in a thread too."""
    return str(shown.first.get("m.relates_to", {}).get("m.in_reply_to", {}).get("event_id", ""))


def decryptions(chat: Chat) -> list[dict[str, str]]:
    """How the person's client could read what Hearth sent."""
    events = chat.person.timeline.events(chat.room, sender=chat.resident.user_id)
    return [event["decryption"] for event in events if "decryption" in event]
