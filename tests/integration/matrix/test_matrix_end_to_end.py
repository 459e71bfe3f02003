"""All of Hearth on Matrix: the real core, the real small model and the demo's documents, on a real homeserver."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from adapters.matrix.adapter import MatrixAdapter
from adapters.matrix.settings import MatrixSettings
from bot.config.loading import load_config
from bot.config.schema import Config
from bot.daemon import run_daemon
from deploy.dev.element import Peer
from deploy.dev.homeserver import Account, Shown, SynapseServer
from deploy.dev.homeserver.client import Client
from tests.fakes.matrix_resident import log_in
from tests.homeserver import Capture

Enter = Callable[..., Awaitable[Client]]
EnterEncrypted = Callable[..., Awaitable[Peer]]
DEMO = Path(__file__).parents[3] / "deploy" / "demo"
FILES = sum(path.is_file() for path in (DEMO / "documents").rglob("*"))
SOURCE = "backup/backup-drive.md"
INSTRUCTIONS = "Answer at length, in five sentences, with all that is known."
QUESTION = "What does the backup drive look like, on which shelf does it live, and how is it handled?"
PNG = b"\x89PNG\r\n\x1a\n"
PATIENCE_S = 120.0
"""Everything together takes some 20 s on two idle cores; a busy machine is not a fault."""

pytestmark = [pytest.mark.timeout(400), pytest.mark.usefixtures("chat_model_path", "embedding_files")]


def demo_config(folder: Path, reader: str) -> Config:
    """The demo's settings with its data below `folder`, and documents that one person may be answered from."""
    config = load_config(DEMO / "config.yaml")
    (name, collection), *_ = config.knowledge.collections.items()
    collections = {name: collection.model_copy(update={"readers": (f"matrix:user:{reader}",)})}
    knowledge = config.knowledge.model_copy(update={"collections": collections})
    # The demo asks for one short sentence, which is there before it could stream.
    core = config.core.model_copy(update={"instructions": INSTRUCTIONS})
    return config.model_copy(update={"data_folder": folder, "knowledge": knowledge, "core": core})


@asynccontextmanager
async def hearth(homeserver: SynapseServer, url: str, folder: Path, admin: Client) -> AsyncIterator[Account]:
    """Hearth with an account of its own, at its first start, so nothing is indexed."""
    account = await homeserver.register("hearth")
    log_in(folder, url, account)
    adapter = MatrixAdapter(MatrixSettings(admin_users=frozenset({admin.user_id})), folder)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(adapter.close)
        await stack.enter_async_context(run_daemon(demo_config(folder, admin.user_id), adapters=[adapter]))
        yield account


class Chat:
    """A direct chat with Hearth, as one person sees it."""

    def __init__(self, person: Client, bot: str, room: str) -> None:
        self.person, self.bot, self.room = person, bot, room

    @classmethod
    async def of(cls, person: Client, bot: str, *, encrypted: bool) -> "Chat":
        room = await person.direct(bot, encrypted=encrypted)
        await person.until(lambda: person.members[room].get(bot) == "join", PATIENCE_S)
        return cls(person, bot, room)

    async def told(self, said: str, wanted: Callable[[Shown], Any]) -> Shown:
        """Say something, and wait until a reply to it is as wanted."""
        asked = await self.person.say(self.room, said)
        return await self.person.shown(
            self.room,
            lambda shown: shown.sender == self.bot and shown.reply_to == asked and wanted(shown),
            PATIENCE_S,
        )


async def is_reindexed(chat: Chat) -> None:
    counts = await chat.told("!reindex", lambda shown: " added" in shown.body)
    assert counts.kind == "m.notice"
    *progress, last = counts.bodies
    assert any(f" of {FILES}. " in text for text in progress), progress
    found = re.search(r"(\d+) added, 0 changed, 0 removed, 0 unchanged, 0 failed", last)
    assert found, last
    assert int(found[1]) >= FILES  # each row of a table is a document


async def is_answered_in_steps_with_its_source(chat: Chat) -> None:
    answer = await chat.told(QUESTION, lambda shown: "\n[1] " in shown.body)
    assert answer.kind == "m.text"
    assert "\n[1] The backup drive" in answer.body
    *partial, whole = answer.bodies
    assert partial, "the answer did not stream"
    for text in partial:
        assert text.strip()
        assert whole.startswith(text.rstrip())
    assert chat.person.typing.get(chat.room) is not None
    sources = await chat.told("!sources", lambda shown: shown.body)
    assert SOURCE in sources.body
    assert "shelf Quince" in sources.body


async def is_counted(chat: Chat, health: str) -> Shown:
    """`!stats`, with the state of the encryption; gives the picture."""
    picture = await chat.told("!stats", lambda shown: shown.kind == "m.image")
    (told,) = [shown for shown in chat.person.timeline.shown(chat.room, chat.bot) if health in shown.body]
    assert told.kind == "m.notice"
    assert "handbook" in told.body
    return picture


async def downloaded(url: str, person: Client, uri: str) -> bytes:
    headers = {"Authorization": f"Bearer {person.account.access_token}"}
    address = f"/_matrix/client/v1/media/download/{uri.removeprefix('mxc://')}"
    async with aiohttp.ClientSession(url) as session, session.get(address, headers=headers) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.read()


async def test_in_an_encrypted_chat_indexed_asked_and_counted(
    homeserver: SynapseServer, enter_encrypted: EnterEncrypted, capture: Capture, tmp_path: Path
) -> None:
    ana = await enter_encrypted(homeserver, "ana")
    async with hearth(homeserver, capture.url, tmp_path, ana) as account:
        chat = await Chat.of(ana, account.user_id, encrypted=True)
        await is_reindexed(chat)
        await is_answered_in_steps_with_its_source(chat)
        picture = await is_counted(chat, "Matrix: my device is signed by its owner.")
        assert (await ana.read_encrypted_file(picture.content)).startswith(PNG)
    assert {request.event[1] for request in capture.sent(chat.room) if request.event} == {"m.room.encrypted"}
    whole = repr([request.body for request in capture.requests])
    assert "backup" not in whole
    assert repr(PNG)[2:-1] not in whole


async def test_in_an_unencrypted_chat_indexed_asked_and_counted(
    homeserver: SynapseServer, enter: Enter, tmp_path: Path
) -> None:
    ana = await enter(homeserver, "ana")
    async with hearth(homeserver, homeserver.url, tmp_path, ana) as account:
        chat = await Chat.of(ana, account.user_id, encrypted=False)
        await is_reindexed(chat)
        await is_answered_in_steps_with_its_source(chat)
        picture = await is_counted(chat, "Matrix: messages I could not decrypt since I started: 0.")
        assert (await downloaded(homeserver.url, ana, picture.content["url"])).startswith(PNG)
