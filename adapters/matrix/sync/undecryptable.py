"""Messages that could not be decrypted: says so once, waits for their keys, and hands them on when those come."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from adapters.delivery.errors import TransientFailure
from adapters.matrix.background_tasks import BackgroundTasks
from adapters.matrix.bounded_dict import put_bounded
from adapters.matrix.event_content import relation_of
from adapters.matrix.events import Event, ToDevice
from adapters.matrix.homeserver import Homeserver, RequestRefused
from adapters.matrix.retry import retry
from adapters.matrix.settings import MatrixSettings
from adapters.matrix.sync.notices import NoticeSender
from adapters.matrix.sync.sync_state import SyncState, UndecryptableMessage
from bot.core.texts import Language, localize

log = logging.getLogger(__name__)

GRACE_S = 10.0
"""A key often comes a moment after its message; nothing is said for so long."""

MAX_WAIT_MS = 7 * 86_400_000
"""After a week nobody waits for an answer; a key that has not come by then does not come."""

UNREAD_KEPT = 200
TOLD_KEPT = 1000
DAY_S = 86_400.0
ROOM_KEY_TYPES = frozenset({"m.room_key", "m.forwarded_room_key"})
WITHHELD = "m.room_key.withheld"
WITHHELD_CODES = frozenset({"m.blacklisted", "m.no_olm", "m.unauthorised", "m.unavailable", "m.unverified"})
"""Why a client gives a key to some devices and not to others (client-server API, "Reporting that decryption keys are
withheld").
"""


@dataclass(frozen=True, slots=True)
class NoticeFacts:
    """What counts for saying something about a message. `room_told_at`: when the room was last told."""

    direct: bool = False
    replies_to_us: bool = False
    session_told: bool = False
    room_told_at: float | None = None


def should_notify(standing: NoticeFacts, now: float) -> bool:
    """Whether people are to be told of a message that cannot be read. Pure.

    Where it was surely for us, once for each session: its other messages have the same key. In a room nobody knows
    whether it was, and its people are not to hear of every session there: once a day.
    """
    if standing.direct or standing.replies_to_us:
        return not standing.session_told
    at = standing.room_told_at
    return at is None or not 0 <= now - at < DAY_S


class UndecryptableEvents:
    """What waits is in the marks, by event; without texts, which are asked for again where they are needed."""

    def __init__(
        self,
        *,
        wire: Homeserver,
        settings: MatrixSettings,
        marks: SyncState,
        notices: NoticeSender,
        language: Language,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._homeserver = wire
        self._settings = settings
        self._sync_state = marks
        self._notices = notices
        self._language = language
        self._clock = clock
        self._events: dict[str, Event] = {}
        self._withheld: dict[str, None] = {}
        self._total = 0
        self._background = BackgroundTasks()

    @property
    def total(self) -> int:
        """How many messages could not be decrypted when they came, since the start."""
        return self._total

    @property
    def is_busy(self) -> bool:
        """Whether something may still be said."""
        return self._background.is_busy

    def note_event(self, event: Event) -> None:
        """A message came that cannot be read."""
        known = self._sync_state.saved.unread
        if event.sender == self._homeserver.user_id or event.event_id in known:
            return
        if not self._settings.answers_user(event.sender) or not self._is_allowed(event.room_id):
            return
        self._total += 1
        log.info("%s in %s cannot be decrypted: its key is missing.", event.event_id, event.room_id)
        put_bounded(
            known, event.event_id, UndecryptableMessage(room_id=event.room_id, session_id=event.session_id), UNREAD_KEPT
        )
        put_bounded(self._events, event.event_id, event, UNREAD_KEPT)
        self._sync_state.save_soon()
        if not relation_of(event.content).replaces:
            self._background.start(self._notify(event), f"Telling of {event.event_id}")

    def find_decryptable(self, messages: Iterable[ToDevice]) -> list[tuple[str, str]]:
        """The messages, by room and event, that may be readable with the keys that came, oldest first."""
        sessions = {session for message in messages if (session := _session_of(message))}
        return self._waiting(lambda unread: unread.session_id in sessions) if sessions else []

    def all_waiting(self) -> list[tuple[str, str]]:
        """All that waits, by room and event: what an earlier process left, whose keys may have come as it ended."""
        return self._waiting(lambda _: True)

    def _waiting(self, wanted: Callable[[UndecryptableMessage], bool]) -> list[tuple[str, str]]:
        unread = self._sync_state.saved.unread.items()
        return [(waiting.room_id, event_id) for event_id, waiting in unread if wanted(waiting)]

    async def retry_event(self, room_id: str, event_id: str) -> Event | None:
        """The message, if it can be read now; it then waits no longer. Raises LoggedOut."""
        if event_id not in self._sync_state.saved.unread:
            return None
        try:
            kept = self._events.get(event_id)
            event = kept if kept is not None else await retry(lambda: self._homeserver.get_event(room_id, event_id))
        except TransientFailure as error:
            log.warning("%s cannot be read again: %s", event_id, error)
            return None
        except RequestRefused:
            self.drop_event(event_id)
            return None
        plain = self._homeserver.decrypt_event(event) if event.session_id else event
        if plain is not None or (event.age_ms or 0) > MAX_WAIT_MS:
            self.drop_event(event_id)
        return plain

    def drop_event(self, event_id: str) -> None:
        """A message was taken back, or has been read: it waits no longer."""
        self._events.pop(event_id, None)
        if self._sync_state.saved.unread.pop(event_id, None) is not None:
            self._sync_state.save_soon()

    def log_withheld(self, messages: Sequence[ToDevice]) -> None:
        """Log why clients do not let us read, each reason of a person once: that is what an admin can do something
        about.
        """
        for message in messages:
            code = message.content.get("code")
            if message.type != WITHHELD or not isinstance(code, str) or code not in WITHHELD_CODES:
                continue
            known = f"{message.sender} {code}"
            if known not in self._withheld and self._settings.answers_user(message.sender):
                log.warning("A client of %s keeps the keys of messages from Hearth: %s", message.sender, code)
                put_bounded(self._withheld, known, None, TOLD_KEPT)

    async def close(self) -> None:
        """Say nothing more."""
        await self._background.close()

    def _is_allowed(self, room_id: str) -> bool:
        direct = self._is_direct(room_id)
        shut = direct and not self._settings.direct_messages
        return not shut and self._settings.allows_room(room_id, direct)

    def _is_direct(self, room_id: str) -> bool:
        room = self._homeserver.get_room(room_id)
        return room is not None and room.is_direct

    async def _notify(self, event: Event) -> None:
        await asyncio.sleep(GRACE_S)
        if event.event_id not in self._sync_state.saved.unread:
            return
        direct, told = self._is_direct(event.room_id), self._sync_state.saved.told
        replies = not direct and await self._replies_to_us(event)
        standing = NoticeFacts(direct, replies, event.session_id in told, told.get(event.room_id))
        if not should_notify(standing, self._clock()):
            return
        for_us = direct or replies
        put_bounded(told, event.session_id if for_us else event.room_id, self._clock(), TOLD_KEPT)
        self._sync_state.save_soon()
        key = "matrix_unreadable_message" if for_us else "matrix_unreadable_room"
        await self._notices.send_notice(event.room_id, localize(key, self._language), event.event_id, event.event_id)

    async def _replies_to_us(self, event: Event) -> bool:
        """What a message replies to is told outside of what is encrypted."""
        target = relation_of(event.content).in_reply_to
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
