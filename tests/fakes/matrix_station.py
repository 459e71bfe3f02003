"""Hearth on a homeserver in memory: everything above the wire, with an inbox that answers by a script."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from adapters.matrix.events import Event, ToDevice
from adapters.matrix.ids import PLATFORM
from adapters.matrix.outgoing.rate_limiter import SendRateLimiter
from adapters.matrix.outgoing.replies import MatrixReplyFactory
from adapters.matrix.session import MatrixSession
from adapters.matrix.settings import MatrixSettings
from adapters.matrix.sync.sync_state import FILE, SyncState
from adapters.platform import BotProfile
from bot.core.messages import Message
from bot.core.ports import Inbox, Reply
from bot.core.texts import Language
from tests.fakes.inbox import FakeInbox
from tests.fakes.until import until
from tests.fakes.wire import FakeHomeserver


class FakeVerification:
    """Fills `VerificationHandler`: `heard` is what came; events whose type begins so belong to a verification."""

    def __init__(self) -> None:
        self.heard: list[ToDevice] = []

    async def take_to_device(self, message: ToDevice) -> None:
        self.heard.append(message)

    async def take_room_event(self, event: Event) -> bool:
        return event.type.startswith("m.key.verification.")


@dataclass
class MatrixSessionHarness:
    """Fills `Adapter` for a presence. `wire` and `inbox` outlive it when it is started again."""

    folder: Path
    wire: FakeHomeserver = field(default_factory=FakeHomeserver)
    inbox: FakeInbox = field(default_factory=FakeInbox)
    settings: MatrixSettings = field(default_factory=MatrixSettings)
    verifying: FakeVerification = field(default_factory=FakeVerification)
    platform: str = PLATFORM
    marks: SyncState = field(init=False)
    task: asyncio.Task[None] | None = None

    def reply_to(self, message: Message) -> Reply:
        return self.answers.reply_to(message)

    async def health(self, language: Language) -> Sequence[str]:
        return ()

    async def run(self, inbox: Inbox) -> None:
        await self.presence.run(self)

    async def start(self) -> None:
        """Start, and wait until the first sync has been dealt with."""
        self.marks = SyncState(self.folder)
        await self.marks.load()
        budget = SendRateLimiter()
        budget.bucket.lifted = True
        self.answers = MatrixReplyFactory(self.wire, budget)
        self.presence = MatrixSession(
            homeserver=self.wire,
            settings=self.settings.with_replaced_rooms(self.marks.saved.replaced),
            sync_state=self.marks,
            profile=BotProfile(),
            inbox=self.inbox,
            rate_limiter=budget,
            reply_to=self.reply_to,
            end_interrupted=self.answers.end_interrupted,
            verification=self.verifying,
        )
        self.task = asyncio.create_task(self.run(self.inbox))
        await self.settled()

    async def settled(self) -> None:
        """Wait until the server has nothing more to tell, and everything has been dealt with."""
        assert self.task is not None
        await until(lambda: self.marks.saved.token == self.wire.newest or (self.task and self.task.done()))

    async def stop(self, kill: bool = False) -> None:
        """End; killed, nothing is noted of what was dealt with last."""
        assert self.task is not None
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task
        await self.presence.close()
        file = self.folder / FILE
        left = file.read_bytes() if file.exists() else None
        await self.marks.close()
        if kill and left is not None:
            file.write_bytes(left)
        elif kill:
            file.unlink(missing_ok=True)
        await self.answers.close()

    @property
    def asked(self) -> list[str]:
        """The questions that reached the inbox, in order."""
        return [message.text for message in self.inbox.handled]

    @property
    def said(self) -> list[str]:
        """What was posted as new messages, in order."""
        return [str(sent.content["body"]) for sent in self.wire.sent if "m.new_content" not in sent.content]
