"""Hearth on a real homeserver: the Matrix adapter over the real core, with a scripted engine."""

import asyncio
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adapters.matrix.adapter import FOLDER, MatrixAdapter
from adapters.matrix.credentials import Credentials, new_store_key, save_credentials
from adapters.matrix.crypto import store
from adapters.matrix.settings import MatrixSettings
from adapters.platform import BotProfile
from deploy.dev.homeserver import Account, SynapseServer
from tests.fakes.core import Core, running_core
from tests.fakes.engine import ScriptedEngine

DRAIN_S = 10.0


def log_in(folder: Path, homeserver: str, account: Account) -> None:
    """What a login leaves on the disk."""
    credentials = Credentials(homeserver, account.user_id, account.device_id, account.access_token, new_store_key())
    store.create_store(folder / FOLDER, credentials).close()
    save_credentials(folder / FOLDER, credentials)


@dataclass
class MatrixInstance:
    """Hearth with an account and a data folder; it can be stopped and started again. `core_settings` are those of
    `running_core`.
    """

    folder: Path
    account: Account
    settings: MatrixSettings = field(default_factory=MatrixSettings)
    engine: ScriptedEngine = field(default_factory=ScriptedEngine)
    shutdown_grace_s: float = 0
    core_settings: dict[str, Any] = field(default_factory=dict)
    core: Core = field(init=False)
    adapter: MatrixAdapter = field(init=False)
    running: asyncio.Task[None] | None = None
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    @classmethod
    async def registered_at(
        cls, homeserver: SynapseServer, folder: Path, url: str = "", **settings: object
    ) -> "MatrixInstance":
        """An account on a homeserver, logged in; not started."""
        account = await homeserver.register("hearth")
        log_in(folder, url or homeserver.url, account)
        return cls(folder, account, MatrixSettings.model_validate(settings))

    @property
    def user_id(self) -> str:
        """Who Hearth is there."""
        return self.account.user_id

    async def start(self) -> None:
        """Start a process, so to speak; it answers once it has heard of the rooms."""
        self.engine = self.engine.anew()
        self.adapter = MatrixAdapter(self.settings, self.folder, BotProfile())
        self._stack.push_async_callback(self.adapter.close)
        self.core = await self._stack.enter_async_context(
            running_core(self.folder, engine=self.engine, shutdown_grace_s=self.shutdown_grace_s, **self.core_settings)
        )
        self.core.stats.set_adapters([self.adapter])
        self.running = asyncio.create_task(self.adapter.run(self.core.inbox))

    async def stop(self) -> None:
        """End it in good order."""
        if self.running is not None:
            self.running.cancel()
            with suppress(asyncio.CancelledError):
                await self.running
            self.running = None
        await self._stack.aclose()
        self._stack = AsyncExitStack()
