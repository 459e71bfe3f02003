"""The real core on real databases, with a scripted engine and a small library."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bot.core.answer import Answerer
from bot.core.attachments import AttachmentReader
from bot.core.commands import Commands
from bot.core.dispatch import Dispatcher
from bot.core.history import History
from bot.core.messages import Message
from bot.core.queue import FairQueue
from bot.core.settings import CoreSettings
from bot.core.stats import Stats
from bot.core.texts import Language
from knowledge.embedding import HashingEmbedder
from knowledge.library import Library
from knowledge.reader import DocumentReader
from knowledge.settings import CollectionSettings, EmbeddingSettings, KnowledgeSettings
from models.engine import Sampling
from tests.fakes.engine import ScriptedEngine
from tests.fakes.messages import RecordingObserver
from tests.fakes.paragraph_reader import ParagraphReader
from tests.fakes.reply import FakePlatform, RecordingReply

DIMENSION = 64


@dataclass
class Core:
    """A core at work. `replies` holds the reply to each message by event id."""

    inbox: Dispatcher
    history: History
    library: Library
    engine: ScriptedEngine
    queue: FairQueue
    stats: Stats
    observer: RecordingObserver
    platform: FakePlatform
    replies: dict[str, RecordingReply]

    async def send(self, message: Message) -> RecordingReply:
        """Hand a message in; its reply, which may not have ended yet."""
        reply = RecordingReply(message.event_id, self.platform)
        self.replies[message.event_id] = reply
        await self.inbox.handle(message, reply)
        return reply

    async def ask(self, message: Message) -> RecordingReply:
        """Hand a message in and wait until all answers have ended."""
        reply = await self.send(message)
        await self.inbox.wait_until_idle()
        return reply


class RecoveryAdapter:
    """Fills `Adapter` for a restart: replies are built from messages alone. `state` is what its platform tells."""

    platform = "console"

    def __init__(self, core: Core, *state: str) -> None:
        self._core = core
        self._state = state

    async def run(self, inbox: object) -> None:
        await self._core.inbox.resume(self)

    def reply_to(self, message: Message) -> RecordingReply:
        self._core.replies[message.event_id] = RecordingReply(message.event_id, self._core.platform)
        return self._core.replies[message.event_id]

    async def health(self, language: Language) -> Sequence[str]:
        return [f"{line} ({language})" for line in self._state]


@asynccontextmanager
async def running_core(
    folder: Path,
    *,
    engine: ScriptedEngine | None = None,
    platform: FakePlatform | None = None,
    readers: Sequence[str] | Mapping[str, Sequence[str]] | None = None,
    attachments: DocumentReader | None = None,
    **settings: object,
) -> AsyncIterator[Core]:
    """A core over `folder`; its collections are the sub-folders of `folder/documents`, read by `readers`, of all or of
    each (none: by the console). `attachments` reads the files sent with questions.
    """
    embedding = EmbeddingSettings(kind="hashing", dimension=DIMENSION)
    documents = sorted(path for path in (folder / "documents").glob("*") if path.is_dir())
    knowledge = KnowledgeSettings(
        collections={path.name: _collection(path, readers) for path in documents},
        embedding=embedding,
    )
    core_settings = CoreSettings.model_validate({"queue_notice_after_s": 0, "shutdown_grace_s": 0, **settings})
    engine = engine or ScriptedEngine()
    reader = ParagraphReader()
    history = await History.open(folder / "history.sqlite3")
    library = await Library.open(knowledge, HashingEmbedder(DIMENSION), reader, folder)
    if documents:
        await library.reindex()
    queue = FairQueue(engine.capacity, core_settings.open_questions_per_person)
    observer = RecordingObserver()
    answerer = Answerer(
        engine=engine,
        library=library,
        history=history,
        queue=queue,
        settings=core_settings,
        sampling=Sampling(max_tokens=64),
        observer=observer,
    )
    figures = Stats(library, engine, history, queue)
    inbox = Dispatcher(
        settings=core_settings,
        history=history,
        queue=queue,
        answerer=answerer,
        attachments=AttachmentReader(attachments or reader),
        observer=observer,
        commands=lambda stopper: Commands(
            library=library, engine=engine, history=history, stats=figures, stopper=stopper, prefix="!"
        ),
    )
    try:
        yield Core(inbox, history, library, engine, queue, figures, observer, platform or FakePlatform(), {})
    finally:
        await inbox.close()
        await library.close()
        await history.close()


def _collection(folder: Path, readers: Sequence[str] | Mapping[str, Sequence[str]] | None) -> CollectionSettings:
    named = readers.get(folder.name) if isinstance(readers, Mapping) else readers
    return CollectionSettings.model_validate({"folder": folder} | ({} if named is None else {"readers": named}))
