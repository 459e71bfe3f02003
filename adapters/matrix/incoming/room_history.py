"""Reads what happened in a room or thread before an event; kept nowhere."""

import logging
from collections.abc import Sequence
from dataclasses import replace

from adapters.matrix.event_content import EDIT, MESSAGE, THREAD, edited, relation_of
from adapters.matrix.events import Event
from adapters.matrix.homeserver import Refused, Unsettled, Wire

log = logging.getLogger(__name__)

PAGE_EVENTS = 100
PAGES = 4
"""How far back a room's last messages are sought: an answer of ours is up to 21 events."""

EDITS_SEEN = 5
"""The newest edits of a message that are looked at: anybody may send one, only its author's counts."""


class Past:
    """Every method gives what it can: what the homeserver refuses or does not settle is left out."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def above(self, event: Event, limit: int) -> list[Event]:
        """The messages that an event replies to, that one first, then what that one replies to, as they read now."""
        chain: list[Event] = []
        known = {event.event_id}
        while len(chain) < limit and (target := relation_of(event.content).reply_to) not in ("", *known):
            found = await self.newest(event.room_id, target)
            if found is None:
                break
            chain.append(event := found)
            known.add(target)
        return chain

    async def newest(self, room_id: str, event_id: str) -> Event | None:
        """A message as it reads now; None when it is out of reach, cannot be decrypted, or was redacted."""
        try:
            event = await self._wire.event(room_id, event_id)
            if not _is_message(event):
                return None
            return await self._revised(event)
        except (Refused, Unsettled) as error:
            log.debug("A message is out of reach: %s", error)
            return None

    async def last(self, event: Event, limit: int) -> list[Event]:
        """The last messages before an event in its thread, or in its room outside of threads, oldest first and as they
        read now.
        """
        if not limit:
            return []
        root = relation_of(event.content).thread
        try:
            return (await (self._in_thread(event, root, limit) if root else self._in_room(event, limit)))[::-1]
        except (Refused, Unsettled) as error:
            log.warning("The last messages of a room cannot be read: %s", error)
            return []

    async def _in_room(self, event: Event, limit: int) -> list[Event]:
        place = await self._wire.before(event.room_id, event.event_id)
        edits: dict[str, list[Event]] = {}
        found: list[Event] = []
        for _ in range(PAGES):
            page = await self._wire.page(event.room_id, place, back=True, limit=PAGE_EVENTS)
            for each in page.events:
                relation = relation_of(each.content)
                if relation.replaces:
                    edits.setdefault(relation.replaces, []).append(each)
                elif _is_message(each) and not relation.thread:
                    found.append(_applied(each, edits.get(each.event_id, ())))
            place = page.end
            if len(found) >= limit or not place:
                break
        return found[:limit]

    async def _in_thread(self, event: Event, root: str, limit: int) -> list[Event]:
        related = await self._wire.related(event.room_id, root, THREAD, limit + PAGE_EVENTS)
        ids = [each.event_id for each in related]
        # What came after the event is not before it; one that is not found is older than all of these, or newer.
        begin = ids.index(event.event_id) + 1 if event.event_id in ids else 0
        found = [each for each in related[begin:] if _is_message(each)][:limit]
        # An answer of ours was first sent with its first words.
        read = [await self._revised(each) if each.sender == self._wire.user_id else each for each in found]
        opening = await self.newest(event.room_id, root) if len(read) < limit else None
        return [*read, opening] if opening else read

    async def _revised(self, event: Event) -> Event:
        edits = await self._wire.related(event.room_id, event.event_id, EDIT, EDITS_SEEN)
        return _applied(event, edits)


def _is_message(event: Event) -> bool:
    return event.type == MESSAGE and event.state_key is None and bool(event.content)


def _applied(event: Event, edits: Sequence[Event]) -> Event:
    """A message with the newest edit of it that its author made; `edits` are newest first."""
    read = next((read for edit in edits if (read := edited(event, edit)) is not None), event)
    return replace(read, event_id=event.event_id)
