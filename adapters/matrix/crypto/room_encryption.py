"""Encrypts for a room: whoever may read it has the key of its session before anything is said with it."""

import asyncio
from datetime import timedelta
from typing import Any

from nio.crypto import OutboundGroupSession  # type: ignore[import-untyped]

from adapters.matrix.crypto.key_management import KeyManager, to_device_path
from adapters.matrix.crypto.machine import OlmMachine
from adapters.matrix.crypto.room_state import RoomState
from adapters.matrix.events import Json
from adapters.matrix.homeserver import MatrixApi

DEVICES_PER_REQUEST = 100
"""Devices that get their key with one request: about 100 KB."""


class RoomEncryption:
    """The outgoing sessions of all rooms. Senders of one room take turns; who breaks off leaves nothing half done."""

    def __init__(self, machine: OlmMachine, server: MatrixApi, upkeep: KeyManager) -> None:
        self._machine = machine
        self._server = server
        self._key_manager = upkeep
        self._locks: dict[str, asyncio.Lock] = {}
        self._readers: dict[str, set[str]] = {}

    async def encrypt_event(self, room: RoomState, kind: str, content: Json) -> dict[str, Any]:
        """The content of an `m.room.encrypted` that says this. Raises the port's errors when a key cannot be given."""
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
        """A room that was left."""
        self._machine.outbound_group_sessions.pop(room_id, None)
        self._readers.pop(room_id, None)
        if room_id in self._locks and not self._locks[room_id].locked():
            del self._locks[room_id]

    def _rotate_session(self, room: RoomState, readers: set[str]) -> None:
        """Begin a new session where somebody came or went, a device is gone, or the old one has served its time."""
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
        """Give the key to the devices that lack it, from the next message on."""
        session = self._machine.outbound_group_sessions[room_id]
        lacking = sorted(self._active_devices(readers) - session.users_shared_with)
        key = self._machine.room_key_content(room_id)
        for start in range(0, len(lacking), DEVICES_PER_REQUEST):
            session.users_shared_with |= await self._send_key(lacking[start : start + DEVICES_PER_REQUEST], key)
        session.mark_as_shared()

    async def _send_key(self, devices: list[tuple[str, str]], key: Json) -> set[tuple[str, str]]:
        """Send a key to devices; those with which there is a session, and which so got it."""
        messages: dict[str, dict[str, Any]] = {}

        def seal(device: tuple[str, str]) -> None:
            sealed = self._machine.encrypt_to_device(*device, "m.room_key", key)
            if sealed is not None:
                messages.setdefault(device[0], {})[device[1]] = sealed

        await self._machine.store.run_in_batches(devices, seal)
        if messages:
            await self._server.call_api("PUT", to_device_path("m.room.encrypted"), {"messages": messages})
        return {(user, device) for user, theirs in messages.items() for device in theirs}

    def _active_devices(self, users: set[str]) -> set[tuple[str, str]]:
        store = self._machine.device_store
        devices = {(user, device.id) for user in users for device in store.active_user_devices(user)}
        return devices - {(self._machine.user_id, self._machine.device_id)}
