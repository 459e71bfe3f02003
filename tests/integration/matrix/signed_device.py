"""A device of Hearth's on a real homeserver, as far as its identity goes: client, own keys, verification, no core."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from adapters.matrix import credentials
from adapters.matrix.account.identity import IdentityFile
from adapters.matrix.account.identity_service import IdentityService
from adapters.matrix.client import MatrixClient
from adapters.matrix.credentials import Credentials
from adapters.matrix.crypto import store
from adapters.matrix.events import SyncResponse
from adapters.matrix.verification.service import VerificationService
from deploy.dev.homeserver.account import Account


@dataclass
class SignedDevice:
    """What runs. `seen`: everything that syncs told, newest last."""

    client: MatrixClient
    own: IdentityService
    desk: VerificationService
    seen: list[SyncResponse]

    async def turn(self, token: str) -> str:
        """One sync, with what it brought handed to the desk, and invitations accepted."""
        news = await self.client.sync(token, 1.0)
        self.seen.append(news)
        for message in news.to_device:
            await self.desk.take_to_device(message)
        for timeline in news.joined:
            for event in timeline.events:
                await self.desk.take_room_event(event)
        for invitation in news.invited:
            await self.client.join_room(invitation.room_id)
        return news.token


def new_credentials(url: str, account: Account, folder: Path) -> Credentials:
    """What a login leaves behind for the device that registering made."""
    made = Credentials(url, account.user_id, account.device_id, account.access_token, credentials.new_store_key())
    credentials.save_credentials(folder, made)
    store.create_store(folder, made).close()
    return made


async def happens(condition: Callable[[], bool]) -> None:
    """Wait until something is true of the device."""
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.02)


@asynccontextmanager
async def opened(folder: Path, made: Credentials, *admins: str, lasts_s: float = 600) -> AsyncIterator[SignedDevice]:
    """The device with its keys published; it does not sync by itself."""
    client = MatrixClient.open(folder, made)
    try:
        await client.publish_keys()
        own = await IdentityService.open(client, client, IdentityFile.for_account(folder, made))
        desk = VerificationService(client, client, own, admins, timeout_s=lasts_s)
        yield SignedDevice(client, own, desk, [])
        await desk.close()
    finally:
        await client.close()


@asynccontextmanager
async def running(device: SignedDevice) -> AsyncIterator[None]:
    """It syncs, from now on, until the context ends."""
    token = await device.turn("")

    async def loop(token: str) -> None:
        while True:
            token = await device.turn(token)

    task = asyncio.create_task(loop(token))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
