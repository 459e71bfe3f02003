"""Commands of the local socket: chat, index, search, documents, state."""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field

from adapters.json_lines.channel import StreamChannel
from bot.server.json_output import (
    file_fields,
    left_out_fields,
    progress_fields,
    report_fields,
    result_fields,
    state_fields,
    withheld_fields,
)
from bot.server.local_socket import CommandHandler, SocketRequest
from knowledge.library import Library
from knowledge.passages import LeftOut, ReindexProgress

PROGRESS_EVERY_S = 0.2


class ChatServer(Protocol):
    """Serves clients that chat."""

    async def serve_client(self, channel: StreamChannel, folder: Path) -> None:
        """Serve one client until its input has ended and everything in it is answered."""
        ...


class ChatRequest(BaseModel):
    """Chat: messages are in the lines that follow; `end` comes when all of them are answered.

    Relative attachment paths start at `folder`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    command: str
    folder: Path = Path("/")


class IndexRequest(BaseModel):
    """Bring collections up to date, all of them unless named.

    Without `confirm_removals`, removals that look like an accident are only reported.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    command: str
    collections: tuple[str, ...] = ()
    confirm_removals: bool = False


class SearchRequest(BaseModel):
    """Find passages, in all collections unless named: every client of the socket may read everything.

    With `explain` the hits tell the parts of their scores.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    command: str
    question: str
    collections: tuple[str, ...] = ()
    limit: int = Field(default=6, ge=1, le=50)
    explain: bool = False


class DocumentsRequest(BaseModel):
    """List the files of collections, of all unless named, in pages; with `failed` those not read, or only in part."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    command: str
    collections: tuple[str, ...] = ()
    failed: bool = False


class SocketCommands:
    """Handles the commands of the local socket; without `local_chat` clients cannot chat. The server reports errors."""

    def __init__(self, local_chat: ChatServer | None, library: Library) -> None:
        self._local_chat = local_chat
        self._library = library
        self._working = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def is_working(self) -> bool:
        """Whether a client waits for an index, a search or a list of documents; chats do not count."""
        return self._working > 0

    async def wait_until_idle(self) -> None:
        """Wait until every index and search is done."""
        await self._idle.wait()

    def handlers(self) -> Mapping[str, CommandHandler]:
        """The commands by name."""
        return {
            "chat": self._chat,
            "index": self._counted(self._index),
            "search": self._counted(self._search),
            "documents": self._counted(self._documents),
            "state": self._state,
        }

    def _counted(self, handler: CommandHandler) -> CommandHandler:
        async def handle(channel: StreamChannel, request: SocketRequest) -> None:
            self._working += 1
            self._idle.clear()
            try:
                await handler(channel, request)
            finally:
                self._working -= 1
                if not self._working:
                    self._idle.set()

        return handle

    async def _chat(self, channel: StreamChannel, request: SocketRequest) -> None:
        chat_request = ChatRequest.model_validate(request)
        if self._local_chat is None:
            sentence = f"Hearth is only seeing to documents now (process {os.getpid()}). Ask again when that is done."
            await channel.write_event({"event": "error", "sentence": sentence})
        else:
            await self._local_chat.serve_client(channel, chat_request.folder)
            await channel.write_event({"event": "end"})

    async def _index(self, channel: StreamChannel, request: SocketRequest) -> None:
        await self._reindex(channel, IndexRequest.model_validate(request))

    async def _reindex(self, channel: StreamChannel, request: IndexRequest) -> None:
        newest: list[ReindexProgress] = []
        names = request.collections or None
        work = asyncio.create_task(
            self._library.reindex(names, newest.append, confirm_removals=request.confirm_removals)
        )
        try:
            while not (await asyncio.wait({work}, timeout=PROGRESS_EVERY_S))[0]:
                if newest:
                    channel.post_event({"event": "progress", **progress_fields(newest[-1])})
                    newest.clear()
        finally:
            # A client that disconnects stops its reindex: Ctrl-C means stop.
            work.cancel()
            await asyncio.wait({work})
        await channel.write_event({"event": "report", **report_fields(work.result())})

    async def _search(self, channel: StreamChannel, request: SocketRequest) -> None:
        search_request = SearchRequest.model_validate(request)
        names = search_request.collections or tuple(self._library.collections)
        result = await self._library.search(
            search_request.question, names, limit=search_request.limit, explain=search_request.explain
        )
        await channel.write_event({"event": "result", **result_fields(result)})

    async def _documents(self, channel: StreamChannel, request: SocketRequest) -> None:
        documents_request = DocumentsRequest.model_validate(request)
        left_out: list[LeftOut] = []
        for name in documents_request.collections or sorted(self._library.collections):
            async for page in self._library.file_states(name):
                files = [file for file in page if not documents_request.failed or file.failure or file.unread]
                if files:
                    await channel.write_event({"event": "files", "files": file_fields(files)})
            left_out += await self._library.left_out(name)
        await channel.write_event({"event": "listed", "left_out": left_out_fields(left_out)})

    async def _state(self, channel: StreamChannel, request: SocketRequest) -> None:
        states = state_fields(await self._library.collection_states())
        others = withheld_fields(await self._library.unconfigured_collections())
        await channel.write_event({"event": "state", "pid": os.getpid(), "collections": states, "unconfigured": others})
