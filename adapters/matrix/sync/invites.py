"""Joins rooms on invitation, follows them when they are replaced, and leaves those without other members."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from functools import partial

from adapters.delivery.errors import TransientFailure
from adapters.matrix.background_tasks import BackgroundTasks
from adapters.matrix.events import Departure, Event, Invitation, Room
from adapters.matrix.homeserver import Homeserver, RequestRefused
from adapters.matrix.ids import server_name
from adapters.matrix.outgoing.rate_limiter import SendRateLimiter
from adapters.matrix.retry import backoff_s, retry
from adapters.matrix.settings import MatrixSettings
from adapters.matrix.sync.member_lists import MemberLists
from adapters.matrix.sync.notices import NoticeSender
from adapters.matrix.sync.sync_state import SyncState
from adapters.matrix.texts import localize
from adapters.storage.bounded_dict import put_bounded
from bot.core.texts import Language

log = logging.getLogger(__name__)

JOIN_RETRY_S = (5.0, 15.0, 60.0, 300.0, 900.0)
"""Pauses between tries to join, the last one repeated: a remote server may be down for a night."""

REFUSAL_RETRY_S = (1.0, 4.0, 15.0)
"""Pauses after refusals to let us in: over federation an invitation is here before its own server has stored it."""

TRIES = 60
INVITATIONS_KEPT = 100
REPLACED_KEPT = 1000
MAX_PENDING_DECLINES = 200
"""Invitations beyond this stay unanswered, so that a flood of them costs nothing."""

LEAVE_TRIES = 5
GREETING_DELAY_S = 2.0
"""In an encrypted room: Element (matrix-js-sdk) drops messages that arrive before it has the device's keys."""
ROOM_ID_CHARACTERS = 255


class DeclineReason(StrEnum):
    """Why an invitation is declined."""

    INVITER = "the inviter is not allowed"
    ROOM = "the room is not allowed"
    DIRECT_MESSAGE = "direct messages are switched off"
    SPACE = "it is a space, where nobody writes"


def why_declined(invitation: Invitation, settings: MatrixSettings, replaced: Mapping[str, str]) -> DeclineReason | None:
    """Why an invitation is declined; None when it is accepted. `replaced` has the rooms that replace joined ones: their
    invitations are accepted from anyone. Pure.
    """
    if invitation.room_id in replaced:
        return None
    if not settings.answers_user(invitation.inviter):
        return DeclineReason.INVITER
    if invitation.space:
        return DeclineReason.SPACE
    if invitation.direct and not settings.direct_messages:
        return DeclineReason.DIRECT_MESSAGE
    return None if settings.allows_room(invitation.room_id, invitation.direct) else DeclineReason.ROOM


def replacement_room(event: Event) -> str:
    """The room that a tombstone names; empty when the event is no valid tombstone."""
    if event.type != "m.room.tombstone" or event.state_key != "":
        return ""
    room_id = event.content.get("replacement_room")
    is_valid = isinstance(room_id, str) and room_id.startswith("!") and len(room_id) <= ROOM_ID_CHARACTERS
    return str(room_id) if is_valid and room_id != event.room_id else ""


def _is_deserted(room: Room) -> bool:
    """Whether certainly nobody else is in a room, or invited."""
    return room.members_complete and room.member_count == 1


class InviteHandler:
    """Handles invitations. Open tasks are in the sync state, so that the next process resumes them."""

    def __init__(
        self,
        *,
        homeserver: Homeserver,
        settings: MatrixSettings,
        sync_state: SyncState,
        members: MemberLists,
        notices: NoticeSender,
        rate_limiter: SendRateLimiter,
        language: Language,
        prefix: str,
        direct_room: Callable[[str], str],
    ) -> None:
        """`direct_room` gives the room of our direct chat with a user, or an empty text."""
        self._homeserver = homeserver
        self._rate_limiter = rate_limiter
        self._settings = settings
        self._sync_state = sync_state
        self._members = members
        self._notices = notices
        self._direct_room = direct_room
        self._language = language
        self._prefix = prefix
        self._join_lock = asyncio.Lock()
        self._joining: dict[str, asyncio.Task[None]] = {}
        self._declined: dict[str, DeclineReason] = {}
        self._background = BackgroundTasks()
        self._settling: set[str] = set()
        self._overflowed = False

    @property
    def is_busy(self) -> bool:
        """Whether a room is being joined, greeted in or left."""
        return self._background.is_busy

    def resume_joins(self) -> None:
        """Resume the joins that an earlier process left."""
        for room_id in self._sync_state.saved.invitations:
            self._start_joining(room_id)

    def take_invite(self, invitation: Invitation) -> None:
        """Accept or decline an invitation."""
        room_id, saved = invitation.room_id, self._sync_state.saved
        reason = why_declined(invitation, self._settings, saved.replaced)
        if reason is None:
            if len(saved.invitations) < INVITATIONS_KEPT:
                self._accept(room_id, invitation.inviter)
        elif len(self._declined) < MAX_PENDING_DECLINES:
            log.debug("Declining an invitation to %s: %s.", room_id, reason)
            if not self._declined:
                self._background.start(self._decline_pending(), "Declining invitations")
            self._declined[room_id] = reason
        elif not self._overflowed:
            self._overflowed = True
            log.warning("Left invitations unanswered: there are too many to decline.")

    def take_tombstone(self, event: Event) -> None:
        """Follow a room to the one that a tombstone says replaces it."""
        new = replacement_room(event)
        if new and self._is_allowed(event.room_id):
            log.info("Following %s to %s, which replaces it.", event.room_id, new)
            put_bounded(self._sync_state.saved.replaced, new, event.room_id, REPLACED_KEPT)
            self._accept(new, event.sender)

    def note_joined(self, room_id: str) -> None:
        """Take note of a joined room in a sync: greet in a new one, and leave a space or a room without others."""
        saved = self._sync_state.saved
        if saved.invitations.pop(room_id, None) is not None:
            self._sync_state.save_soon()
        room = self._homeserver.get_room(room_id)
        needs_work = room is not None and (room.is_space or room.member_count == 1 or room_id in saved.welcomes)
        if needs_work and room_id not in self._settling:
            self._settling.add(room_id)
            settling = self._background.start(self._settle(room_id), f"Settling in {room_id}")
            settling.add_done_callback(lambda _: self._settling.discard(room_id))

    def note_departed(self, departure: Departure) -> None:
        """Take note of a room that the account is no longer in, or no longer invited to."""
        self._declined.pop(departure.room_id, None)
        if joining := self._joining.get(departure.room_id):
            joining.cancel()

    async def close(self) -> None:
        """Cancel the tasks in progress."""
        await self._background.close()

    def _is_allowed(self, room_id: str) -> bool:
        room = self._homeserver.get_room(room_id)
        return self._settings.allows_room(room_id, room is not None and room.is_direct)

    def _accept(self, room_id: str, inviter: str) -> None:
        put_bounded(self._sync_state.saved.invitations, room_id, inviter, INVITATIONS_KEPT)
        self._sync_state.save_soon()
        self._start_joining(room_id)

    def _start_joining(self, room_id: str) -> None:
        if room_id not in self._joining:
            task = self._joining[room_id] = self._background.start(self._join(room_id), f"Joining {room_id}")
            task.add_done_callback(lambda _: self._joining.pop(room_id, None))

    async def _join(self, room_id: str) -> None:
        saved = self._sync_state.saved
        inviter = saved.invitations.get(room_id, "")
        joined = await self._try_join(room_id, [server_name(inviter)])
        saved.invitations.pop(room_id, None)
        self._sync_state.save_soon()
        if not joined:
            return
        earlier = saved.replaced.get(room_id)
        if earlier is None:
            put_bounded(saved.welcomes, room_id, inviter, INVITATIONS_KEPT)
            self.note_joined(room_id)  # the sync may have arrived before the response to the join
        elif await self._has_predecessor(room_id, earlier):
            await self._announce_replacement(earlier, room_id)
        else:
            log.warning("Leaving %s: it does not name %s as its predecessor.", room_id, earlier)
            saved.replaced.pop(room_id, None)
            await self._leave(room_id)

    async def _try_join(self, room_id: str, via: Sequence[str]) -> bool:
        refusals = 0
        for attempt in range(TRIES):
            try:
                async with self._join_lock:  # with many rooms, only one waits among the first texts of answers
                    slot = await self._rate_limiter.acquire_slot("first", learns=False)
                with slot:
                    await self._homeserver.join_room(room_id, via)
            except TransientFailure as error:
                log.info("Could not join %s, trying again: %s", room_id, error)
                await asyncio.sleep(max(JOIN_RETRY_S[min(attempt, len(JOIN_RETRY_S) - 1)], backoff_s(1, error)))
            except RequestRefused as error:
                log.info("Could not join %s: %s", room_id, error)
                if error.status != 403 or refusals == len(REFUSAL_RETRY_S):
                    return False
                await asyncio.sleep(REFUSAL_RETRY_S[refusals])
                refusals += 1
            else:
                return True
        return False

    async def _has_predecessor(self, room_id: str, earlier: str) -> bool:
        """Whether a room names another as its predecessor; a tombstone may name any room."""
        path = f"/v3/rooms/{room_id}/state/m.room.create"
        try:
            created = await retry(lambda: self._homeserver.call_api("GET", path))
        except (TransientFailure, RequestRefused) as error:
            log.info("Could not read the predecessor of %s: %s", room_id, error)
            return False
        predecessor = created.get("predecessor")
        return isinstance(predecessor, Mapping) and predecessor.get("room_id") == earlier

    async def _announce_replacement(self, earlier: str, room_id: str) -> None:
        """Tell the admins, in their direct chats, that a room has a new id: `readers` do not follow it."""
        log.warning(
            "Now in %s, which replaces %s. Collections whose `readers` name matrix:%s are not read in it until they"
            " name matrix:%s too.",
            *(room_id, earlier, earlier, room_id),
        )
        sentence = localize("matrix_room_replaced", self._language, old=earlier, new=room_id)
        for admin in sorted(self._settings.admin_users):
            if chat := self._direct_room(admin):
                await self._notices.send_notice(chat, sentence, f"replaced {room_id}")

    async def _settle(self, room_id: str) -> None:
        room = await self._members.confirm(room_id)
        if room is not None and room_id in self._sync_state.saved.welcomes and not _is_deserted(room):
            await self._greet(room)
            room = await self._members.confirm(room_id)  # the others may have left meanwhile
        if room is not None and room.is_space:
            log.info("Leaving %s: %s.", room_id, DeclineReason.SPACE)
            await self._leave(room_id, DeclineReason.SPACE)
        elif room is not None and _is_deserted(room):
            log.info("Leaving %s: it has no other members.", room_id)
            await self._leave(room_id)

    async def _greet(self, room: Room) -> None:
        await asyncio.sleep(GREETING_DELAY_S if room.encrypted else 0.0)
        room = await self._members.confirm(room.room_id) or room  # others may have come meanwhile
        if not room.is_space and room.may_write(self._homeserver.user_id):
            key = "matrix_welcome_direct" if room.is_direct else "matrix_welcome_room"
            sentence = localize(key, self._language, prefix=self._prefix)
            await self._notices.send_notice(room.room_id, sentence, "welcome")
        self._sync_state.saved.welcomes.pop(room.room_id, None)
        self._sync_state.save_soon()

    async def _decline_pending(self) -> None:
        """Decline one after another, at low priority: strangers' invitations must not delay answers."""
        while self._declined:
            room_id, reason = next(iter(self._declined.items()))
            # Strangers need not know whom Hearth answers.
            await self._leave(room_id, "" if reason is DeclineReason.INVITER else reason)
            self._declined.pop(room_id, None)
        self._overflowed = False

    async def _leave(self, room_id: str, reason: str = "") -> None:
        try:
            await retry(partial(self._leave_at_low_priority, room_id, reason), LEAVE_TRIES)
        except (TransientFailure, RequestRefused) as error:
            log.debug("Could not leave %s: %s", room_id, error)

    async def _leave_at_low_priority(self, room_id: str, reason: str) -> None:
        with await self._rate_limiter.acquire_slot("edit", learns=False):
            await self._homeserver.leave_room(room_id, reason)
