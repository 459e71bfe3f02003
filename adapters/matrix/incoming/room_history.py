"""Reads what happened in a room or thread before an event; kept nowhere."""

import logging
from collections.abc import Sequence
from dataclasses import replace

from adapters.delivery.errors import TransientFailure
from adapters.matrix.event_content import EDIT, MESSAGE, THREAD, apply_edit, relation_of
from adapters.matrix.events import Event
from adapters.matrix.homeserver import Homeserver, RequestRefused

log = logging.getLogger(__name__)

PAGE_EVENTS = 100
PAGES = 4
"""How far back a room's last messages are sought: an answer of ours is up to 21 events."""

EDITS_READ = 5
"""The newest edits of a message that are looked at: anybody may send one, only its author's counts."""


class RoomHistory:
    """Every method gives what it can: what the homeserver refuses or does not settle is left out."""

    def __init__(self, wire: Homeserver) -> None:
        self._homeserver = wire

    async def read_reply_chain(self, event: Event, limit: int) -> list[Event]:
        """The messages that an event replies to, that one first, then what that one replies to, as they read now."""
        chain: list[Event] = []
        known = {event.event_id}
        while len(chain) < limit and (target := relation_of(event.content).reply_to) not in ("", *known):
            found = await self.read_message(event.room_id, target)
            if found is None:
                break
            chain.append(event := found)
            known.add(target)
        return chain

    async def read_message(self, room_id: str, event_id: str) -> Event | None:
        """A message as it reads now; None when it is out of reach, cannot be decrypted, or was redacted."""
        try:
            event = await self._homeserver.get_event(room_id, event_id)
            if not _is_message(event):
                return None
            return await self._with_latest_edit(event)
        except (RequestRefused, TransientFailure) as error:
            log.debug("A message is out of reach: %s", error)
            return None

    async def read_recent(self, event: Event, limit: int) -> list[Event]:
        """The last messages before an event in its thread, or in its room outside of threads, oldest first and as they
        read now.
        """
        if not limit:
            return []
        root = relation_of(event.content).thread
        try:
            return (await (self._recent_in_thread(event, root, limit) if root else self._recent_in_room(event, limit)))[
                ::-1
            ]
        except (RequestRefused, TransientFailure) as error:
            log.warning("The last messages of a room cannot be read: %s", error)
            return []

    async def _recent_in_room(self, event: Event, limit: int) -> list[Event]:
        place = await self._homeserver.token_before(event.room_id, event.event_id)
        edits: dict[str, list[Event]] = {}
        found: list[Event] = []
        for _ in range(PAGES):
            page = await self._homeserver.get_event_page(event.room_id, place, back=True, limit=PAGE_EVENTS)
            for each in page.events:
                relation = relation_of(each.content)
                if relation.replaces:
                    edits.setdefault(relation.replaces, []).append(each)
                elif _is_message(each) and not relation.thread:
                    found.append(_apply_newest_edit(each, edits.get(each.event_id, ())))
            place = page.end
            if len(found) >= limit or not place:
                break
        return found[:limit]

    async def _recent_in_thread(self, event: Event, root: str, limit: int) -> list[Event]:
        related = await self._homeserver.get_relations(event.room_id, root, THREAD, limit + PAGE_EVENTS)
        ids = [each.event_id for each in related]
        # What came after the event is not before it; one that is not found is older than all of these, or newer.
        begin = ids.index(event.event_id) + 1 if event.event_id in ids else 0
        found = [each for each in related[begin:] if _is_message(each)][:limit]
        # An answer of ours was first sent with its first words.
        read = [
            await self._with_latest_edit(each) if each.sender == self._homeserver.user_id else each for each in found
        ]
        opening = await self.read_message(event.room_id, root) if len(read) < limit else None
        return [*read, opening] if opening else read

    async def _with_latest_edit(self, event: Event) -> Event:
        edits = await self._homeserver.get_relations(event.room_id, event.event_id, EDIT, EDITS_READ)
        return _apply_newest_edit(event, edits)


def _is_message(event: Event) -> bool:
    return event.type == MESSAGE and event.state_key is None and bool(event.content)


def _apply_newest_edit(event: Event, edits: Sequence[Event]) -> Event:
    """A message with the newest edit of it that its author made; `edits` are newest first."""
    read = next((read for edit in edits if (read := apply_edit(event, edit)) is not None), event)
    return replace(read, event_id=event.event_id)
