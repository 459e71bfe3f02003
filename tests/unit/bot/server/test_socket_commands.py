"""What clients of the local socket may ask for, and the sentences for what they may not."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from adapters.json_lines.channel import StreamChannel
from bot.server.local_socket import LocalServer, connect_to_daemon
from bot.server.socket_commands import ChatServer, SocketCommands
from knowledge.library import Library, ReindexRunning, UnknownCollection
from knowledge.passages import (
    CollectionState,
    FileState,
    Hit,
    HitExplanation,
    LeftOut,
    Passage,
    PassageLocation,
    ReindexProgress,
    ReindexReport,
    SearchResult,
    WithheldRemoval,
)

LEFT_OUT = (LeftOut("handbook", "kind", ".xyz", 1),)
FILES = (
    FileState("handbook", "a.md", 1, 2, 300, 0.0, "", ""),
    FileState("handbook", "b.pdf", 0, 0, 0, None, "It is broken.", ""),
    FileState("handbook", "c.log", 1, 9, 300, None, "", "Only its end was read."),
)


class Shelf:
    """A library of one passage whose reindex runs until it is released."""

    def __init__(self) -> None:
        self.collections = {"handbook": object()}
        self.release = asyncio.Event()
        self.indexing: Collection[str] | None = ()
        self.cancelled = False
        self.confirmed = False

    async def search(self, question: str, collections: Collection[str], *, limit: int, explain: bool) -> SearchResult:
        if "lost" in collections:
            raise UnknownCollection("lost", ("handbook",))
        passage = Passage(
            1, "handbook", "a.md", "A", PassageLocation(heading=("A",)), f"{question} {sorted(collections)} {limit}"
        )
        explanation = HitExplanation(0.4, 0.1, 0.0, 0.45) if explain else None
        return SearchResult((Hit(passage, 0.5, {"bm25": 1}, explanation),), True, 0.001)

    async def reindex(
        self,
        collections: Collection[str] | None,
        on_progress: Callable[[ReindexProgress], None],
        *,
        confirm_removals: bool,
    ) -> ReindexReport:
        if self.indexing != ():
            raise ReindexRunning
        self.confirmed = confirm_removals
        self.indexing = collections
        on_progress(ReindexProgress("reading", 1, 2, "a.md"))
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        return ReindexReport(added=2, withheld=(WithheldRemoval("handbook", 3, "vanished"),), left_out=LEFT_OUT)

    async def file_states(self, collection: str) -> AsyncIterator[list[FileState]]:
        for file in FILES:
            yield [file]

    async def left_out(self, collection: str) -> list[LeftOut]:
        return list(LEFT_OUT)

    async def collection_states(self) -> tuple[CollectionState, ...]:
        return (CollectionState("handbook", 1, 1, 0, True),)

    async def unconfigured_collections(self) -> tuple[WithheldRemoval, ...]:
        return (WithheldRemoval("old", 7, "unconfigured"),)


class Parrot:
    """A console that says back what comes."""

    async def serve_client(self, channel: StreamChannel, folder: Path) -> None:
        async for line in channel.read_lines():
            await channel.write_event({"said": (line or b"").decode(), "folder": str(folder)})


@asynccontextmanager
async def serving(folder: Path, shelf: Shelf, console: ChatServer | None = None) -> AsyncIterator[None]:
    server = LocalServer(folder, 10_000)
    await server.listen(SocketCommands(console, cast(Library, shelf)).handlers())
    try:
        yield
    finally:
        await server.stop()
        await server.close()


async def ask(folder: Path, *lines: dict[str, Any]) -> list[dict[str, Any]]:
    channel = await connect_to_daemon(folder, 10_000)
    assert channel is not None
    for line in lines:
        await channel.write_event(line)
    channel.write_eof()
    async with asyncio.timeout(60):
        events = [json.loads(line or b"null") async for line in channel.read_lines()]
    await channel.close()
    return events


async def test_a_search_looks_into_all_collections_unless_told(tmp_path: Path) -> None:
    async with serving(tmp_path, Shelf()):
        (all_of_them,) = await ask(tmp_path, {"command": "search", "question": "q"})
        (one,) = await ask(tmp_path, {"command": "search", "question": "q", "collections": ["x"], "limit": 2})
    assert all_of_them["hits"][0]["passage"] == "q ['handbook'] 6"
    assert one["hits"][0]["passage"] == "q ['x'] 2"
    assert (one["event"], one["supported"]) == ("result", True)
    assert "explanation" not in one["hits"][0]


async def test_a_search_explains_its_scores_when_asked(tmp_path: Path) -> None:
    async with serving(tmp_path, Shelf()):
        (result,) = await ask(tmp_path, {"command": "search", "question": "q", "explain": True})
    explanation = result["hits"][0]["explanation"]
    assert (explanation["lexical"], explanation["vector"], explanation["threshold"]) == (0.4, 0.1, 0.45)


async def test_indexing_tells_its_progress_and_then_its_report(tmp_path: Path) -> None:
    shelf = Shelf()
    async with serving(tmp_path, shelf):
        asking = asyncio.create_task(ask(tmp_path, {"command": "index"}))
        await asyncio.sleep(0.3)
        shelf.release.set()
        progress, report = await asking
    assert (progress["event"], progress["done"], progress["total"]) == ("progress", 1, 2)
    assert (report["event"], report["added"]) == ("report", 2)
    assert shelf.indexing is None


async def test_removals_are_confirmed_by_the_request_alone(tmp_path: Path) -> None:
    for confirmed in (False, True):
        shelf = Shelf()
        shelf.release.set()
        async with serving(tmp_path, shelf):
            *_, report = await ask(tmp_path, {"command": "index", "confirm_removals": confirmed})
        assert shelf.confirmed is confirmed
        assert report["withheld"] == [{"collection": "handbook", "documents": 3, "cause": "vanished"}]
        assert report["left_out"] == [{"collection": "handbook", "cause": "kind", "name": ".xyz", "count": 1}]


async def test_a_second_reindex_meanwhile_is_refused(tmp_path: Path) -> None:
    shelf = Shelf()
    async with serving(tmp_path, shelf):
        first = asyncio.create_task(ask(tmp_path, {"command": "index"}))
        await asyncio.sleep(0.1)
        (refused,) = await ask(tmp_path, {"command": "index"})
        shelf.release.set()
        assert (await first)[-1]["event"] == "report"
    assert refused == {"event": "error", "sentence": str(ReindexRunning())}


async def test_stopping_the_server_stops_a_reindex(tmp_path: Path) -> None:
    shelf = Shelf()
    async with serving(tmp_path, shelf):
        asking = asyncio.create_task(ask(tmp_path, {"command": "index"}))
        await asyncio.sleep(0.1)
    assert shelf.cancelled
    assert all(event["event"] == "progress" for event in await asking)


@pytest.mark.parametrize(
    ("request_line", "sentence"),
    [
        ({"command": "search", "question": "q", "collections": ["lost"]}, "no collection 'lost'"),
        ({"command": "search"}, "question: Field required"),
        ({"command": "search", "question": "q", "limit": 1000}, "limit: "),
        ({"command": "index", "force": True}, "force: "),
        ({"command": "chat", "room": 1}, "room: "),
    ],
)
async def test_a_request_that_cannot_be_met_gets_a_sentence(
    tmp_path: Path, request_line: dict[str, Any], sentence: str
) -> None:
    async with serving(tmp_path, Shelf(), Parrot()):
        (event,) = await ask(tmp_path, request_line)
    assert event["event"] == "error"
    assert sentence in event["sentence"]


async def test_a_chat_ends_with_an_end_once_all_is_answered(tmp_path: Path) -> None:
    async with serving(tmp_path, Shelf(), Parrot()):
        said, end = await ask(tmp_path, {"command": "chat", "folder": "/somewhere"}, {"text": "hi"})
    assert (said["said"], said["folder"]) == ('{"text":"hi"}', "/somewhere")
    assert end == {"event": "end"}


async def test_nobody_chats_with_a_process_that_only_sees_to_documents(tmp_path: Path) -> None:
    async with serving(tmp_path, Shelf(), None):
        (event,) = await ask(tmp_path, {"command": "chat"}, {"text": "hi"})
    assert "only seeing to documents" in event["sentence"]


async def test_the_state_tells_what_is_indexed_and_by_which_process(tmp_path: Path) -> None:
    async with serving(tmp_path, Shelf()):
        (event,) = await ask(tmp_path, {"command": "state"})
    assert event["collections"] == [
        {
            "name": "handbook",
            "documents": 1,
            "passages": 1,
            "failed": 0,
            "index_ready": True,
            "embedder_changed": False,
            "languages": {},
            "partly_read": 0,
            "left_out": {},
        }
    ]
    assert event["unconfigured"] == [{"collection": "old", "documents": 7, "cause": "unconfigured"}]
    assert event["pid"] > 0


async def test_documents_come_in_pages_with_what_is_left_out_at_the_end(tmp_path: Path) -> None:
    async with serving(tmp_path, Shelf()):
        *pages, listed = await ask(tmp_path, {"command": "documents"})
        *failed, _ = await ask(tmp_path, {"command": "documents", "failed": True, "collections": ["handbook"]})
    assert [page["files"][0]["path"] for page in pages] == ["a.md", "b.pdf", "c.log"]
    assert pages[0]["files"][0]["read_at"].startswith(("1970-01-01T", "1969-12-31T"))
    assert [page["files"][0]["path"] for page in failed] == ["b.pdf", "c.log"]
    assert listed["left_out"][0]["name"] == ".xyz"
