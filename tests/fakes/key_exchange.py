"""A homeserver in memory that passes keys and to-device messages between devices with real encryption."""

from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from adapters.matrix.credentials import Credentials, new_store_key
from adapters.matrix.crypto import store
from adapters.matrix.crypto.decryption import DecryptingReader
from adapters.matrix.crypto.key_management import KeyManager
from adapters.matrix.crypto.machine import OlmMachine
from adapters.matrix.crypto.room_encryption import RoomEncryption
from adapters.matrix.crypto.room_state import RoomState
from adapters.matrix.events import Event, Json
from adapters.matrix.homeserver import RequestRefused
from tests.fakes.wire_faults import Faults

ROOM = "!room"


class KeyExchange:
    """What the server knows of devices. `bodies` are all requests with their paths, `absent` users out of reach."""

    def __init__(self) -> None:
        self.devices: dict[str, dict[str, Any]] = {}
        self.one_time: dict[tuple[str, str], deque[tuple[str, Any]]] = {}
        self.fallback: dict[tuple[str, str], dict[str, Any]] = {}
        self.inbox: dict[tuple[str, str], list[dict[str, Any]]] = {}
        self.bodies: list[tuple[str, Json]] = []
        self.absent: set[str] = set()
        self.faults = Faults()

    def upload(self, user: str, device: str, body: Json) -> dict[str, Any]:
        if "device_keys" in body:
            self.devices.setdefault(user, {})[device] = body["device_keys"]
        keys = self.one_time.setdefault((user, device), deque())
        keys.extend(body.get("one_time_keys", {}).items())
        if "fallback_keys" in body:
            self.fallback[user, device] = body["fallback_keys"]
        return {"one_time_key_counts": {"signed_curve25519": len(keys)}}

    def query(self, body: Json) -> dict[str, Any]:
        present = [user for user in body["device_keys"] if user not in self.absent]
        return {"device_keys": {user: self.devices.get(user, {}) for user in present}, "failures": {}}

    def claim(self, body: Json) -> dict[str, Any]:
        given: dict[str, dict[str, Any]] = {}
        for user, devices in body["one_time_keys"].items():
            for device in devices:
                keys = self.one_time.get((user, device))
                key = dict([keys.popleft()]) if keys else self.fallback.get((user, device))
                if key and user not in self.absent:
                    given.setdefault(user, {})[device] = key
        return {"one_time_keys": given, "failures": {}}

    def pass_on(self, sender: str, kind: str, body: Json) -> dict[str, Any]:
        for user, devices in body["messages"].items():
            for device, content in devices.items():
                self.inbox.setdefault((user, device), []).append({"sender": sender, "type": kind, "content": content})
        return {}


class Device:
    """A device at the exchange; fills `Server`, as far as keys are concerned."""

    def __init__(self, exchange: KeyExchange, folder: Path, user_id: str, device_id: str = "") -> None:
        self.exchange = exchange
        self.user_id = user_id
        # Never the same: nio takes any device with its own id for itself.
        self.device_id = device_id = device_id or f"DEVICE-{user_id}"
        self.credentials = Credentials("https://home.example", user_id, device_id, "token", new_store_key())
        self.folder = folder / device_id
        self._wire(store.create_store(self.folder, self.credentials))

    def _wire(self, held: store.DeviceKeyStore) -> None:
        self.held = held
        self.machine: OlmMachine = held.machine
        self.upkeep = KeyManager(self.machine, self)
        self.sharing = RoomEncryption(self.machine, self, self.upkeep)
        self.reader = DecryptingReader(self.machine, self.upkeep)

    def restart(self) -> None:
        """Close the store and open it again, as another process would."""
        self.held.close()
        self._wire(store.open_store(self.folder, self.credentials))

    async def call_api(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        query: Sequence[tuple[str, str]] = (),
        *,
        timeout_s: float | None = None,
    ) -> dict[str, Any]:
        body = body or {}
        self.exchange.bodies.append((path, body))
        name = path.removeprefix("/v3/").split("/")[0 if "sendToDevice" in path else -1]
        await self.exchange.faults.before(name)
        if name == "upload":
            answer = self.exchange.upload(self.user_id, self.device_id, body)
        elif name == "query":
            answer = self.exchange.query(body)
        elif name == "claim":
            answer = self.exchange.claim(body)
        elif name == "sendToDevice":
            answer = self.exchange.pass_on(self.user_id, unquote(path.split("/")[-2]), body)
        else:
            raise RequestRefused(404, "M_UNRECOGNIZED", {})
        self.exchange.faults.after(name)
        return answer

    def sync(self, **more: Any) -> dict[str, Any]:
        """The answer to a sync, with all to-device messages that have come."""
        events = self.exchange.inbox.pop((self.user_id, self.device_id), [])
        counts = {"signed_curve25519": len(self.exchange.one_time.get((self.user_id, self.device_id), ()))}
        told = {"next_batch": "s1", "to_device": {"events": events}, "device_one_time_keys_count": counts}
        return {"device_unused_fallback_key_types": ["signed_curve25519"], **told, **more}

    async def receive(self, **more: Any) -> None:
        """Take what has come, and do what is due after it."""
        answer = self.sync(**more)
        self.upkeep.apply_sync(answer)
        await self.reader.read_sync(answer)
        await self.upkeep.run_pending()

    def room(self, *others: str, room_id: str = ROOM) -> RoomState:
        """An encrypted room with these users and our own."""
        users = dict.fromkeys((self.user_id, *others), "join")
        return RoomState(room_id, encrypted=True, members_complete=True, memberships=users)

    def read(self, sender: str, content: Json, event_id: str = "$event") -> Event | None:
        """An encrypted event of the room, as this device reads it."""
        raw = {"event_id": event_id, "sender": sender, "type": "m.room.encrypted", "content": content}
        return self.reader.read_event(raw, ROOM)
