"""The console as a chat platform: messages from JSON lines, answers as JSON events, many conversations at once."""

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adapters.console.attachments import FileAttachmentReader
from adapters.console.events import QuestionRef
from adapters.console.jsonl import BadLine, InputLine, MessageLine, StopLine, WithdrawLine, parse_line
from adapters.console.reply import ConsoleReply
from adapters.console.settings import ConsoleSettings
from adapters.json_lines.channel import LineChannel, bad_line_event
from bot.core.errors import ReaderGone, ReplyFailed
from bot.core.messages import Attachment, Audience, ConversationId, Message, Person
from bot.core.ports import Ended, Inbox
from bot.core.texts import Language

PLATFORM = "console"
ANSWER_LOST = "Something went wrong, and this answer is lost. Hearth's log says why."
logger = logging.getLogger(__name__)


@dataclass
class ConsoleClient:
    """A connected client. `folder`: the base of its relative attachment paths."""

    channel: LineChannel
    folder: Path
    pending: set[Ended] = field(default_factory=set)


class ConsoleAdapter:
    """Fills `LocalChatAdapter`. Answers left by an earlier process go to `home`: their clients have disconnected.

    `serve_client` serves further clients, each with the answers to its own messages.
    """

    def __init__(self, settings: ConsoleSettings, home: LineChannel | None = None) -> None:
        self._settings = settings
        self._home = ConsoleClient(home, Path.cwd()) if home else None
        self._attachments = FileAttachmentReader(settings.attachment_bytes)
        self._inbox: Inbox | None = None
        self._opened = asyncio.Event()
        self.home_ended = asyncio.Event()
        """Set when the home channel's input has ended and all its messages are answered."""

    @property
    def platform(self) -> str:
        """`console`."""
        return PLATFORM

    async def run(self, inbox: Inbox) -> None:
        """Answer the open messages of an earlier process, serve the home channel, and admit other clients, until
        cancelled.

        Raises ReplyFailed when the home channel has closed.
        """
        self._inbox = inbox
        self._opened.set()
        resumed = await inbox.resume(self)
        if resumed:
            logger.info("Answering %d console messages of an earlier process.", len(resumed))
        if self._home:
            self._home.pending.update(each.ended for each in resumed)
            await self._serve(self._home, inbox)
            self.home_ended.set()
        await asyncio.Event().wait()

    async def serve_client(self, channel: LineChannel, folder: Path) -> None:
        """Serve one client until its input has ended and every message in it is answered.

        Raises ReplyFailed when the client has disconnected.
        """
        await self._opened.wait()
        assert self._inbox is not None
        await self._serve(ConsoleClient(channel, folder), self._inbox)

    def reply_to(self, message: Message) -> ConsoleReply:
        """A reply on the home channel; without one, opening it raises ReplyFailed."""
        return self._reply(message, self._home)

    async def health(self, language: Language) -> Sequence[str]:
        """No lines: the console has no state that an admin could mend."""
        return ()

    async def close(self) -> None:
        """Do nothing: each channel is closed by its owner."""

    async def _serve(self, client: ConsoleClient, inbox: Inbox) -> None:
        number = 0
        async for line in client.channel.read_lines():
            number += 1
            if line is None or line.strip():
                await self._handle_line(client, inbox, number, line)
        if client.pending:
            await asyncio.wait(client.pending)

    async def _handle_line(self, client: ConsoleClient, inbox: Inbox, number: int, line: bytes | None) -> None:
        try:
            content = parse_line(line)
            message = await self._read_message(content, client.folder) if isinstance(content, MessageLine) else None
        except BadLine as error:
            await client.channel.write_event(bad_line_event(number, error))
            return
        if message is not None:
            await self._submit_message(client, inbox, message)
        else:
            await client.channel.write_event(await _run_control_line(content, inbox))

    async def _submit_message(self, client: ConsoleClient, inbox: Inbox, message: Message) -> None:
        reply = self._reply(message, client)
        ended = await inbox.handle(message, reply)
        if ended is None:
            await client.channel.write_event(_question_ref(message).make_event("ignored"))
            return
        followed = asyncio.create_task(_follow(ended, reply))
        client.pending.add(followed)
        followed.add_done_callback(client.pending.discard)
        await client.channel.write_event(_question_ref(message).make_event("received"))

    def _reply(self, message: Message, client: ConsoleClient | None) -> ConsoleReply:
        channel = client.channel if client else _ClosedChannel()
        return ConsoleReply(_question_ref(message), channel, self._settings.edit_interval_s)

    async def _read_message(self, line: MessageLine, folder: Path) -> Message:
        attachments = await self._attachments.read_attachments(line.attachments, folder)
        return _to_message(line, attachments)


def _to_message(line: MessageLine, attachments: tuple[Attachment, ...]) -> Message:
    conversation = conversation_id(line.conversation)
    author = Person(id=f"{PLATFORM}:{line.author}", name=line.author, is_admin=line.admin)
    return Message(
        conversation=conversation,
        event_id=line.event_id or uuid.uuid4().hex,
        author=author,
        text=line.text,
        addressed=line.addressed,
        audience=_audience(line, conversation, author),
        sent_at=time.time() if line.sent_at is None else line.sent_at,
        attachments=attachments,
    )


def _audience(line: MessageLine, conversation: ConversationId, author: Person) -> Audience:
    if line.audience is not None:
        names = frozenset(line.audience)
    elif line.private:
        names = frozenset({PLATFORM, conversation, author.id})
    else:
        names = frozenset({conversation})
    return Audience(names, private=line.private)


def conversation_id(name: str) -> ConversationId:
    """A conversation's id by its name on the console."""
    return ConversationId(f"{PLATFORM}:{name.removeprefix(PLATFORM + ':')}")


def _question_ref(message: Message) -> QuestionRef:
    return QuestionRef(message.conversation.removeprefix(f"{PLATFORM}:"), message.event_id)


async def _run_control_line(line: InputLine, inbox: Inbox) -> Mapping[str, Any]:
    if isinstance(line, StopLine):
        person = f"{PLATFORM}:{line.author}" if line.author else None
        count = await inbox.stop(conversation_id(line.stop), person)
        return {"event": "stopped", "conversation": line.stop, "count": count}
    assert isinstance(line, WithdrawLine)
    question = line.withdraw
    found = await inbox.withdraw(conversation_id(question.conversation), question.event_id)
    return QuestionRef(question.conversation, question.event_id).make_event("withdrawn", was_open=found)


async def _follow(ended: Ended, reply: ConsoleReply) -> None:
    """Wait for the end of an answer, and see to it that its client reads of one, whatever happened inside."""
    await asyncio.wait({ended})
    if not ended.cancelled() and not reply.has_ended:
        with suppress(ReplyFailed):
            await reply.fail(ANSWER_LOST)


class _ClosedChannel:
    """The channel of a client that has left."""

    async def read_lines(self) -> AsyncIterator[bytes | None]:
        return
        yield

    async def write_event(self, event: Mapping[str, Any]) -> None:
        self.post_event(event)

    def post_event(self, event: Mapping[str, Any]) -> None:
        raise ReaderGone("The client that asked is gone, and the console cannot keep answers for it.")
