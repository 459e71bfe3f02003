"""The account's identity in a running process: checked with the homeserver at the start and then every hour."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, datetime

from adapters.delivery.errors import TransientFailure
from adapters.matrix.account.cross_signing import SigningStatus, ensure_signed
from adapters.matrix.account.identity import Identity, IdentityFile, Verifier, new_identity
from adapters.matrix.executor import run_in_thread
from adapters.matrix.homeserver import DeviceSigner, LoggedOut, MatrixApi
from adapters.step_runner import StepRunner

log = logging.getLogger(__name__)

CHECK_INTERVAL_S = 3600.0
RETRY_INTERVAL_S = 60.0


class IdentityService:
    """The keys, the signing status of this device as last known, and the users who verified the keys."""

    def __init__(self, server: MatrixApi, keys: DeviceSigner, file: IdentityFile, identity: Identity) -> None:
        self._server = server
        self._keys = keys
        self._file = file
        self.identity = identity
        self.status: SigningStatus | None = None

    @classmethod
    async def open(cls, server: MatrixApi, keys: DeviceSigner, file: IdentityFile) -> "IdentityService":
        """Load the keys, or create them if there are none yet. Raises MatrixUnusable when the file is damaged."""
        identity = await run_in_thread(_load_or_create, file, server.user_id)
        return cls(server, keys, file, identity)

    @property
    def verifiers(self) -> Sequence[Verifier]:
        """The users who verified us, oldest first."""
        return self.identity.verifiers

    async def check_signature(self, password: str | None = None) -> SigningStatus:
        """Make sure that this device is signed, asking for nothing. Raises TransientFailure and LoggedOut."""
        before = self.status
        self.status = await ensure_signed(self._server, self._keys, self.identity, password)
        if self.status != before:
            log.log(logging.INFO if self.status.is_signed else logging.WARNING, "%s", self.status)
        return self.status

    async def keep_signed(self) -> None:
        """Check the signature periodically until cancelled. Raises LoggedOut."""
        steps = StepRunner(expected=(TransientFailure,), fatal=(LoggedOut,))
        while True:
            checked = await steps.run("check whether this device is signed", self.check_signature)
            await asyncio.sleep(CHECK_INTERVAL_S if checked else RETRY_INTERVAL_S)

    async def replace_keys(self) -> None:
        """Replace the keys by new ones. Users who verified the old ones are warned by their clients."""
        identity = new_identity(self._server.user_id)
        # Saved before anything may upload them: keys on the server alone would be lost.
        await run_in_thread(self._file.save, identity)
        self.identity, self.status = identity, None

    async def add_verifier(self, user_id: str) -> None:
        """Store that a user has verified us."""
        self.identity = self.identity.with_verifier(user_id, datetime.now(UTC).replace(microsecond=0))
        await run_in_thread(self._file.save, self.identity)


def _load_or_create(file: IdentityFile, user_id: str) -> Identity:
    identity = file.load()
    if identity is None:
        identity = new_identity(user_id)
        file.save(identity)
    return identity
