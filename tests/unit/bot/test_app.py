"""The whole of Hearth, put together without a model, as its adapters see it."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from bot.app import App, open_app
from bot.config.schema import Config
from bot.core.journal import message_key
from bot.core.messages import Message
from bot.core.ports import Inbox, Reply
from bot.core.texts import Language
from models.engine import EngineFailed, ModelUnusable
from tests.fakes.core import running_core
from tests.fakes.messages import message
from tests.fakes.reply import RecordingReply
from tests.fakes.until import rounds


class Platform:
    """An adapter on which an admin asks for the figures once."""

    platform = "console"

    def __init__(self) -> None:
        self.reply = RecordingReply()

    async def run(self, inbox: Inbox) -> None:
        await inbox.handle(message("!stats", admin=True), self.reply)
        await asyncio.Event().wait()

    def reply_to(self, message: Message) -> Reply:
        return self.reply

    async def health(self, language: Language) -> Sequence[str]:
        return ["The doors are open."]


def config_in(folder: Path, **sections: object) -> Config:
    return Config.model_validate(
        {
            "data_folder": folder,
            "model": {"engine": "echo"},
            "knowledge": {"embedding": {"kind": "hashing", "dimension": 64}},
            **sections,
        }
    )


async def test_stats_tells_the_state_of_the_adapter_that_runs(tmp_path: Path) -> None:
    platform = Platform()
    async with open_app(config_in(tmp_path)) as app:
        running = asyncio.create_task(app.run(platform))
        async with asyncio.timeout(60):
            await platform.reply.ended.wait()
        running.cancel()
        await asyncio.wait([running])
    assert platform.reply.text.endswith("\nThe doors are open.")


async def test_states_that_another_engine_has_saved_are_deleted(tmp_path: Path) -> None:
    (tmp_path / "parked").mkdir()
    (tmp_path / "parked" / "a.kv").write_bytes(b"what was said")
    async with open_app(config_in(tmp_path)) as app:
        assert list((tmp_path / "parked").iterdir()) == []
        await app.history.erasure.note_states(["console:room"])
    async with open_app(config_in(tmp_path)) as app:
        assert await app.history.erasure.forgotten_states() == [], "done at the start"


async def test_states_that_cannot_be_deleted_are_told_to_the_admin(tmp_path: Path) -> None:
    (tmp_path / "parked" / "a.kv").mkdir(parents=True)
    with pytest.raises(ModelUnusable, match="parked cannot be deleted"):
        async with open_app(config_in(tmp_path)):
            pass


async def test_what_is_older_than_the_config_says_is_deleted_at_the_start(tmp_path: Path) -> None:
    async with open_app(config_in(tmp_path)) as app:
        asked = message("zanzibar")
        await app.history.journal.receive_message(replace(asked, command="ask"))
        await app.history.journal.mark_ended(message_key(asked), "failed")
        await app.history._database.execute("UPDATE messages SET received_at = received_at - 8 * 86400")
    async with open_app(config_in(tmp_path, history={"keep_days": 9})) as app:
        await rounds()
        assert await app.history.question_text(asked.conversation, "1") == "zanzibar"
    async with open_app(config_in(tmp_path, history={"keep_days": 7})) as app:
        async with asyncio.timeout(60):
            while await app.history.question_text(asked.conversation, "1") is not None:
                await asyncio.sleep(0.001)
    assert b"zanzibar" not in b"".join(path.read_bytes() for path in tmp_path.glob("history*"))


async def test_a_model_that_dies_is_missing_and_ends_the_program(tmp_path: Path) -> None:
    platform = Platform()
    async with running_core(tmp_path) as core:
        missing: list[str] = []
        app = App(Config(), core.inbox, core.library, core.engine, core.history, core.stats, None, missing, None)
        running = asyncio.create_task(app.run(platform))
        async with asyncio.timeout(60):
            await platform.reply.ended.wait()
            assert not missing
            core.engine.fail()
            with pytest.raises(ExceptionGroup) as failure:
                await running
    assert missing == ["The model is gone."]
    assert [str(each) for each in failure.value.exceptions if isinstance(each, EngineFailed)] == missing


async def test_adapters_that_end_by_themselves_end_the_run(tmp_path: Path) -> None:
    class Brief(Platform):
        async def run(self, inbox: Inbox) -> None:
            await asyncio.sleep(0)

    async with running_core(tmp_path) as core:
        app = App(Config(), core.inbox, core.library, core.engine, core.history, core.stats, None, [], None)
        async with asyncio.timeout(60):
            await app.run(Brief())
