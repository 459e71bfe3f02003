"""The account's identity in a running process: checked with the homeserver at the start and every hour after."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, datetime

from adapters.matrix.account.cross_signing import Standing, ensure
from adapters.matrix.account.identity import Identity, IdentityFile, Verifier, new_identity
from adapters.matrix.executor import aside
from adapters.matrix.homeserver import Keys, Server, Unsettled

log = logging.getLogger(__name__)

CHECKED_EVERY_S = 3600.0
TRIED_AGAIN_S = 60.0


class OwnKeys:
    """The keys, whether they have signed this device as far as known, and who has verified them."""

    def __init__(self, server: Server, keys: Keys, file: IdentityFile, identity: Identity) -> None:
        self._server = server
        self._keys = keys
        self._file = file
        self.identity = identity
        self.standing: Standing | None = None

    @classmethod
    async def open(cls, server: Server, keys: Keys, file: IdentityFile) -> "OwnKeys":
        """Load the keys, or make them where there are none yet. Raises MatrixUnusable when the file is damaged."""
        identity = await aside(_loaded, file, server.user_id)
        return cls(server, keys, file, identity)

    @property
    def verifiers(self) -> Sequence[Verifier]:
        """Who has verified us, oldest first."""
        return self.identity.verifiers

    async def check(self, password: str | None = None) -> Standing:
        """See to it that this device is signed, as far as that goes without asking. Raises Unsettled and LoggedOut."""
        before = self.standing
        self.standing = await ensure(self._server, self._keys, self.identity, password)
        if self.standing != before:
            log.log(logging.INFO if self.standing.is_signed else logging.WARNING, "%s", self.standing)
        return self.standing

    async def keep(self) -> None:
        """Check now and then until cancelled. Raises LoggedOut."""
        while True:
            try:
                await self.check()
                await asyncio.sleep(CHECKED_EVERY_S)
            except Unsettled as error:
                log.info("Whether this device is signed is not known yet: %s", error)
                await asyncio.sleep(TRIED_AGAIN_S)

    async def replace(self) -> None:
        """Make new keys in place of the old. Whoever has verified the old ones is warned by their client."""
        self.identity = new_identity(self._server.user_id)
        self.standing = None
        await aside(self._file.save, self.identity)

    async def verified_by(self, user_id: str) -> None:
        """Remember that somebody has verified us."""
        self.identity = self.identity.verified_by(user_id, datetime.now(UTC).replace(microsecond=0))
        await aside(self._file.save, self.identity)


def _loaded(file: IdentityFile, user_id: str) -> Identity:
    identity = file.load()
    if identity is None:
        identity = new_identity(user_id)
        file.save(identity)
    return identity
