"""Finds what was missed in a room: after the last event seen, as many messages and as old ones as the admin wants."""

import asyncio
import logging
from collections.abc import Sequence

from adapters.delivery.errors import TransientFailure
from adapters.matrix.events import Event, EventPage, Timeline
from adapters.matrix.homeserver import Homeserver, RequestRefused
from adapters.matrix.retry import retry
from adapters.matrix.settings import MatrixSettings

log = logging.getLogger(__name__)

SOUGHT_FOR_S = 120.0
"""The longest that a room's missed events are sought; its newer ones wait for it."""

PAGE_EVENTS = 100
PAGES = 20
MESSAGE_TYPES = frozenset({"m.room.message", "m.room.encrypted"})


def unseen_events(events: Sequence[Event], last: str | None, us: str) -> tuple[list[Event], bool]:
    """The events after the last one seen, and whether it was found; all when it was not.

    `last` is None in a room that is new to us: what begins there with the invitation is for us, for who invites writes
    at once, and what was said before is not.
    """
    for index in reversed(range(len(events))):
        event = events[index]
        if event.event_id == last:
            return list(events[index + 1 :]), True
        if last is None and _membership(event, us) == "join":
            return list(events[_invitation_index(events, index, us) + 1 :]), True
    return list(events), False


def _membership(event: Event, user_id: str) -> object:
    return event.content.get("membership") if event.type == "m.room.member" and event.state_key == user_id else None


def _invitation_index(events: Sequence[Event], join: int, us: str) -> int:
    """Where the invitation stands that a join followed; the join itself when there is none."""
    for index in reversed(range(join)):
        membership = _membership(events[index], us)
        if membership is not None:
            return index if membership == "invite" else join
    return join


def select_due(events: Sequence[Event], us: str, settings: MatrixSettings, behind: bool) -> list[Event]:
    """What is still to be dealt with: the newest messages, none too old, and whatever changes the room.

    Age is what our homeserver says, and never decides alone: what follows something young enough is younger than that.
    Only who was `behind` has missed what is old.
    """
    off = behind and not settings.catch_up_max_age_s
    begin = len(events) if off else _newest_start(events, us, settings.catch_up_messages)
    if behind:
        limit_ms = settings.catch_up_max_age_s * 1000
        young = (index for index, event in enumerate(events) if event.age_ms is None or event.age_ms <= limit_ms)
        begin = max(begin, next(young, len(events)))
    return [*(event for event in events[:begin] if event.state_key is not None), *events[begin:]]


def _newest_start(events: Sequence[Event], us: str, messages: int) -> int:
    """Where the last so many messages of others begin; an answer of ours may be twenty of them."""
    places = [index for index, event in enumerate(events) if event.type in MESSAGE_TYPES and event.sender != us]
    if len(places) <= messages:
        return 0
    return places[-messages] if messages else len(events)


async def missed_events(
    wire: Homeserver, timeline: Timeline, last: str | None, settings: MatrixSettings, behind: bool
) -> list[Event]:
    """A room's events that are to be dealt with, oldest first, paged back to the last seen where there are more."""
    if not timeline.limited and last is not None:
        # Nothing is missing since the token, and what was seen of it before it was noted may have holes.
        return select_due(timeline.events, wire.user_id, settings, behind) if behind else list(timeline.events)
    found, complete = unseen_events(timeline.events, last, wire.user_id)
    if timeline.limited and not complete and settings.catch_up_messages:
        found = await _page_back(wire, timeline, last, settings.catch_up_messages)
    # An invitation to a room that is new to us may have waited for long.
    return select_due(found, wire.user_id, settings, behind or last is None)


async def _page_back(wire: Homeserver, timeline: Timeline, last: str | None, messages: int) -> list[Event]:
    events, place = list(timeline.events), timeline.prev_batch
    found: list[Event] = events
    try:
        async with asyncio.timeout(SOUGHT_FOR_S):
            for _ in range(PAGES):
                page = await _get_page(wire, timeline.room_id, place)
                events, place = [*reversed(page.events), *events], page.end
                found, complete = unseen_events(events, last, wire.user_id)
                if complete or not place or _newest_start(found, wire.user_id, messages):
                    break
    except (TimeoutError, TransientFailure, RequestRefused) as error:
        log.warning("Missed messages of %s cannot all be read: %s", timeline.room_id, error or "it took too long")
    return found


async def _get_page(wire: Homeserver, room_id: str, place: str) -> EventPage:
    return await retry(lambda: wire.get_event_page(room_id, place, back=True, limit=PAGE_EVENTS))
