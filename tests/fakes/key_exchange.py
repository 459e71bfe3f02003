"""A homeserver in memory that passes keys and to-device messages between devices with real encryption."""

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from adapters.matrix.account.signing import KeyPair, sign_object
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
SAID = {"msgtype": "m.text", "body": "the drive is on shelf Heron"}

Make = Callable[..., Awaitable["Device"]]


class KeyExchange:
    """What the server knows of devices. `bodies` are all requests with their paths, `absent` users out of reach,
    `owners` the cross-signing keys of users, `disliked` users for whose sake a request is refused.
    """

    def __init__(self) -> None:
        self.devices: dict[str, dict[str, Any]] = {}
        self.one_time: dict[tuple[str, str], deque[tuple[str, Any]]] = {}
        self.fallback: dict[tuple[str, str], dict[str, Any]] = {}
        self.inbox: dict[tuple[str, str], list[dict[str, Any]]] = {}
        self.bodies: list[tuple[str, Json]] = []
        self.absent: set[str] = set()
        self.owners: dict[str, dict[str, Any]] = {}
        self.disliked: set[str] = set()
        self.faults = Faults()

    def upload(self, user: str, device: str, body: Json) -> dict[str, Any]:
        if "device_keys" in body:
            self.devices.setdefault(user, {})[device] = body["device_keys"]
        keys = self.one_time.setdefault((user, device), deque())
        held = dict(keys)
        for name, key in body.get("one_time_keys", {}).items():
            if held.get(name, key) != key:
                # As Synapse 1.163 says it.
                error = f"One time key {name} already exists. Old key: {held[name]}; new key: {key}"
                raise RequestRefused(400, "M_UNKNOWN", {"errcode": "M_UNKNOWN", "error": error})
            if name not in held:
                keys.append((name, key))
        if "fallback_keys" in body:
            self.fallback[user, device] = body["fallback_keys"]
        return {"one_time_key_counts": {"signed_curve25519": len(keys)}}

    def query(self, body: Json) -> dict[str, Any]:
        present = [user for user in body["device_keys"] if user not in self.absent]
        owners = {
            kind: {user: self.owners[user][kind] for user in present if user in self.owners}
            for kind in ("master_keys", "self_signing_keys")
        }
        return {"device_keys": {user: self.devices.get(user, {}) for user in present}, "failures": {}, **owners}

    def sign(self, user: str, *device_ids: str, seed: int = 1) -> None:
        """A user's cross-signing keys, made of a seed, and the signatures of some of their devices."""
        master, own = KeyPair(bytes([seed]) * 32), KeyPair(bytes([seed + 100]) * 32)

        def key(pair: KeyPair, usage: str) -> dict[str, Any]:
            return {"user_id": user, "usage": [usage], "keys": {pair.key_id: pair.public_key}}

        self.owners[user] = {
            "master_keys": key(master, "master"),
            "self_signing_keys": sign_object(key(own, "self_signing"), user, master),
        }
        for device_id in device_ids:
            device = self.devices[user][device_id]
            device["signatures"][user] |= sign_object(device, user, own)["signatures"][user]

    def claim(self, body: Json) -> dict[str, Any]:
        given: dict[str, dict[str, Any]] = {}
        for user, devices in body["one_time_keys"].items():
            for device in devices:
                keys = self.one_time.get((user, device))
                key = dict([keys.popleft()]) if keys else self.fallback.get((user, device))
                if key and user not in self.absent:
                    given.setdefault(user, {})[device] = key
        return {"one_time_keys": given, "failures": {}}

    def asked(self, name: str) -> list[Json]:
        """The bodies of all requests of one name for keys."""
        return [body for path, body in self.bodies if path == f"/v3/keys/{name}"]

    def withheld(self) -> list[tuple[str, str]]:
        """Device and code of all notices that a key is withheld."""
        bodies = [body for path, body in self.bodies if "/sendToDevice/m.room_key.withheld/" in path]
        told = [devices for body in bodies for devices in body["messages"].values()]
        return [(device, content["code"]) for devices in told for device, content in devices.items()]

    def pass_on(self, sender: str, kind: str, body: Json) -> dict[str, Any]:
        for user, devices in body["messages"].items():
            for device, content in devices.items():
                self.inbox.setdefault((user, device), []).append({"sender": sender, "type": kind, "content": content})
        return {}


class Device:
    """A device at the exchange; fills `Server`, as far as keys are concerned. `now_s` is its clock, which stands."""

    def __init__(
        self,
        exchange: KeyExchange,
        folder: Path,
        user_id: str,
        device_id: str = "",
        *,
        signed_devices_only: bool = True,
    ) -> None:
        self.exchange = exchange
        self.now_s = 0.0
        self.signed_devices_only = signed_devices_only
        self.user_id = user_id
        # Never the same: nio takes any device with its own id for itself.
        self.device_id = device_id = device_id or f"DEVICE-{user_id}"
        self.credentials = Credentials("https://home.example", user_id, device_id, "token", new_store_key())
        self.folder = folder / device_id
        self._wire(store.create_store(self.folder, self.credentials))

    def _wire(self, held: store.DeviceKeyStore) -> None:
        self.held = held
        self.machine: OlmMachine = held.machine
        self.upkeep = KeyManager(
            self.machine, self, signed_devices_only=self.signed_devices_only, clock=lambda: self.now_s
        )
        self.sharing = RoomEncryption(self.machine, self, self.upkeep)
        self.reader = DecryptingReader(self.machine, self.upkeep)

    def back_up(self) -> bytes:
        """The key store's file as of now, which `restore` puts back."""
        self.held.close()
        saved = (self.folder / store.FILE_NAME).read_bytes()
        self._wire(store.open_store(self.folder, self.credentials))
        return saved

    def restore(self, saved: bytes) -> None:
        """Put a backup of the key store back and start with it."""
        self.held.close()
        for ending in ("-wal", "-shm"):
            (self.folder / (store.FILE_NAME + ending)).unlink(missing_ok=True)
        (self.folder / store.FILE_NAME).write_bytes(saved)
        self._wire(store.open_store(self.folder, self.credentials))

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
        elif self.exchange.disliked & {*body.get("device_keys", ()), *body.get("one_time_keys", ())}:
            raise RequestRefused(400, "M_INVALID_PARAM", {})
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

    async def say(self, *others: str) -> dict[str, Any]:
        """Encrypt a message for a room with these users."""
        return await self.sharing.encrypt_event(self.room(*others), "m.room.message", SAID)

    async def reads(self, content: Json, event_id: str = "$event", sender: str = "@bot:home") -> bool:
        """Whether this device can read what somebody said, after its next sync."""
        await self.receive()
        event = self.read(sender, content, event_id)
        return event is not None and event.content == SAID
