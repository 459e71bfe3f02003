"""Parsing and decryption of sync responses and events; their content never raises, and work is done in batches."""

from collections.abc import Sequence
from dataclasses import replace

from adapters.delivery.errors import TransientFailure
from adapters.matrix.api import parsing
from adapters.matrix.api.parsing import as_dict, as_list, as_text
from adapters.matrix.crypto.key_management import KeyManager
from adapters.matrix.crypto.machine import OlmMachine
from adapters.matrix.events import Departure, Event, Json, SyncResponse, Timeline, ToDevice


class DecryptingReader:
    """Parses events and decrypts those for which the machine has keys."""

    def __init__(self, machine: OlmMachine, key_manager: KeyManager) -> None:
        self._machine = machine
        self._key_manager = key_manager

    async def read_sync(self, response: Json) -> SyncResponse:
        """Parse the response to a sync. Raises TransientFailure when it has no token for the next one."""
        token = as_text(response.get("next_batch"))
        if not token:
            raise TransientFailure("the homeserver's response to a sync has no token")
        own_id = self._machine.user_id
        rooms = as_dict(response.get("rooms"))
        # Before the rooms: to-device messages bring their keys.
        to_device = await self._read_to_device(as_list(as_dict(response.get("to_device")).get("events")))
        joined = [await self._read_timeline(room_id, raw) for room_id, raw in as_dict(rooms.get("join")).items()]
        invited = [
            parsing.parse_invitation(raw, room_id, own_id) for room_id, raw in as_dict(rooms.get("invite")).items()
        ]
        left = [
            Departure(room_id, parsing.leave_sender(raw, own_id))
            for room_id, raw in as_dict(rooms.get("leave")).items()
        ]
        return SyncResponse(
            token,
            joined=tuple(timeline for timeline in joined if timeline.events or timeline.limited),
            invited=tuple(invitation for invitation in invited if invitation),
            left=tuple(left),
            to_device=tuple(to_device),
        )

    async def read_events(self, raw: object, room_id: str) -> tuple[Event, ...]:
        """Parse events of a room, in their order in the response."""
        events: list[Event | None] = []
        await self._machine.store.run_in_batches(
            as_list(raw), lambda each: events.append(self.read_event(each, room_id))
        )
        return tuple(event for event in events if event)

    def read_event(self, raw: object, room_id: str) -> Event | None:
        """Parse an event of a room; None for anything else."""
        event = parsing.parse_event(raw, room_id)
        return self.decrypt_event(event) if event else None

    def decrypt_event(self, event: Event) -> Event:
        """Decrypt an event if it is still encrypted and its key is known, else return it unchanged."""
        if not event.session_id:
            return event
        # The sender's device keys decide whether the event is accepted: they will be known the next time.
        self._key_manager.mark_outdated(event.sender)
        decrypted = self._machine.decrypt_room_event(event.room_id, event.sender, event.event_id, event.content)
        return replace(event, type=decrypted.type, content=decrypted.content, session_id="") if decrypted else event

    async def _read_timeline(self, room_id: str, raw: object) -> Timeline:
        timeline = as_dict(as_dict(raw).get("timeline"))
        events = await self.read_events(timeline.get("events"), room_id)
        return Timeline(room_id, events, timeline.get("limited") is True, as_text(timeline.get("prev_batch")))

    async def _read_to_device(self, raw: Sequence[object]) -> list[ToDevice]:
        messages = [message for each in raw if (message := parsing.parse_to_device(each))]
        decrypted: list[ToDevice | None] = []
        await self._machine.store.run_in_batches(
            messages, lambda message: decrypted.append(self._decrypt_to_device(message))
        )
        return [message for message in decrypted if message]

    def _decrypt_to_device(self, message: ToDevice) -> ToDevice | None:
        return self._machine.decrypt_to_device(message) if message.type == "m.room.encrypted" else message
