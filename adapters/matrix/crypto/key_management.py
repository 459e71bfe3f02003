"""Key management: the order and the outcome of all requests for keys, ours and others'."""

import asyncio
import time
from collections.abc import Callable, Collection

from peewee import PeeweeException  # type: ignore[import-untyped]

from adapters.delivery.errors import TransientFailure
from adapters.matrix.crypto.device_lists import DeviceLists
from adapters.matrix.crypto.key_upload import KeyUploader
from adapters.matrix.crypto.machine import OlmMachine
from adapters.matrix.crypto.olm_sessions import OlmSessions
from adapters.matrix.events import Json
from adapters.matrix.homeserver import LoggedOut, MatrixApi, RequestRefused
from adapters.step_runner import StepRunner


class KeyManager:
    """Keeps our keys on the server, others' devices, and the sessions with them up to date. One request at a time."""

    def __init__(
        self,
        machine: OlmMachine,
        server: MatrixApi,
        *,
        signed_devices_only: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock`: seconds, for the pauses before what failed is tried again."""
        self.devices = DeviceLists(machine, server, signed_devices_only, clock)
        self._uploader = KeyUploader(machine, server)
        self._sessions = OlmSessions(machine, server, clock)
        self._lock = asyncio.Lock()
        self._steps = StepRunner(expected=(TransientFailure, RequestRefused, PeeweeException), fatal=(LoggedOut,))

    def apply_sync(self, sync: Json) -> None:
        """Apply the key counts and device lists of a sync."""
        self._uploader.apply_sync(sync)
        self.devices.apply_sync(sync)

    def mark_outdated(self, user_id: str) -> None:
        """Query the devices of a user at the next opportunity."""
        self.devices.mark_outdated(user_id)

    async def run_pending(self) -> None:
        """Run the requests due after a sync, each whatever became of the others; failed ones are logged and stay due.

        Raises LoggedOut.
        """
        async with self._lock:
            await self._steps.run("upload the device's encryption keys", self._uploader.upload)
            await self._steps.run("query the devices of other users", self.devices.query_outdated)
            await self._steps.run("query the senders of undecryptable messages", self.devices.query_senders)
            await self._steps.run("renew broken Olm sessions", self._sessions.renew_broken)
            await self._steps.run("tell devices of their new Olm sessions", self._sessions.send_waiting)

    async def upload_keys(self) -> None:
        """Upload our keys that the server lacks. Raises the port's errors."""
        async with self._lock:
            await self._uploader.upload()

    async def ensure_sessions(self, users: Collection[str]) -> None:
        """Query the devices of these users, and begin an Olm session with each device where possible.

        Raises TransientFailure and LoggedOut, so that nothing is sent that a device could not read for that reason.
        """
        async with self._lock:
            await self.devices.query_unknown(users)
            await self._sessions.begin(self.devices.recipients(users))
