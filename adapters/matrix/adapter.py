"""Matrix adapter: connects the account that `hearth matrix login` has set up."""

import asyncio
import logging
from collections.abc import Sequence
from functools import partial
from itertools import count
from pathlib import Path

from adapters.delivery.errors import TransientFailure
from adapters.matrix.account.health import health_lines
from adapters.matrix.account.identity import IdentityFile
from adapters.matrix.account.identity_service import IdentityService
from adapters.matrix.account.profile import ensure_display_name
from adapters.matrix.api.failures import as_admin_error
from adapters.matrix.background_tasks import BackgroundTasks
from adapters.matrix.client import MatrixClient
from adapters.matrix.credentials import load_credentials
from adapters.matrix.executor import run_in_thread
from adapters.matrix.homeserver import LoggedOut, RequestRefused
from adapters.matrix.ids import PLATFORM
from adapters.matrix.incoming.translate import audience_of
from adapters.matrix.outgoing.rate_limiter import SendRateLimiter
from adapters.matrix.outgoing.replies import MatrixReplyFactory
from adapters.matrix.retry import backoff_s
from adapters.matrix.session import MatrixSession
from adapters.matrix.settings import MatrixSettings
from adapters.matrix.sync.direct_rooms import find_direct_room
from adapters.matrix.sync.sync_state import SyncState
from adapters.matrix.verification.service import VerificationService
from adapters.platform import BotProfile
from bot.core.messages import Message
from bot.core.ports import Inbox, Reply
from bot.core.texts import Language

log = logging.getLogger(__name__)

FOLDER = "matrix"
"""Below the data folder: credentials, keys and the sync state."""


class MatrixAdapter:
    """Fills `Adapter`. `close` it after the core, so that running answers still reach Matrix."""

    def __init__(self, settings: MatrixSettings, data_folder: Path, profile: BotProfile | None = None) -> None:
        self._settings = settings
        self._folder = data_folder / FOLDER
        self._profile = profile or BotProfile()
        self._rate_limiter = SendRateLimiter()
        self._client: MatrixClient | None = None
        self._replies: MatrixReplyFactory | None = None
        self._identity: IdentityService | None = None
        self._session: MatrixSession | None = None

    @property
    def platform(self) -> str:
        """`matrix`."""
        return PLATFORM

    def reply_to(self, message: Message) -> Reply:
        """A reply in the room that the message names; only while the adapter runs."""
        assert self._replies is not None
        return self._replies.reply_to(message)

    async def health(self, language: Language) -> Sequence[str]:
        """The encryption's state: whether our device is signed, who has verified us, how many messages are unread."""
        if self._identity is None or self._session is None:
            return ()
        unread = self._session.undecryptable.total
        return health_lines(language, self._identity.status, self._identity.verifiers, unread)

    async def run(self, inbox: Inbox) -> None:
        """Answer until cancelled. Raises MatrixUnusable, with the remedy, when the account cannot be used."""
        credentials = await run_in_thread(load_credentials, self._folder)
        client = self._client = MatrixClient.open(self._folder, credentials, self._settings.request_timeout_s)
        language = self._profile.language
        self._replies = MatrixReplyFactory(client, self._rate_limiter, audience_of, language)
        self._identity = await IdentityService.open(client, client, IdentityFile.for_account(self._folder, credentials))
        sync_state = SyncState(self._folder)
        await sync_state.load()
        # If the limits are in force again since, the first refusal shows it.
        self._rate_limiter.bucket.lifted = sync_state.saved.lifted
        background = BackgroundTasks()
        try:
            await self._publish_device(client, self._identity)
            background.start(self._identity.keep_signed(), "Checking the signature of the device")
            await self._serve(inbox, client, self._identity, sync_state, self._replies)
        except (LoggedOut, RequestRefused) as error:
            raise as_admin_error(error) from None
        finally:
            await background.close()
            sync_state.note_limits(self._rate_limiter.bucket.lifted)
            await sync_state.close()

    async def close(self) -> None:
        """Stop updates of all replies, and close the connection."""
        if self._replies is not None:
            await self._replies.close()
        if self._client is not None:
            await self._client.close()

    async def _serve(
        self,
        inbox: Inbox,
        client: MatrixClient,
        identity: IdentityService,
        sync_state: SyncState,
        replies: MatrixReplyFactory,
    ) -> None:
        settings = self._settings.with_replaced_rooms(sync_state.saved.replaced)
        verification = VerificationService(
            client,
            client,
            identity,
            settings.admin_users,
            language=self._profile.language,
            direct_room=partial(find_direct_room, client, sync_state),
            wait_for_turn=partial(self._rate_limiter.acquire_slot, "first", learns=False),
        )
        session = self._session = MatrixSession(
            homeserver=client,
            settings=settings,
            sync_state=sync_state,
            profile=self._profile,
            inbox=inbox,
            rate_limiter=self._rate_limiter,
            reply_to=self.reply_to,
            end_interrupted=replies.end_interrupted,
            verification=verification,
        )
        try:
            await session.run(self)
        finally:
            await session.close()
            await verification.close()

    async def _publish_device(self, client: MatrixClient, identity: IdentityService) -> None:
        """Publish and sign the device before any message is answered: clients trust no other. Waits for the server."""
        for failures in count(1):
            try:
                await client.publish_keys()
                await identity.check_signature()
                return await ensure_display_name(client, self._profile.name)
            except TransientFailure as error:
                if failures == 1:
                    log.warning("Could not reach the homeserver, trying again until it answers: %s", error)
                await asyncio.sleep(backoff_s(failures, error))
            except RequestRefused as error:
                log.warning("Could not publish the device's keys: %s", error)
                return None
        raise AssertionError  # `count` never ends
