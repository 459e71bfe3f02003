"""Olm sessions with other devices: begun with claimed one-time keys, and renewed when they are broken."""

import logging
import time
from collections.abc import Callable, Iterable

from adapters.matrix.api.parsing import as_dict
from adapters.matrix.crypto.key_upload import CLAIM
from adapters.matrix.crypto.machine import OlmMachine
from adapters.matrix.crypto.own_device import SIGNED_CURVE25519
from adapters.matrix.crypto.to_device import DEVICES_PER_REQUEST, ENCRYPTED, to_device_path
from adapters.matrix.events import Json
from adapters.matrix.homeserver import MatrixApi, RequestRefused
from adapters.matrix.retry import RetryDelays

log = logging.getLogger(__name__)

CLAIM_TIMEOUT_MS = 5000
"""Time that the server may wait for other servers' keys (specification: 10,000): messages wait meanwhile."""
FIRST_RETRY_S, MAX_RETRY_S = 20.0, 600.0
"""Pauses before a device for which the server had no key is asked for again."""


class OlmSessions:
    """Begins the sessions that are missing. A failed request says nothing about a device: the next try claims again."""

    def __init__(self, machine: OlmMachine, server: MatrixApi, clock: Callable[[], float] = time.monotonic) -> None:
        self._machine = machine
        self._server = server
        self._retries = RetryDelays(FIRST_RETRY_S, MAX_RETRY_S, clock=clock)

    async def begin(self, devices: Iterable[tuple[str, str]]) -> None:
        """Begin a session with each of these devices that has none, as far as the server has keys for them.

        Raises TransientFailure and LoggedOut when the server could not be asked.
        """
        await self._claim([pair for pair in devices if self._machine.get_session(*pair) is None])

    async def renew_broken(self) -> None:
        """Begin new sessions with the devices whose messages could not be decrypted; the others stay marked."""
        wedged = self._machine.wedged_devices
        wedged[:] = [device for device in wedged if not device.deleted]
        await self._claim([(device.user_id, device.device_id) for device in wedged])

    async def send_waiting(self) -> None:
        """Send the empty messages by which devices learn of their new sessions; they wait until the server has them."""
        waiting = self._machine.outgoing_to_device_messages
        while waiting:
            part = waiting[:DEVICES_PER_REQUEST]
            messages: dict[str, dict[str, Json]] = {}
            for message in part:
                messages.setdefault(message.recipient, {})[message.recipient_device] = message.content
            try:
                await self._server.call_api("PUT", to_device_path(ENCRYPTED), {"messages": messages})
            except RequestRefused:
                del waiting[: len(part)]
                raise
            del waiting[: len(part)]

    async def _claim(self, devices: Iterable[tuple[str, str]]) -> None:
        due = sorted(pair for pair in devices if self._retries.is_due(pair))
        if not due:
            return
        claimed: Json = {}
        try:
            claimed = await self._request_keys(due)
        except RequestRefused as error:
            users = sorted({user for user, _ in due})
            if len(users) > 1:  # one user whom the server does not like must not cost the others their keys
                for user in users:
                    await self._claim([pair for pair in due if pair[0] == user])
                return
            log.info("Could not claim keys of %s: %s", users[0], error)
        await self._machine.store.run_in_batches(due, lambda pair: self._use_key(pair, as_dict(claimed.get(pair[0]))))

    async def _request_keys(self, devices: Iterable[tuple[str, str]]) -> Json:
        wanted: dict[str, dict[str, str]] = {}
        for user, device in devices:
            wanted.setdefault(user, {})[device] = SIGNED_CURVE25519
        body = {"one_time_keys": wanted, "timeout": CLAIM_TIMEOUT_MS}
        return as_dict((await self._server.call_api("POST", CLAIM, body)).get("one_time_keys"))

    def _use_key(self, pair: tuple[str, str], keys: Json) -> None:
        user, device = pair
        if self._machine.begin_session(user, device, as_dict(keys.get(device))):
            self._retries.clear(pair)
        else:
            self._retries.note_failure(pair)
