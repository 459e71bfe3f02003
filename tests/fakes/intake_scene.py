"""A room and a direct chat with people in them, an intake that hears them, and an inbox that keeps what reaches it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from adapters.matrix.events import Event
from adapters.matrix.incoming.message_handler import MessageHandler
from adapters.matrix.incoming.refusal_notices import RefusalNotices
from adapters.matrix.outgoing.rate_limiter import SendRateLimiter
from adapters.matrix.settings import MatrixSettings
from adapters.matrix.sync.notices import NoticeSender
from bot.core.messages import FinalAnswer, Message
from bot.core.ports import Reply
from tests.fakes.inbox import FakeInbox
from tests.fakes.reply import RecordingReply
from tests.fakes.wire import ALICE, ME, ROOM, FakeHomeserver

BEN, EVE = "@ben:home.example", "@eve:far.example"
CHAT = "!chat:home.example"


class FakeThreads:
    """Fills `JoinedThreads`."""

    def __init__(self) -> None:
        self.owned: set[str] = set()

    def join_thread(self, thread: str) -> None:
        self.owned.add(thread)

    def is_in_thread(self, thread: str) -> bool:
        return thread in self.owned


@dataclass
class Scene:
    """A kitchen where Alice and Ben are, a direct chat with Alice, and an inbox whose answers last until `done`."""

    wire: FakeHomeserver
    intake: MessageHandler
    inbox: FakeInbox
    threads: FakeThreads
    done: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def taken(self) -> list[str]:
        """What the core was asked."""
        return [message.text for message in self.inbox.handled]

    async def hear(
        self, body: str, sender: str = ALICE, room_id: str = ROOM, *, plain: bool = False, **content: Any
    ) -> Event:
        """Somebody says something, and we hear of it; `plain`: without encryption in any case."""
        event = self.wire.say(body, sender, room_id, plain=plain, **content)
        await self.intake.take_event(event)
        return event

    async def edit(self, event: Event, body: str, sender: str = "", *, plain: bool = False, **more: Any) -> Event:
        """Somebody edits a message, and we hear of it."""
        relates = {"rel_type": "m.replace", "event_id": event.event_id}
        new = {"msgtype": "m.text", "body": body, **more}
        content = {"m.new_content": new, "m.relates_to": relates, **more}
        return await self.hear(f"* {body}", sender or event.sender, event.room_id, plain=plain, **content)

    async def react(self, event: Event, key: object, sender: str = ALICE) -> Event:
        """Somebody reacts to a message, and we hear of it."""
        relates = {"rel_type": "m.annotation", "event_id": event.event_id, "key": key}
        reaction = self.wire.post(event.room_id, sender, "m.reaction", {"m.relates_to": relates})
        await self.intake.take_event(reaction)
        return reaction

    async def redact(self, event: Event) -> None:
        """Somebody takes a message back, and we hear of it."""
        self.wire.rooms[event.room_id].empty(event.event_id)
        await self.intake.take_event(
            self.wire.post(event.room_id, event.sender, "m.room.redaction", {"redacts": event.event_id})
        )


@asynccontextmanager
async def scene(**settings: Any) -> AsyncIterator[Scene]:
    """All of it; `settings` are those of Matrix."""
    wire, threads = FakeHomeserver(), FakeThreads()
    wire.add_room(ROOM, ALICE, BEN, EVE, names={ALICE: "Alice", BEN: "Ben", ME: "Hearth"})
    wire.add_room(CHAT, ALICE)

    async def lasting(message: Message, reply: Reply) -> None:
        await made.done.wait()
        await reply.finish(FinalAnswer("done"))

    ended: list[str] = []

    def chat_with(user_id: str) -> str:
        return CHAT if user_id == ALICE else ""

    inbox = FakeInbox(lasting)
    intake = MessageHandler(
        homeserver=wire,
        settings=MatrixSettings.model_validate(settings),
        prefix="!",
        inbox=inbox,
        reply_to=lambda message: RecordingReply(message.event_id),
        threads=threads,
        refusals=RefusalNotices(NoticeSender(wire, SendRateLimiter()), chat_with, "en"),
        end_interrupted=ended.append,
    )
    made = Scene(wire, intake, inbox, threads)
    try:
        yield made
    finally:
        made.done.set()
        await inbox.wait_until_idle()
        await intake.close()


def replying(event: Event) -> dict[str, Any]:
    """What makes a message a reply."""
    return {"m.relates_to": {"m.in_reply_to": {"event_id": event.event_id}}}


def in_thread(root: Event, after: Event | None = None, replies: bool = False) -> dict[str, Any]:
    """What puts a message into a thread, `after` another message in it, or as a reply to that."""
    relates: dict[str, Any] = {"rel_type": "m.thread", "event_id": root.event_id}
    if after is not None:
        relates |= {"m.in_reply_to": {"event_id": after.event_id}, "is_falling_back": not replies}
    return {"m.relates_to": relates}
