"""The Matrix adapter: the account as `hearth matrix login` left it, connected for as long as it runs."""

import asyncio
import logging
from collections.abc import Sequence
from functools import partial
from itertools import count
from pathlib import Path

from adapters.matrix.account.health import health_lines
from adapters.matrix.account.identity import IdentityFile
from adapters.matrix.account.identity_service import OwnKeys
from adapters.matrix.account.profile import name_account
from adapters.matrix.api.failures import unusable
from adapters.matrix.background_tasks import Background
from adapters.matrix.client import Client
from adapters.matrix.credentials import load
from adapters.matrix.executor import aside
from adapters.matrix.homeserver import LoggedOut, Refused, Unsettled, Wire
from adapters.matrix.ids import PLATFORM
from adapters.matrix.outgoing.rate_limiter import Budget
from adapters.matrix.outgoing.replies import Answers
from adapters.matrix.retry import pause_s
from adapters.matrix.session import Manners, Presence
from adapters.matrix.settings import MatrixSettings
from adapters.matrix.sync.sync_state import Marks
from adapters.matrix.verification.service import VerificationDesk
from bot.core.messages import Message
from bot.core.ports import Inbox, Reply
from bot.core.texts import Language

log = logging.getLogger(__name__)

FOLDER = "matrix"
"""Below the data folder: credentials, keys and marks."""


class MatrixAdapter:
    """Fills `Adapter`. `close` it after the core, so that answers in the making still reach Matrix."""

    def __init__(self, settings: MatrixSettings, data_folder: Path, manners: Manners | None = None) -> None:
        self._settings = settings
        self._folder = data_folder / FOLDER
        self._manners = manners or Manners()
        self._budget = Budget()
        self._client: Client | None = None
        self._answers: Answers | None = None
        self._own: OwnKeys | None = None
        self._presence: Presence | None = None

    @property
    def platform(self) -> str:
        """`matrix`."""
        return PLATFORM

    def reply_to(self, message: Message) -> Reply:
        """A reply in the room that the message names; only while the adapter runs."""
        assert self._answers is not None
        return self._answers.reply_to(message)

    async def health(self, language: Language) -> Sequence[str]:
        """The encryption's state: whether our device is signed, who has verified us, what could not be read."""
        if self._own is None or self._presence is None:
            return ()
        unread = self._presence.undecryptable.count
        return health_lines(language, self._own.standing, self._own.verifiers, unread)

    async def run(self, inbox: Inbox) -> None:
        """Answer until cancelled. Raises MatrixUnusable when the account cannot be used, with what to do."""
        credentials = await aside(load, self._folder)
        client = self._client = Client.open(self._folder, credentials, self._settings.request_timeout_s)
        self._answers = Answers(client, self._budget)
        self._own = await OwnKeys.open(client, client, IdentityFile.beside(self._folder, credentials))
        marks = Marks(self._folder)
        await marks.load()
        # If that is no longer so, the first refusal tells.
        self._budget.bucket.lifted = marks.kept.lifted
        background = Background()
        try:
            await self._introduce(client, self._own)
            background.start(self._own.keep(), "Checking the signature of the device")
            await self._serve(inbox, client, self._own, marks)
        except (LoggedOut, Refused) as error:
            raise unusable(error) from None
        finally:
            await background.close()
            marks.note_limits(self._budget.bucket.lifted)
            await marks.close()

    async def close(self) -> None:
        """Leave Matrix."""
        if self._answers is not None:
            await self._answers.close()
        if self._client is not None:
            await self._client.close()

    async def _serve(self, inbox: Inbox, client: Client, own: OwnKeys, marks: Marks) -> None:
        settings = self._settings.following(marks.kept.replaced)
        desk = VerificationDesk(
            client,
            client,
            own,
            settings.admin_users,
            language=self._manners.language,
            direct_room=partial(direct_room, client, marks),
            turn=partial(self._budget.turn, "first"),
        )
        presence = self._presence = Presence(
            wire=client,
            settings=settings,
            marks=marks,
            manners=self._manners,
            inbox=inbox,
            budget=self._budget,
            reply_to=self.reply_to,
            verifying=desk,
        )
        try:
            await presence.run(self)
        finally:
            await presence.close()
            await desk.close()

    async def _introduce(self, client: Client, own: OwnKeys) -> None:
        """Have our device known and signed before anybody is answered: clients trust no other. Waits for the server."""
        for failures in count(1):
            try:
                await client.publish()
                await own.check()
                return await name_account(client, self._manners.name)
            except Unsettled as error:
                if failures == 1:
                    log.warning("The homeserver cannot be reached, trying again until it can: %s", error)
                await asyncio.sleep(pause_s(failures, error))
            except Refused as error:
                log.warning("The device's keys could not be looked after: %s", error)
                return None
        raise AssertionError  # counting never ends


def direct_room(wire: Wire, marks: Marks, user_id: str) -> str:
    """The room of our direct chat with a user, where we last heard something first; empty when there is none."""
    for room_id in reversed(marks.kept.seen):
        room = wire.room(room_id)
        if room is not None and room.is_direct and user_id in room.names:
            return room_id
    return ""
