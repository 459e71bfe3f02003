"""The whole of Hearth, put together without a model, as its adapters see it."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from bot.app import open_app
from bot.config.schema import Config
from bot.core.messages import Message
from bot.core.ports import Inbox, Reply
from bot.core.texts import Language
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
