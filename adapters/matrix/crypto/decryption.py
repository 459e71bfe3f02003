"""Reads what the homeserver tells, decrypting on the way; nothing in it raises, and others get a turn in between."""

from collections.abc import Sequence
from dataclasses import replace

from adapters.delivery.errors import TransientFailure
from adapters.matrix.api import parsing
from adapters.matrix.api.parsing import as_dict, as_list, as_text
from adapters.matrix.crypto.key_management import KeyManager
from adapters.matrix.crypto.machine import OlmMachine
from adapters.matrix.events import Departure, Event, Json, SyncResponse, Timeline, ToDevice


class DecryptingReader:
    """What the machine's keys open."""

    def __init__(self, machine: OlmMachine, upkeep: KeyManager) -> None:
        self._machine = machine
        self._key_manager = upkeep

    async def read_sync(self, answer: Json) -> SyncResponse:
        """What the answer to a sync tells. Raises Unsettled where it does not tell how to go on."""
        token = as_text(answer.get("next_batch"))
        if not token:
            raise TransientFailure("the homeserver's answer to a sync has no token")
        us = self._machine.user_id
        rooms = as_dict(answer.get("rooms"))
        # Before the rooms: the keys are in there.
        to_device = await self._read_to_device(as_list(as_dict(answer.get("to_device")).get("events")))
        joined = [await self._read_timeline(room_id, told) for room_id, told in as_dict(rooms.get("join")).items()]
        invited = [
            parsing.parse_invitation(told, room_id, us) for room_id, told in as_dict(rooms.get("invite")).items()
        ]
        left = [
            Departure(room_id, parsing.leave_sender(told, us)) for room_id, told in as_dict(rooms.get("leave")).items()
        ]
        return SyncResponse(
            token,
            joined=tuple(timeline for timeline in joined if timeline.events or timeline.limited),
            invited=tuple(invitation for invitation in invited if invitation),
            left=tuple(left),
            to_device=tuple(to_device),
        )

    async def read_events(self, raw: object, room_id: str) -> tuple[Event, ...]:
        """Events of a room, in the order in which they came."""
        events: list[Event | None] = []
        await self._machine.store.run_in_batches(
            as_list(raw), lambda each: events.append(self.read_event(each, room_id))
        )
        return tuple(event for event in events if event)

    def read_event(self, raw: object, room_id: str) -> Event | None:
        """An event of a room; None where it is no event."""
        event = parsing.parse_event(raw, room_id)
        return self.decrypt_event(event) if event else None

    def decrypt_event(self, event: Event) -> Event:
        """An event, decrypted where that is possible and was not done yet."""
        if not event.session_id:
            return event
        # Whose device it is from decides whether it is taken: by the next time that is known.
        self._key_manager.mark_outdated(event.sender)
        opened = self._machine.decrypt_room_event(event.room_id, event.sender, event.event_id, event.content)
        return replace(event, type=opened.type, content=opened.content, session_id="") if opened else event

    async def _read_timeline(self, room_id: str, told: object) -> Timeline:
        timeline = as_dict(as_dict(told).get("timeline"))
        events = await self.read_events(timeline.get("events"), room_id)
        return Timeline(room_id, events, timeline.get("limited") is True, as_text(timeline.get("prev_batch")))

    async def _read_to_device(self, raw: Sequence[object]) -> list[ToDevice]:
        messages = [message for each in raw if (message := parsing.parse_to_device(each))]
        opened: list[ToDevice | None] = []
        await self._machine.store.run_in_batches(
            messages, lambda message: opened.append(self._decrypt_to_device(message))
        )
        return [message for message in opened if message]

    def _decrypt_to_device(self, message: ToDevice) -> ToDevice | None:
        return self._machine.decrypt_to_device(message) if message.type == "m.room.encrypted" else message
