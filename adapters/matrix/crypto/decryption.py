"""Reads what the homeserver tells, decrypting on the way; nothing in it raises, and others get a turn in between."""

from collections.abc import Sequence
from dataclasses import replace

from adapters.matrix.api import parsing
from adapters.matrix.api.parsing import items, mapping, text
from adapters.matrix.crypto.key_management import Upkeep
from adapters.matrix.crypto.machine import Machine
from adapters.matrix.events import Departure, Event, Json, News, Timeline, ToDevice
from adapters.matrix.homeserver import Unsettled


class Reader:
    """What the machine's keys open."""

    def __init__(self, machine: Machine, upkeep: Upkeep) -> None:
        self._machine = machine
        self._upkeep = upkeep

    async def news(self, answer: Json) -> News:
        """What the answer to a sync tells. Raises Unsettled where it does not tell how to go on."""
        token = text(answer.get("next_batch"))
        if not token:
            raise Unsettled("the homeserver's answer to a sync has no token")
        us = self._machine.user_id
        rooms = mapping(answer.get("rooms"))
        # Before the rooms: the keys are in there.
        to_device = await self._to_device(items(mapping(answer.get("to_device")).get("events")))
        joined = [await self._timeline(room_id, told) for room_id, told in mapping(rooms.get("join")).items()]
        invited = [parsing.invitation(told, room_id, us) for room_id, told in mapping(rooms.get("invite")).items()]
        left = [
            Departure(room_id, parsing.departed_by(told, us)) for room_id, told in mapping(rooms.get("leave")).items()
        ]
        return News(
            token,
            joined=tuple(timeline for timeline in joined if timeline.events or timeline.limited),
            invited=tuple(invitation for invitation in invited if invitation),
            left=tuple(left),
            to_device=tuple(to_device),
        )

    async def events(self, raw: object, room_id: str) -> tuple[Event, ...]:
        """Events of a room, in the order in which they came."""
        events: list[Event | None] = []
        await self._machine.store.by_turns(items(raw), lambda each: events.append(self.event(each, room_id)))
        return tuple(event for event in events if event)

    def event(self, raw: object, room_id: str) -> Event | None:
        """An event of a room; None where it is no event."""
        event = parsing.event(raw, room_id)
        return self.decrypt(event) if event else None

    def decrypt(self, event: Event) -> Event:
        """An event, decrypted where that is possible and was not done yet."""
        if not event.session_id:
            return event
        # Whose device it is from decides whether it is taken: by the next time that is known.
        self._upkeep.wonder(event.sender)
        opened = self._machine.open_in_room(event.room_id, event.sender, event.event_id, event.content)
        return replace(event, type=opened.type, content=opened.content, session_id="") if opened else event

    async def _timeline(self, room_id: str, told: object) -> Timeline:
        timeline = mapping(mapping(told).get("timeline"))
        events = await self.events(timeline.get("events"), room_id)
        return Timeline(room_id, events, timeline.get("limited") is True, text(timeline.get("prev_batch")))

    async def _to_device(self, raw: Sequence[object]) -> list[ToDevice]:
        messages = [message for each in raw if (message := parsing.to_device(each))]
        opened: list[ToDevice | None] = []
        await self._machine.store.by_turns(messages, lambda message: opened.append(self._open(message)))
        return [message for message in opened if message]

    def _open(self, message: ToDevice) -> ToDevice | None:
        return self._machine.open_to_device(message) if message.type == "m.room.encrypted" else message
