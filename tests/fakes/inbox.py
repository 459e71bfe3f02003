"""An inbox that answers by a script, for testing adapters without the core."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bot.core.messages import ConversationId, FinalAnswer, Message, PostedPart, Timings
from bot.core.ports import Adapter, Ended, Reply, ResumedMessage

TOOK = Timings(total_s=0.1)
"""What an answer takes, at least; a command's reply takes nothing."""

Script = Callable[[Message, Reply], Awaitable[None]]


async def echo(message: Message, reply: Reply) -> None:
    """The default script: say the question again, in two pieces."""
    middle = len(message.text) // 2
    await reply.append(message.text[:middle])
    await reply.append(message.text[middle:])
    await reply.finish(FinalAnswer(message.text, timings=TOOK))


@dataclass
class Running:
    """An answer under way."""

    message: Message
    task: asyncio.Task[None]


class FakeInbox:
    """Fills `Inbox`. Every addressed message with a new event id is answered by the script, each in a task of its own.

    `handled` has all messages in order; `parts` what replies recorded, by event id; `stopped`, `withdrawn` and
    `stopped_answers` the calls. `left` are messages of a previous process: `resume` answers them, as second attempts,
    through `reply_to`.
    """

    def __init__(self, script: Script = echo) -> None:
        self.script = script
        self.handled: list[Message] = []
        self.parts: dict[str, list[PostedPart]] = {}
        self.left: list[Message] = []
        self.stopped: list[tuple[ConversationId, str | None]] = []
        self.withdrawn: list[tuple[ConversationId, str]] = []
        self.stopped_answers: list[tuple[ConversationId, str]] = []
        self.revised: list[Message] = []
        self._seen: set[str] = set()
        self._running: list[Running] = []

    async def handle(self, message: Message, reply: Reply) -> Ended | None:
        self.handled.append(message)
        if not message.addressed or message.event_id in self._seen:
            return None
        self._seen.add(message.event_id)
        return self._start(message, reply, attempt=1)

    async def resume(self, adapter: Adapter) -> list[ResumedMessage]:
        left, self.left = self.left, []
        self._seen.update(message.event_id for message in left)
        return [ResumedMessage(message, self._start(message, adapter.reply_to(message), attempt=2)) for message in left]

    async def stop(self, conversation: ConversationId, person_id: str | None = None) -> int:
        self.stopped.append((conversation, person_id))
        return self._cancel(
            lambda m: m.conversation == conversation and (person_id is None or m.author.id == person_id)
        )

    async def revise(self, message: Message) -> bool:
        self.revised.append(message)
        return any(running.message.event_id == message.event_id for running in self._running)

    async def question(self, conversation: ConversationId, event_id: str) -> str | None:
        asked = (m for m in self.handled if (m.conversation, m.event_id) == (conversation, event_id))
        return next((message.text for message in asked if message.command == "ask"), None)

    async def withdraw(self, conversation: ConversationId, event_id: str) -> bool:
        self.withdrawn.append((conversation, event_id))
        return bool(self._cancel(lambda m: m.conversation == conversation and m.event_id == event_id))

    async def stop_answer(self, conversation: ConversationId, event_id: str) -> bool:
        self.stopped_answers.append((conversation, event_id))
        return bool(self._cancel(lambda m: m.conversation == conversation and m.event_id == event_id))

    async def wait_until_idle(self) -> None:
        """Wait until every answer that was started has ended, and raise what one of them raised."""
        while self._running:
            running = self._running.pop(0)
            await asyncio.wait([running.task])
            if not running.task.cancelled():
                running.task.result()

    def _start(self, message: Message, reply: Reply, attempt: int) -> Ended:
        running = Running(message, asyncio.create_task(self._answer(message, reply, attempt)))
        # What it raises is for `wait_until_idle`; unread it would be logged later, in the middle of another test.
        running.task.add_done_callback(lambda task: task.cancelled() or task.exception())
        self._running.append(running)
        return running.task

    async def _answer(self, message: Message, reply: Reply, attempt: int) -> None:
        parts = self.parts.setdefault(message.event_id, [])

        async def record(part: PostedPart) -> None:
            parts.append(part)

        await reply.open(attempt, tuple(parts), record)
        try:
            await self.script(message, reply)
        except asyncio.CancelledError:
            await reply.fail("Stopped.")

    def _cancel(self, wanted: Callable[[Message], bool]) -> int:
        found = [running for running in self._running if wanted(running.message) and not running.task.done()]
        for running in found:
            running.task.cancel()
        return len(found)
