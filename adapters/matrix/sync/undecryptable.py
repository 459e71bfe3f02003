"""Undecryptable messages: notifies people once, waits for the keys, and returns the messages when those arrive."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from adapters.delivery.errors import TransientFailure
from adapters.matrix.background_tasks import BackgroundTasks
from adapters.matrix.event_content import Relation, relation_of
from adapters.matrix.events import Event, ToDevice
from adapters.matrix.homeserver import Homeserver, RequestRefused
from adapters.matrix.retry import retry
from adapters.matrix.settings import MatrixSettings
from adapters.matrix.sync.notices import NoticeSender
from adapters.matrix.sync.sync_state import SyncState, UndecryptableMessage
from adapters.matrix.texts import localize
from adapters.storage.bounded_dict import put_bounded
from bot.core.texts import Language

log = logging.getLogger(__name__)

GRACE_S = 10.0
"""Delay before a notice: a key often arrives a moment after its message."""

MAX_WAIT_MS = 7 * 86_400_000
"""After a week no answer is expected, and the key will not come any more."""

UNREAD_KEPT = 200
NOTIFIED_KEPT = 1000
DAY_S = 86_400.0
ROOM_KEY_TYPES = frozenset({"m.room_key", "m.forwarded_room_key"})
WITHHELD = "m.room_key.withheld"
WITHHELD_CODES = frozenset({"m.blacklisted", "m.no_olm", "m.unauthorised", "m.unavailable", "m.unverified"})
"""Reasons of a client to withhold a key from a device (client-server API, "Reporting that decryption keys are
withheld").
"""


@dataclass(frozen=True, slots=True)
class NoticeFacts:
    """The facts that decide whether people are notified. `room_notified_at`: the last time there, in Unix seconds."""

    direct: bool = False
    replies_to_bot: bool = False
    session_notified: bool = False
    room_notified_at: float | None = None


def should_notify(facts: NoticeFacts, now: float) -> bool:
    """Whether people are to be notified of an undecryptable message. Pure.

    If it was certainly addressed to Hearth, once for each session, whose messages share a key. In a room, where that is
    unknown, once a day, because most sessions there are of no interest.
    """
    if facts.direct or facts.replies_to_bot:
        return not facts.session_notified
    at = facts.room_notified_at
    return at is None or not 0 <= now - at < DAY_S


class UndecryptableEvents:
    """Messages that wait for keys, by event. The sync state has their ids only; their contents are fetched again."""

    def __init__(
        self,
        *,
        homeserver: Homeserver,
        settings: MatrixSettings,
        sync_state: SyncState,
        notices: NoticeSender,
        language: Language,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._homeserver = homeserver
        self._settings = settings
        self._sync_state = sync_state
        self._notices = notices
        self._language = language
        self._clock = clock
        self._events: dict[str, Event] = {}
        self._opened: set[str] = set()  # decrypted, and not yet with the core
        self._withheld: dict[str, None] = {}
        self._total = 0
        self._background = BackgroundTasks()

    @property
    def total(self) -> int:
        """Number of messages that could not be decrypted on arrival, since the start."""
        return self._total

    @property
    def is_busy(self) -> bool:
        """Whether a notice may still be sent."""
        return self._background.is_busy

    def note_event(self, event: Event) -> None:
        """Take note of an undecryptable message."""
        known = self._sync_state.saved.unread
        if event.sender == self._homeserver.user_id or event.event_id in known:
            return
        if not self._settings.answers_user(event.sender) or not self._is_allowed(event.room_id):
            return
        self._total += 1
        log.info("Could not decrypt %s in %s: its key is missing.", event.event_id, event.room_id)
        put_bounded(
            known, event.event_id, UndecryptableMessage(room_id=event.room_id, session_id=event.session_id), UNREAD_KEPT
        )
        put_bounded(self._events, event.event_id, event, UNREAD_KEPT)
        self._sync_state.save_soon()
        relation = relation_of(event.content)  # is outside of the encrypted part
        if not relation.replaces:
            self._background.start(self._notify(event, relation), f"A notice about {event.event_id}")

    def find_decryptable(self, messages: Iterable[ToDevice]) -> list[tuple[str, str]]:
        """The messages that new keys may decrypt, by room and event, oldest first."""
        sessions = {session for message in messages if (session := _session_of(message))}
        return self._waiting(lambda unread: unread.session_id in sessions) if sessions else []

    def all_waiting(self) -> list[tuple[str, str]]:
        """All messages that wait for keys, by room and event: keys may have come just as an earlier process ended."""
        return self._waiting(lambda _: True)

    def _waiting(self, wanted: Callable[[UndecryptableMessage], bool]) -> list[tuple[str, str]]:
        unread = self._sync_state.saved.unread.items()
        return [(waiting.room_id, event_id) for event_id, waiting in unread if wanted(waiting)]

    async def retry_event(self, room_id: str, event_id: str) -> Event | None:
        """The message, if it can be decrypted now; it waits until `drop_event`. Raises LoggedOut."""
        if event_id not in self._sync_state.saved.unread or event_id in self._opened:
            return None
        try:
            known = self._events.get(event_id)
            event = known if known is not None else await retry(lambda: self._homeserver.get_event(room_id, event_id))
        except TransientFailure as error:
            log.warning("Could not fetch %s again: %s", event_id, error)
            return None
        except RequestRefused:
            self.drop_event(event_id)
            return None
        decrypted = self._homeserver.decrypt_event(event) if event.session_id else event
        if decrypted is not None:
            self._opened.add(event_id)
        elif (event.age_ms or 0) > MAX_WAIT_MS:
            self.drop_event(event_id)
        return decrypted

    def drop_event(self, event_id: str) -> None:
        """Stop waiting for a message that was redacted, or decrypted and handed on."""
        self._events.pop(event_id, None)
        self._opened.discard(event_id)
        if self._sync_state.saved.unread.pop(event_id, None) is not None:
            self._sync_state.save_soon()

    def log_withheld(self, messages: Sequence[ToDevice]) -> None:
        """Log why clients withhold keys, each reason of a person once, so that an admin can act."""
        for message in messages:
            code = message.content.get("code")
            if message.type != WITHHELD or not isinstance(code, str) or code not in WITHHELD_CODES:
                continue
            known = f"{message.sender} {code}"
            if known not in self._withheld and self._settings.answers_user(message.sender):
                log.warning("Missing room keys, which a client of %s withheld: %s", message.sender, code)
                put_bounded(self._withheld, known, None, NOTIFIED_KEPT)

    async def close(self) -> None:
        """Send no more notices."""
        await self._background.close()

    def _is_allowed(self, room_id: str) -> bool:
        direct = self._is_direct(room_id)
        is_excluded = direct and not self._settings.direct_messages
        return not is_excluded and self._settings.allows_room(room_id, direct)

    def _is_direct(self, room_id: str) -> bool:
        room = self._homeserver.get_room(room_id)
        return room is not None and room.is_direct

    async def _notify(self, event: Event, relation: Relation) -> None:
        await asyncio.sleep(GRACE_S)
        if event.event_id not in self._sync_state.saved.unread or event.event_id in self._opened:
            return
        direct, notified = self._is_direct(event.room_id), self._sync_state.saved.told
        replies = not direct and await self._replies_to_bot(event, relation.in_reply_to)
        facts = NoticeFacts(direct, replies, event.session_id in notified, notified.get(event.room_id))
        if not should_notify(facts, self._clock()):
            return
        is_addressed = direct or replies
        put_bounded(notified, event.session_id if is_addressed else event.room_id, self._clock(), NOTIFIED_KEPT)
        self._sync_state.save_soon()
        key = "matrix_unreadable_message" if is_addressed else "matrix_unreadable_room"
        await self._notices.send_notice(event.room_id, localize(key, self._language), event.event_id, event.event_id)

    async def _replies_to_bot(self, event: Event, target: str) -> bool:
        if not target or event.session_id in self._sync_state.saved.told:
            return False
        try:
            return (await self._homeserver.get_event(event.room_id, target)).sender == self._homeserver.user_id
        except (TransientFailure, RequestRefused):
            return False


def _session_of(message: ToDevice) -> str:
    """The session whose key a to-device message brings; empty when it brings none."""
    content: Mapping[str, object] = message.content
    session = content.get("session_id") if message.type in ROOM_KEY_TYPES else None
    return session if isinstance(session, str) else ""
