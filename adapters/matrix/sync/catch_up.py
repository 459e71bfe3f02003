"""Finds the missed events of a room: those after the last one seen, up to a configured number and age."""

import asyncio
import logging
from collections.abc import Sequence

from adapters.delivery.errors import TransientFailure
from adapters.matrix.events import Event, EventPage, Timeline
from adapters.matrix.homeserver import Homeserver, RequestRefused
from adapters.matrix.retry import retry
from adapters.matrix.settings import MatrixSettings

log = logging.getLogger(__name__)

SEARCH_TIMEOUT_S = 120.0
"""Time limit for the search in one room; its newer events wait for it."""

PAGE_EVENTS = 100
PAGES = 20
MESSAGE_TYPES = frozenset({"m.room.message", "m.room.encrypted"})


def unseen_events(events: Sequence[Event], last: str | None, user_id: str) -> tuple[list[Event], bool]:
    """The events after the last one seen, and whether it was found; all events when it was not.

    `last` is None in a new room: its events count from the invitation on, because the inviter may write at once.
    """
    for index in reversed(range(len(events))):
        event = events[index]
        if event.event_id == last:
            return list(events[index + 1 :]), True
        if last is None and _membership(event, user_id) == "join":
            return list(events[_invitation_index(events, index, user_id) + 1 :]), True
    return list(events), False


def _membership(event: Event, user_id: str) -> object:
    return event.content.get("membership") if event.type == "m.room.member" and event.state_key == user_id else None


def _invitation_index(events: Sequence[Event], join: int, user_id: str) -> int:
    """Index of the invitation before a join; the join itself when there is none."""
    for index in reversed(range(join)):
        membership = _membership(events[index], user_id)
        if membership is not None:
            return index if membership == "invite" else join
    return join


def select_due(events: Sequence[Event], user_id: str, settings: MatrixSettings, behind: bool) -> list[Event]:
    """The events to handle: the newest messages, none too old, and all state events.

    The age is what the homeserver states, and only the first event that is young enough decides: those after it are
    younger. Events can be too old only when the account was `behind`.
    """
    skips_all = behind and not settings.catch_up_max_age_s
    begin = len(events) if skips_all else _newest_start(events, user_id, settings.catch_up_messages)
    if behind:
        limit_ms = settings.catch_up_max_age_s * 1000
        recent = (index for index, event in enumerate(events) if event.age_ms is None or event.age_ms <= limit_ms)
        begin = max(begin, next(recent, len(events)))
    return [*(event for event in events[:begin] if event.state_key is not None), *events[begin:]]


def _newest_start(events: Sequence[Event], user_id: str, count: int) -> int:
    """Index at which the last messages of others begin; an answer of the bot may be twenty messages."""
    indexes = [index for index, event in enumerate(events) if event.type in MESSAGE_TYPES and event.sender != user_id]
    if len(indexes) <= count:
        return 0
    return indexes[-count] if count else len(events)


async def missed_events(
    homeserver: Homeserver, timeline: Timeline, last: str | None, settings: MatrixSettings, behind: bool
) -> list[Event]:
    """A room's events to handle, oldest first, paged back to the last one seen when the timeline is limited."""
    if not timeline.limited and last is not None:
        # The timeline is complete since the token; the last event seen may be later in it than unhandled ones.
        return select_due(timeline.events, homeserver.user_id, settings, behind) if behind else list(timeline.events)
    found, complete = unseen_events(timeline.events, last, homeserver.user_id)
    if timeline.limited and not complete and settings.catch_up_messages:
        found = await _page_back(homeserver, timeline, last, settings.catch_up_messages)
    # The invitation to a new room may have waited for long.
    return select_due(found, homeserver.user_id, settings, behind or last is None)


async def _page_back(homeserver: Homeserver, timeline: Timeline, last: str | None, count: int) -> list[Event]:
    events, position = list(timeline.events), timeline.prev_batch
    found: list[Event] = events
    try:
        async with asyncio.timeout(SEARCH_TIMEOUT_S):
            for _ in range(PAGES):
                page = await _get_page(homeserver, timeline.room_id, position)
                events, position = [*reversed(page.events), *events], page.end
                found, complete = unseen_events(events, last, homeserver.user_id)
                if complete or not position or _newest_start(found, homeserver.user_id, count):
                    break
    except (TimeoutError, TransientFailure, RequestRefused) as error:
        log.warning("Could not read all missed messages of %s: %s", timeline.room_id, error or "it took too long")
    return found


async def _get_page(homeserver: Homeserver, room_id: str, position: str) -> EventPage:
    return await retry(lambda: homeserver.get_event_page(room_id, position, back=True, limit=PAGE_EVENTS))
