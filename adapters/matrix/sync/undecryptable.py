"""Messages that could not be decrypted: says so once, waits for their keys, and hands them on when those come."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from adapters.matrix.background_tasks import Background
from adapters.matrix.bounded_dict import put
from adapters.matrix.event_content import relation_of
from adapters.matrix.events import Event, ToDevice
from adapters.matrix.homeserver import Refused, Unsettled, Wire
from adapters.matrix.retry import patiently
from adapters.matrix.settings import MatrixSettings
from adapters.matrix.sync.notices import Notices
from adapters.matrix.sync.sync_state import Marks, Unread
from bot.core.texts import Language, say

log = logging.getLogger(__name__)

GRACE_S = 10.0
"""A key often comes a moment after its message; nothing is said for so long."""

WAITED_FOR_MS = 7 * 86_400_000
"""After a week nobody waits for an answer; a key that has not come by then does not come."""

UNREAD_KEPT = 200
TOLD_KEPT = 1000
DAY_S = 86_400.0
KEYS = frozenset({"m.room_key", "m.forwarded_room_key"})
WITHHELD = "m.room_key.withheld"
CODES = frozenset({"m.blacklisted", "m.no_olm", "m.unauthorised", "m.unavailable", "m.unverified"})
"""Why a client gives a key to some devices and not to others (client-server API, "Reporting that decryption keys are
withheld").
"""


@dataclass(frozen=True, slots=True)
class Standing:
    """What counts for saying something about a message. `room_told_at`: when the room was last told."""

    direct: bool = False
    replies_to_us: bool = False
    session_told: bool = False
    room_told_at: float | None = None


def should_tell(standing: Standing, now: float) -> bool:
    """Whether people are to be told of a message that cannot be read. Pure.

    Where it was surely for us, once for each session: its other messages have the same key. In a room nobody knows
    whether it was, and its people are not to hear of every session there: once a day.
    """
    if standing.direct or standing.replies_to_us:
        return not standing.session_told
    at = standing.room_told_at
    return at is None or not 0 <= now - at < DAY_S


class Undecryptable:
    """What waits is in the marks, by event; without texts, which are asked for again where they are needed."""

    def __init__(
        self,
        *,
        wire: Wire,
        settings: MatrixSettings,
        marks: Marks,
        notices: Notices,
        language: Language,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._wire = wire
        self._settings = settings
        self._marks = marks
        self._notices = notices
        self._language = language
        self._clock = clock
        self._events: dict[str, Event] = {}
        self._withheld: dict[str, None] = {}
        self._count = 0
        self._background = Background()

    @property
    def count(self) -> int:
        """How many messages could not be decrypted when they came, since the start."""
        return self._count

    @property
    def busy(self) -> bool:
        """Whether something may still be said."""
        return self._background.busy

    def hear(self, event: Event) -> None:
        """A message came that cannot be read."""
        known = self._marks.kept.unread
        if event.sender == self._wire.user_id or event.event_id in known:
            return
        if not self._settings.answers(event.sender) or not self._is_let_in(event.room_id):
            return
        self._count += 1
        log.info("%s in %s cannot be decrypted: its key is missing.", event.event_id, event.room_id)
        put(known, event.event_id, Unread(room_id=event.room_id, session_id=event.session_id), UNREAD_KEPT)
        put(self._events, event.event_id, event, UNREAD_KEPT)
        self._marks.save_soon()
        if not relation_of(event.content).replaces:
            self._background.start(self._tell(event), f"Telling of {event.event_id}")

    def arrived(self, messages: Iterable[ToDevice]) -> list[tuple[str, str]]:
        """The messages, by room and event, that may be readable with the keys that came, oldest first."""
        sessions = {session for message in messages if (session := _session_of(message))}
        return self._waiting(lambda unread: unread.session_id in sessions) if sessions else []

    def left_over(self) -> list[tuple[str, str]]:
        """All that waits, by room and event: what an earlier process left, whose keys may have come as it ended."""
        return self._waiting(lambda _: True)

    def _waiting(self, wanted: Callable[[Unread], bool]) -> list[tuple[str, str]]:
        unread = self._marks.kept.unread.items()
        return [(waiting.room_id, event_id) for event_id, waiting in unread if wanted(waiting)]

    async def open(self, room_id: str, event_id: str) -> Event | None:
        """The message, if it can be read now; it then waits no longer. Raises LoggedOut."""
        if event_id not in self._marks.kept.unread:
            return None
        try:
            kept = self._events.get(event_id)
            event = kept if kept is not None else await patiently(lambda: self._wire.event(room_id, event_id))
        except Unsettled as error:
            log.warning("%s cannot be read again: %s", event_id, error)
            return None
        except Refused:
            self.drop(event_id)
            return None
        plain = self._wire.decrypt(event) if event.session_id else event
        if plain is not None or (event.age_ms or 0) > WAITED_FOR_MS:
            self.drop(event_id)
        return plain

    def drop(self, event_id: str) -> None:
        """A message was taken back, or has been read: it waits no longer."""
        self._events.pop(event_id, None)
        if self._marks.kept.unread.pop(event_id, None) is not None:
            self._marks.save_soon()

    def explain(self, messages: Sequence[ToDevice]) -> None:
        """Log why clients do not let us read, each reason of a person once: that is what an admin can do something
        about.
        """
        for message in messages:
            code = message.content.get("code")
            if message.type != WITHHELD or not isinstance(code, str) or code not in CODES:
                continue
            known = f"{message.sender} {code}"
            if known not in self._withheld and self._settings.answers(message.sender):
                log.warning("A client of %s keeps the keys of messages from Hearth: %s", message.sender, code)
                put(self._withheld, known, None, TOLD_KEPT)

    async def close(self) -> None:
        """Say nothing more."""
        await self._background.close()

    def _is_let_in(self, room_id: str) -> bool:
        direct = self._is_direct(room_id)
        shut = direct and not self._settings.direct_messages
        return not shut and self._settings.lets_in_room(room_id, direct)

    def _is_direct(self, room_id: str) -> bool:
        room = self._wire.room(room_id)
        return room is not None and room.is_direct

    async def _tell(self, event: Event) -> None:
        await asyncio.sleep(GRACE_S)
        if event.event_id not in self._marks.kept.unread:
            return
        direct, told = self._is_direct(event.room_id), self._marks.kept.told
        replies = not direct and await self._replies_to_us(event)
        standing = Standing(direct, replies, event.session_id in told, told.get(event.room_id))
        if not should_tell(standing, self._clock()):
            return
        for_us = direct or replies
        put(told, event.session_id if for_us else event.room_id, self._clock(), TOLD_KEPT)
        self._marks.save_soon()
        key = "matrix_unreadable_message" if for_us else "matrix_unreadable_room"
        await self._notices.say(event.room_id, say(key, self._language), event.event_id, event.event_id)

    async def _replies_to_us(self, event: Event) -> bool:
        """What a message replies to is told outside of what is encrypted."""
        target = relation_of(event.content).points_at
        if not target or event.session_id in self._marks.kept.told:
            return False
        try:
            return (await self._wire.event(event.room_id, target)).sender == self._wire.user_id
        except (Unsettled, Refused):
            return False


def _session_of(message: ToDevice) -> str:
    """The session whose key a to-device message brings; empty when it brings none."""
    content: Mapping[str, object] = message.content
    session = content.get("session_id") if message.type in KEYS else None
    return session if isinstance(session, str) else ""
