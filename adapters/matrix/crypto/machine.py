"""nio's encryption machine, restricted to what is safe with hostile input."""

import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cachetools import LRUCache
from nio.crypto import InboundGroupSession, OutboundSession, Session  # type: ignore[import-untyped]
from nio.events import OlmEvent  # type: ignore[import-untyped]
from nio.responses import KeysClaimResponse  # type: ignore[import-untyped]

from adapters.matrix.api.parsing import as_dict, as_text, parse_json
from adapters.matrix.crypto.database import KeyDatabase
from adapters.matrix.crypto.own_device import MEGOLM, OLM, OwnDevice
from adapters.matrix.events import Json, ToDevice
from adapters.storage.bounded_dict import put_bounded

MAX_ROOMLESS_KEYS = 1000
"""Keys kept for rooms that we are not in: they may arrive before the room does, and any user can send them."""
MAX_STRANGERS = 200
"""Olm sessions kept with unknown devices: any user who knows our user id can open them."""
SESSIONS_PER_DEVICE = 5
"""Olm sessions kept with one device, the newest: the other side uses one of them."""
MAX_WEDGED = 200
"""Devices that wait for a new Olm session, because what they send cannot be decrypted."""
MAX_UNKNOWN_SENDERS = 50
"""Senders of undecryptable Olm messages kept until their devices are known: any user can send such a message."""
MAX_HEARD = 1000
"""Devices remembered for having sent an Olm message of late."""
HOSTILE_INPUT_ERRORS = (
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    AssertionError,
    OverflowError,
    RecursionError,
)
"""Errors that nio and vodozemac raise for malformed input: all of vodozemac's errors are ValueErrors."""


@dataclass(frozen=True, slots=True)
class DecryptedContent:
    """The decrypted type and content of a room event."""

    type: str
    content: Json


class OlmMachine(OwnDevice):
    """Encryption and decryption with the keys of our device. Never raises for another user's message."""

    def __init__(self, user_id: str, device_id: str, store: KeyDatabase) -> None:
        super().__init__(user_id, device_id, store)
        self.knows_room: Callable[[str], bool] = lambda _: True
        # By user id and Curve25519 key: the senders of undecryptable Olm messages whose devices are not known.
        self.unknown_senders: dict[tuple[str, str], None] = {}
        self._heard: dict[tuple[str, str], None] = {}
        self._roomless: deque[InboundGroupSession] = deque()
        # By session id alone: an event need not name its sender's device (specification 1.3).
        self._room_sessions = {session.id: session for session in self.inbound_group_store}
        # The event of each message index of a session: against replays, as a server could deliver one message twice.
        self._message_indices: LRUCache[tuple[str, int], str] = LRUCache(50_000)
        self._strangers: deque[str] = deque(
            sender_key
            for sender_key, sessions in self.session_store.items()
            if sessions and not self._owner_of(sender_key)
        )

    def decrypt_to_device(self, message: ToDevice) -> ToDevice | None:
        """Decrypt a to-device message; None when that fails.

        Room keys are stored; the result then holds only their ids.
        """
        sender_key = message.content.get("sender_key")
        if message.content.get("algorithm") != OLM or not isinstance(sender_key, str):
            return None
        put_bounded(self._heard, (message.sender, sender_key), None, MAX_HEARD)
        before = list(self.session_store[sender_key])
        try:
            return self._decrypt_olm(message.sender, sender_key, message.content)
        except HOSTILE_INPUT_ERRORS:
            # Also raised for a key that we no longer have: a new session is needed.
            self._mark_device_for_unwedging(message.sender, sender_key)
            return None
        finally:
            if any(session not in before for session in self.session_store[sender_key]):
                self._share_again(message.sender, sender_key)
            self._enforce_limits(message.sender, sender_key)

    def decrypt_room_event(self, room_id: str, sender: str, event_id: str, content: Json) -> DecryptedContent | None:
        """Decrypt an event of a room; None when its key is missing or it is not authentic."""
        session = self._room_sessions.get(as_text(content.get("session_id")))
        if session is None or session.room_id != room_id or content.get("algorithm") != MEGOLM:
            return None
        try:
            plain, number = session.decrypt(as_text(content.get("ciphertext")))
            payload = as_dict(parse_json(plain))
        except HOSTILE_INPUT_ERRORS:
            return None
        kind, inner = payload.get("type"), payload.get("content")
        if payload.get("room_id") != room_id or not isinstance(kind, str) or not isinstance(inner, dict):
            return None
        if (
            not self._may_be_from(sender, session)
            or self._message_indices.setdefault((session.id, number), event_id) != event_id
        ):
            return None
        if "m.relates_to" in content and "m.relates_to" not in inner:
            inner["m.relates_to"] = content["m.relates_to"]
        return DecryptedContent(kind, inner)

    def encrypt_room_event(self, room_id: str, kind: str, content: Json) -> dict[str, Any]:
        """Encrypt an event with the room's shared session; the content of an `m.room.encrypted`."""
        session = self.outbound_group_sessions[room_id]
        # Not by nio, whose JSON takes six bytes for each non-ASCII character. Lone surrogates are replaced.
        payload = json.dumps({"type": kind, "content": dict(content), "room_id": room_id}, ensure_ascii=False)
        return {
            "algorithm": MEGOLM,
            "ciphertext": session.encrypt(payload.encode(errors="replace").decode()),
            "device_id": self.device_id,
            "sender_key": self.sender_key,
            "session_id": session.id,
        }

    def room_key_content(self, room_id: str) -> Json:
        """The content of an `m.room_key`: the room's shared session from the next message on."""
        session = self.outbound_group_sessions[room_id]
        named = {"algorithm": MEGOLM, "room_id": room_id, "session_id": session.id}
        return {**named, "session_key": session.session_key}

    def encrypt_to_device(self, user_id: str, device_id: str, kind: str, content: Json) -> Json | None:
        """Encrypt a message for one device; the content of an `m.room.encrypted`, None without a session."""
        device = self.device_store[user_id][device_id]
        session = self.session_store.get(device.curve25519)
        if session is None:
            return None
        sealed: Json = self._olm_encrypt(session, device, kind, content)
        return sealed

    def get_session(self, user_id: str, device_id: str) -> Session | None:
        """The Olm session used for messages to a device; None when there is none."""
        device = self.device_store._entries.get(user_id, {}).get(device_id)
        sessions = self.session_store._entries.get(device.curve25519) if device is not None else None
        return sessions[0] if sessions else None

    def begin_session(self, user_id: str, device_id: str, claimed_key: Json) -> bool:
        """Begin an Olm session with a claimed one-time key; whether the key was valid.

        A wedged device has its new session then, and an empty message, which tells it so, waits to be sent.
        """
        earlier = self.get_session(user_id, device_id)
        if not claimed_key:
            return False
        try:
            self.handle_response(KeysClaimResponse({user_id: {device_id: dict(claimed_key)}}, {}))
        except HOSTILE_INPUT_ERRORS:
            return False
        if self.get_session(user_id, device_id) is earlier:
            return False
        self._share_again(user_id, self.device_store[user_id][device_id].curve25519)
        return True

    def renew_all_sessions(self) -> None:
        """Plan new sessions with all devices, the last used ones if there are too many."""
        used = [
            (session.use_time, number, device)
            for number, device in enumerate(self.device_store)
            if not device.deleted and (session := self.get_session(device.user_id, device.id))
        ]
        self.wedged_devices[:] = [device for *_, device in sorted(used)][-MAX_WEDGED:]

    def resolve_unknown_senders(self, user_id: str) -> None:
        """Mark the now known devices of a user whose messages could not be decrypted; drop senders without a device."""
        for unknown in [each for each in self.unknown_senders if each[0] == user_id]:
            del self.unknown_senders[unknown]
            if self.device_store.device_from_sender_key(*unknown) is not None:
                self._mark_device_for_unwedging(*unknown)

    def last_heard(self, user_id: str) -> dict[str, int]:
        """The Curve25519 keys from which a user's Olm messages came of late, with numbers that grow with time."""
        return {key: number for number, (sender, key) in enumerate(self._heard) if sender == user_id}

    def has_room_key(self, session_id: str) -> bool:
        """Whether the key of a Megolm session has arrived."""
        return session_id in self._room_sessions

    def create_session(self, one_time_key: str, curve_key: str) -> OutboundSession:
        """Open a session with a device. Raises ValueError for malformed keys.

        As nio does, but without saving the account, which does not change.
        """
        session = OutboundSession(self.account, curve_key, one_time_key)
        self.session_store.add(curve_key, session)
        self.save_session(curve_key, session)
        return session

    def create_group_session(
        self, sender_key: str, sender_fp_key: str, room_id: str, session_id: str, session_key: str
    ) -> None:
        """Store the key of a Megolm session. Raises ValueError for a malformed key.

        A known key is kept, unless its owner sends an earlier state of it: every holder of a key can pass it on, and
        a later state would make earlier messages unreadable.
        """
        session = InboundGroupSession(session_key, sender_fp_key, sender_key, room_id)
        if session.id != session_id:
            raise ValueError("the session has another id")
        known = self._room_sessions.get(session_id)
        if known is not None and (
            (known.sender_key, known.room_id) != (sender_key, room_id)
            or known.first_known_index <= session.first_known_index
        ):
            return
        self._room_sessions[session_id] = session
        self.save_inbound_group_session(session)
        if not self.knows_room(room_id):
            self._roomless.append(session)
        if len(self._roomless) > MAX_ROOMLESS_KEYS:
            self._drop_room_key(self._roomless.popleft())

    def _mark_device_for_unwedging(self, sender: str, sender_key: str) -> None:
        """Plan a new session with a device. An unknown one has to be queried first: after a start all may be."""
        if self.device_store.device_from_sender_key(sender, sender_key) is None:
            put_bounded(self.unknown_senders, (sender, sender_key), None, MAX_UNKNOWN_SENDERS)
            return
        super()._mark_device_for_unwedging(sender, sender_key)
        del self.wedged_devices[:-MAX_WEDGED]

    def _share_again(self, user_id: str, sender_key: str) -> None:
        """Let the rooms' keys be given again to a device with a new Olm session: it began one because messages to it
        were lost, the keys maybe among them.
        """
        device = self.device_store.device_from_sender_key(user_id, sender_key)
        if device is not None:
            for session in self.outbound_group_sessions.values():
                session.users_shared_with.discard((user_id, device.id))

    def _decrypt_olm(self, sender: str, sender_key: str, content: Json) -> ToDevice | None:
        ours = as_dict(as_dict(content.get("ciphertext")).get(self.sender_key))
        event = OlmEvent({}, sender, sender_key, {self.sender_key: ours})
        opened = self.decrypt_event(event) if ours else None
        return opened if isinstance(opened, ToDevice) else None

    def _handle_olm_event(self, sender: str, sender_key: str, payload: dict[str, Any]) -> Any:
        kind, content = payload["type"], payload["content"]
        if kind == "m.room_key":
            # Not by nio: it refuses room ids of room version 12, which name no server.
            names = ("algorithm", "room_id", "session_id")
            room = {name: content[name] for name in names}
            if room["algorithm"] != MEGOLM or not all(isinstance(value, str) for value in room.values()):
                return None
            self.create_group_session(
                sender_key, payload["keys"]["ed25519"], room["room_id"], room["session_id"], content["session_key"]
            )
            return ToDevice(sender, kind, room, encrypted=True)
        # Forwarded keys are vouched for by the forwarder only.
        return None if kind in {"m.dummy", "m.forwarded_room_key"} else ToDevice(sender, kind, content, encrypted=True)

    def _may_be_from(self, sender: str, session: InboundGroupSession) -> bool:
        """Whether the session can be the sender's: no device of another known user has created it."""
        if sender == self.user_id and session.sender_key == self.sender_key:
            return True
        device = self.device_store.device_from_sender_key(sender, session.sender_key)
        if device is not None:
            return bool(device.ed25519 == session.ed25519)
        return session.sender_key != self.sender_key and self._owner_of(session.sender_key) in {"", sender}

    def _owner_of(self, sender_key: str) -> str:
        """The user whose device has this Curve25519 key; empty if unknown."""
        for device in self.device_store:
            if device.curve25519 == sender_key:
                return str(device.user_id)
        return ""

    def _enforce_limits(self, sender: str, sender_key: str) -> None:
        """Bound the state that any user can add to."""
        sessions = self.session_store[sender_key]
        while len(sessions) > SESSIONS_PER_DEVICE:
            self.store.delete_session(sessions.pop().id)
        if not sessions:
            # nio creates an entry on lookup.
            self.session_store._entries.pop(sender_key, None)
        elif sender_key not in self._strangers and not self._owner_of(sender_key):
            self._strangers.append(sender_key)
        if len(self._strangers) > MAX_STRANGERS:
            self._drop_stranger(self._strangers.popleft())
        if not self.device_store[sender]:
            self.device_store._entries.pop(sender, None)

    def _drop_room_key(self, session: InboundGroupSession) -> None:
        if not self.knows_room(session.room_id):
            self._room_sessions.pop(session.id, None)
            self.store.delete_room_key(session.id)

    def _drop_stranger(self, sender_key: str) -> None:
        if self._owner_of(sender_key):
            return
        for session in self.session_store._entries.pop(sender_key, []):
            self.store.delete_session(session.id)
