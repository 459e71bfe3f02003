"""The Tin adapter, and its replies."""

import asyncio
import logging
import time
import uuid
from collections.abc import Sequence
from functools import partial

from adapters.platform import BotProfile
from bot.core.errors import ReplyFailed
from bot.core.messages import Audience, ConversationId, FinalAnswer, Message, Person, PostedPart
from bot.core.ports import Inbox, RecordPart
from bot.core.texts import Language
from hearth_tin.platform import TEXTS

log = logging.getLogger(__name__)


class TinReply:
    """Fills `Reply`. A line cannot be edited, so only the final text is written."""

    def __init__(self, writer: asyncio.StreamWriter | None) -> None:
        self._writer = writer

    async def open(self, attempt: int, posted: Sequence[PostedPart], record: RecordPart) -> None: ...

    async def waiting(self, place: int, wait_s: float | None, sentence: str) -> None: ...

    async def working(self) -> None: ...

    async def append(self, piece: str) -> None: ...

    async def replace(self, text: str) -> None: ...

    async def finish(self, closing: FinalAnswer) -> None:
        await self.fail(closing.text)

    async def fail(self, sentence: str) -> None:
        if self._writer is None:
            raise ReplyFailed("The connection of the question is gone.")
        self._writer.write(" ".join(sentence.split()).encode() + b"\n")
        await self._writer.drain()

    async def discard(self) -> None: ...


class TinAdapter:
    """Fills `PlatformAdapter`."""

    platform = "tin"

    def __init__(self, port: int, profile: BotProfile) -> None:
        self._port = port
        self._profile = profile

    async def run(self, inbox: Inbox) -> None:
        server = await asyncio.start_server(partial(self._serve, inbox), "127.0.0.1", self._port)
        try:
            await inbox.resume(self)
            log.info("Tin listens on port %d.", server.sockets[0].getsockname()[1])
            await asyncio.Event().wait()
        finally:
            server.close()

    def reply_to(self, message: Message) -> TinReply:
        return TinReply(None)

    async def health(self, language: Language) -> Sequence[str]:
        return [TEXTS.localize("tin_health", language, port=self._port)]

    async def close(self) -> None: ...

    async def _serve(self, inbox: Inbox, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await TinReply(writer).fail(TEXTS.localize("tin_greeting", self._profile.language, name=self._profile.name))
        conversation = ConversationId(f"tin:{uuid.uuid4().hex}")
        async for line in reader:
            message = Message(
                conversation=conversation,
                event_id=uuid.uuid4().hex,
                author=Person(id="tin:guest", name="guest"),
                text=line.decode().strip(),
                addressed=True,
                audience=Audience(frozenset({conversation})),
                sent_at=time.time(),
            )
            await inbox.handle(message, TinReply(writer))
        writer.close()
