"""Reads the messages of a room or thread before an event, without storing them."""

import logging
from collections.abc import Sequence

from adapters.delivery.errors import TransientFailure
from adapters.matrix.event_content import EDIT, THREAD
from adapters.matrix.homeserver import Homeserver, RequestRefused
from adapters.matrix.incoming.parsed_message import ParsedMessage, apply_edit, parse_message

log = logging.getLogger(__name__)

PAGE_EVENTS = 100
PAGES = 4
"""How far back a room's last messages are searched: an answer of the bot is up to 21 events."""

EDITS_READ = 5
"""Newest edits of a message that are examined: anyone may send one, only its author's counts."""


class RoomHistory:
    """Messages as they read after their last edit; those that the homeserver refuses or fails to give are left out.

    So are unencrypted messages in encrypted rooms, which the homeserver may have written.
    """

    def __init__(self, homeserver: Homeserver) -> None:
        self._homeserver = homeserver

    async def read_reply_chain(self, message: ParsedMessage, limit: int) -> list[ParsedMessage]:
        """The message that a message replies to, then the one that this replies to, and so on."""
        chain: list[ParsedMessage] = []
        known = {message.event_id}
        while len(chain) < limit and (target := message.relation.reply_to) not in ("", *known):
            found = await self.read_message(message.room_id, target)
            if found is None:
                break
            chain.append(message := found)
            known.add(target)
        return chain

    async def read_message(self, room_id: str, event_id: str) -> ParsedMessage | None:
        """A message; None when it cannot be fetched or decrypted, or was redacted."""
        try:
            message = parse_message(await self._homeserver.get_event(room_id, event_id))
            return await self._with_latest_edit(message) if self._is_readable(message) else None
        except (RequestRefused, TransientFailure) as error:
            log.debug("Could not read a message: %s", error)
            return None

    async def read_recent(self, message: ParsedMessage, limit: int) -> list[ParsedMessage]:
        """The last messages before a message in its thread, or in its room outside of threads, oldest first."""
        if not limit:
            return []
        root = message.relation.thread
        try:
            found = await (
                self._recent_in_thread(message, root, limit) if root else self._recent_in_room(message, limit)
            )
        except (RequestRefused, TransientFailure) as error:
            log.warning("Could not read the last messages of a room: %s", error)
            return []
        return found[::-1]

    async def _recent_in_room(self, message: ParsedMessage, limit: int) -> list[ParsedMessage]:
        position = await self._homeserver.token_before(message.room_id, message.event_id)
        edits: dict[str, list[ParsedMessage]] = {}
        found: list[ParsedMessage] = []
        for _ in range(PAGES):
            page = await self._homeserver.get_event_page(message.room_id, position, back=True, limit=PAGE_EVENTS)
            for each in map(parse_message, page.events):
                if each.relation.replaces:
                    edits.setdefault(each.relation.replaces, []).append(each)
                elif self._is_readable(each) and not each.relation.thread:
                    found.append(_apply_newest_edit(each, edits.get(each.event_id, ())))
            position = page.end
            if len(found) >= limit or not position:
                break
        return found[:limit]

    async def _recent_in_thread(self, message: ParsedMessage, root: str, limit: int) -> list[ParsedMessage]:
        related = await self._homeserver.get_relations(message.room_id, root, THREAD, limit + PAGE_EVENTS)
        ids = [each.event_id for each in related]
        # Newest first. A message that is not among them is older than all of these, or newer.
        begin = ids.index(message.event_id) + 1 if message.event_id in ids else 0
        found = [each for each in map(parse_message, related[begin:]) if self._is_readable(each)][:limit]
        # An answer of the bot was first sent with its first words only.
        own = self._homeserver.user_id
        read = [await self._with_latest_edit(each) if each.sender == own else each for each in found]
        opening = await self.read_message(message.room_id, root) if len(read) < limit else None
        return [*read, opening] if opening else read

    def _is_readable(self, message: ParsedMessage) -> bool:
        room = self._homeserver.get_room(message.room_id)
        return message.is_message and (message.event.encrypted or room is None or not room.encrypted)

    async def _with_latest_edit(self, message: ParsedMessage) -> ParsedMessage:
        edits = await self._homeserver.get_relations(message.room_id, message.event_id, EDIT, EDITS_READ)
        return _apply_newest_edit(message, [parse_message(edit) for edit in edits])


def _apply_newest_edit(message: ParsedMessage, edits: Sequence[ParsedMessage]) -> ParsedMessage:
    """A message with its author's newest edit; `edits` are newest first."""
    return next((edited for edit in edits if (edited := apply_edit(message, edit)) is not None), message)
