"""The whole of Hearth, put together without a model, as its adapters see it."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from bot.app import App, open_app
from bot.config.schema import Config
from bot.core.messages import Message
from bot.core.ports import Inbox, Reply
from bot.core.texts import Language
from models.engine import EngineFailed
from tests.fakes.core import running_core
from tests.fakes.messages import message
from tests.fakes.reply import RecordingReply


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


async def test_stats_tells_the_state_of_the_adapter_that_runs(tmp_path: Path) -> None:
    config = Config.model_validate(
        {
            "data_folder": tmp_path,
            "model": {"engine": "echo"},
            "knowledge": {"embedding": {"kind": "hashing", "dimension": 64}},
        }
    )
    platform = Platform()
    async with open_app(config) as app:
        running = asyncio.create_task(app.run(platform))
        async with asyncio.timeout(60):
            await platform.reply.ended.wait()
        running.cancel()
        await asyncio.wait([running])
    assert platform.reply.text.endswith("\nThe doors are open.")


async def test_a_model_that_dies_is_missing_and_ends_the_program(tmp_path: Path) -> None:
    platform = Platform()
    async with running_core(tmp_path) as core:
        missing: list[str] = []
        app = App(Config(), core.inbox, core.library, core.engine, core.history, core.stats, None, missing)
        running = asyncio.create_task(app.run(platform))
        async with asyncio.timeout(60):
            await platform.reply.ended.wait()
            assert not missing
            core.engine.failed.set()
            with pytest.raises(ExceptionGroup) as failure:
                await running
    assert missing == ["The model is gone."]
    assert [str(each) for each in failure.value.exceptions if isinstance(each, EngineFailed)] == missing


async def test_adapters_that_end_by_themselves_end_the_run(tmp_path: Path) -> None:
    class Brief(Platform):
        async def run(self, inbox: Inbox) -> None:
            await asyncio.sleep(0)

    async with running_core(tmp_path) as core:
        app = App(Config(), core.inbox, core.library, core.engine, core.history, core.stats, None, [])
        async with asyncio.timeout(60):
            await app.run(Brief())
