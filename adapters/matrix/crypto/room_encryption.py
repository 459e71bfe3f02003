"""Megolm encryption for rooms: shares each session's key with all readers before the session is used."""

import asyncio
from datetime import timedelta
from typing import Any

from nio.crypto import OutboundGroupSession  # type: ignore[import-untyped]

from adapters.matrix.crypto.key_management import KeyManager
from adapters.matrix.crypto.machine import OlmMachine
from adapters.matrix.crypto.room_state import RoomState
from adapters.matrix.crypto.to_device import DEVICES_PER_REQUEST, ENCRYPTED, to_device_path
from adapters.matrix.crypto.withheld_keys import WithheldKeys
from adapters.matrix.events import Json
from adapters.matrix.homeserver import MatrixApi

Device = tuple[str, str]


class RoomEncryption:
    """The outbound sessions of all rooms. One send per room at a time; a cancelled send leaves a consistent state."""

    def __init__(self, machine: OlmMachine, server: MatrixApi, key_manager: KeyManager) -> None:
        self._machine = machine
        self._server = server
        self._key_manager = key_manager
        self._withheld = WithheldKeys(machine, server)
        self._locks: dict[str, asyncio.Lock] = {}
        self._readers: dict[str, set[str]] = {}

    async def encrypt_event(self, room: RoomState, kind: str, content: Json) -> dict[str, Any]:
        """Encrypt an event; the content of an `m.room.encrypted`. Raises the port's errors if sharing the key fails."""
        async with self._locks.setdefault(room.room_id, asyncio.Lock()):
            readers = room.readers() | {self._machine.user_id}
            await self._key_manager.ensure_sessions(readers)
            self._rotate_session(room, readers)
            await self._share_key(room.room_id, readers)
            encrypted = self._machine.encrypt_room_event(room.room_id, kind, content)
        # Servers and clients look for relations outside of the ciphertext.
        if "m.relates_to" in content:
            encrypted["m.relates_to"] = content["m.relates_to"]
        return encrypted

    def drop_session(self, room_id: str) -> None:
        """Drop the session of a room that was left."""
        self._machine.outbound_group_sessions.pop(room_id, None)
        self._readers.pop(room_id, None)
        if room_id in self._locks and not self._locks[room_id].locked():
            del self._locks[room_id]

    def _rotate_session(self, room: RoomState, readers: set[str]) -> None:
        """Start a new session if the readers changed, a device is gone, or the old session has expired."""
        session = self._machine.outbound_group_sessions.get(room.room_id)
        known = readers == self._readers.get(room.room_id)
        if session is None or not known or session.expired or session.users_shared_with - self._active_devices(readers):
            session = self._new_session(room.room_id)
            self._readers[room.room_id] = readers
        session.max_messages = room.rotation_messages
        session.max_age = timedelta(seconds=room.rotation_s)
        if session.expired:
            session = self._new_session(room.room_id)

    def _new_session(self, room_id: str) -> OutboundGroupSession:
        self._machine.create_outbound_group_session(room_id)
        return self._machine.outbound_group_sessions[room_id]

    async def _share_key(self, room_id: str, readers: set[str]) -> None:
        """Send the session's key, from the next message on, to the devices that lack it."""
        session = self._machine.outbound_group_sessions[room_id]
        missing = sorted(self._active_devices(readers) - session.users_shared_with)
        key = self._machine.room_key_content(room_id)
        for start in range(0, len(missing), DEVICES_PER_REQUEST):
            session.users_shared_with |= await self._send_key(missing[start : start + DEVICES_PER_REQUEST], key)
        session.mark_as_shared()
        self._withheld.note_shared(session.users_shared_with.intersection(missing))
        without_session = {device for device in missing if self._machine.get_session(*device) is None}
        unsigned = set(self._key_manager.devices.withheld(readers))
        await self._withheld.report(room_id, session.id, without_session, unsigned)

    async def _send_key(self, devices: list[Device], key: Json) -> set[Device]:
        """Send a key to devices; returns those that received it: they have an Olm session, still the same one."""
        messages: dict[str, dict[str, Any]] = {}
        used = {device: session for device in devices if (session := self._machine.get_session(*device))}

        def encrypt(device: Device) -> None:
            encrypted = self._machine.encrypt_to_device(*device, "m.room_key", key)
            if encrypted is not None:
                messages.setdefault(device[0], {})[device[1]] = encrypted

        await self._machine.store.run_in_batches(used, encrypt)
        if messages:
            await self._server.call_api("PUT", to_device_path(ENCRYPTED), {"messages": messages})
        # A device that has begun a new session meanwhile may be unable to decrypt what was sent in the old one.
        return {device for device, session in used.items() if self._machine.get_session(*device) is session}

    def _active_devices(self, users: set[str]) -> set[Device]:
        return set(self._key_manager.devices.recipients(users))
