"""Key management: uploads of our keys, queries and claims of others' keys, and unwedging of Olm sessions."""

import asyncio
import secrets
import time
from collections.abc import Iterable, Mapping
from typing import Any

from nio.responses import KeysClaimResponse, KeysQueryResponse  # type: ignore[import-untyped]
from vodozemac import Curve25519PublicKey, Ed25519PublicKey, Ed25519Signature

from adapters.matrix.api.http import api_path
from adapters.matrix.api.parsing import as_dict, as_int
from adapters.matrix.crypto.machine import HOSTILE_INPUT_ERRORS, OlmMachine
from adapters.matrix.crypto.own_device import SIGNED_CURVE25519
from adapters.matrix.events import Json
from adapters.matrix.homeserver import MatrixApi

MAX_DEVICES = 100
"""Devices of one user that are tracked. Only a hostile user has more."""
FEDERATION_TIMEOUT_MS = 5000
"""Time that the server may wait for other servers' keys (specification: 10,000): messages wait meanwhile."""
RETRY_AFTER_S = 600.0
"""Pause before devices and servers that gave no keys are queried again."""


class KeyManager:
    """Keeps our keys on the server and others' device keys up to date. One request at a time."""

    def __init__(self, machine: OlmMachine, server: MatrixApi) -> None:
        self._machine = machine
        self._server = server
        self._lock = asyncio.Lock()
        self._tracked: set[str] = set()
        self._outdated: set[str] = set()
        self._retry_at: dict[object, float] = {}
        # Until a sync says otherwise, the server has none.
        self._fallback_used = not machine.account.shared

    def apply_sync(self, sync: Json) -> None:
        """Apply the key counts and device lists of a sync."""
        counts = as_dict(sync.get("device_one_time_keys_count"))
        # Missing means none (specification); nio takes a missing count, and 0, for unknown and stops uploading.
        self._machine.uploaded_key_count = as_int(counts.get(SIGNED_CURVE25519)) or 0
        unused = sync.get("device_unused_fallback_key_types")
        self._fallback_used = isinstance(unused, list) and SIGNED_CURVE25519 not in unused
        lists = as_dict(sync.get("device_lists"))
        changed, left = (_as_user_set(lists.get(name)) for name in ("changed", "left"))
        self._outdated |= changed & self._tracked
        self._tracked -= left

    def mark_outdated(self, user_id: str) -> None:
        """Query the devices of a user at the next opportunity."""
        if user_id not in self._tracked:
            self._outdated.add(user_id)

    async def run_pending(self) -> None:
        """Run the requests due after a sync. Raises the port's errors; failed requests stay due."""
        async with self._lock:
            await self._upload()
            await self._query_devices(self._outdated)
            await self._unwedge()

    async def upload_keys(self) -> None:
        """Upload our keys that the server lacks."""
        async with self._lock:
            await self._upload()

    async def ensure_sessions(self, users: Iterable[str]) -> None:
        """Query the devices of these users, and open an Olm session with each device where possible."""
        async with self._lock:
            await self._query_devices({user for user in users if user not in self._tracked or user in self._outdated})
            missing = self._machine.get_missing_sessions(list(users))
            await self._claim_keys({(user, device) for user, devices in missing.items() for device in devices})

    async def _upload(self) -> None:
        body = self._machine.keys_to_upload(self._fallback_used)
        if not body:
            return
        response = await self._server.call_api("POST", "/v3/keys/upload", body)
        self._machine.mark_uploaded(as_int(as_dict(response.get("one_time_key_counts")).get(SIGNED_CURVE25519)) or 0)
        self._fallback_used = False

    async def _query_devices(self, users: set[str]) -> None:
        requested = [user for user in users if self._may_ask(user)]
        if not requested:
            return
        # Devices that change during the request are queried again.
        self._outdated -= set(requested)
        try:
            body = {"device_keys": {user: [] for user in requested}, "timeout": FEDERATION_TIMEOUT_MS}
            response = await self._server.call_api("POST", "/v3/keys/query", body)
        except BaseException:
            self._outdated |= set(requested)
            raise
        reported = as_dict(response.get("device_keys"))
        await self._machine.store.run_in_batches(requested, lambda user: self._update_devices(user, reported.get(user)))

    def _update_devices(self, user: str, reported: object) -> None:
        if not isinstance(reported, dict):
            # Their server is unreachable: the devices known so far have to suffice.
            self._outdated.add(user)
            self._back_off(user)
            return
        devices = {
            name: _without_unsigned(device)
            for name, device in list(reported.items())[:MAX_DEVICES]
            if _has_valid_keys(user, name, device)
        }
        try:
            self._machine.handle_response(KeysQueryResponse({user: devices}, {}))
        except HOSTILE_INPUT_ERRORS:
            self._back_off(user)
            return
        self._tracked.add(user)

    async def _claim_keys(self, devices: set[tuple[str, str]]) -> None:
        wanted = [pair for pair in sorted(devices) if self._may_ask(pair)]
        if not wanted:
            return
        requested: dict[str, dict[str, str]] = {}
        for user, device in wanted:
            requested.setdefault(user, {})[device] = SIGNED_CURVE25519
            self._back_off((user, device))
        response = await self._server.call_api(
            "POST", "/v3/keys/claim", {"one_time_keys": requested, "timeout": FEDERATION_TIMEOUT_MS}
        )
        reported = as_dict(response.get("one_time_keys"))
        await self._machine.store.run_in_batches(
            wanted, lambda pair: self._use_claimed_key(pair, as_dict(reported.get(pair[0])))
        )

    def _use_claimed_key(self, pair: tuple[str, str], keys: Json) -> None:
        user, device = pair
        key = keys.get(device)
        if not isinstance(key, Mapping) or not key:
            return
        try:
            self._machine.handle_response(KeysClaimResponse({user: {device: dict(key)}}, {}))
        except HOSTILE_INPUT_ERRORS:
            return
        self._retry_at.pop(pair, None)

    async def _unwedge(self) -> None:
        """Open new sessions with devices whose messages could not be decrypted, and notify them."""
        broken = {(device.user_id, device.device_id) for device in self._machine.wedged_devices}
        try:
            await self._claim_keys(broken)
        finally:
            # Devices that gave no key are marked again by their next message.
            self._machine.wedged_devices.clear()
        while self._machine.outgoing_to_device_messages:
            message = self._machine.outgoing_to_device_messages.pop()
            await self._server.call_api("PUT", to_device_path(message.type), message.as_dict())

    def _may_ask(self, target: object) -> bool:
        return self._retry_at.get(target, 0.0) <= time.monotonic()

    def _back_off(self, target: object) -> None:
        now = time.monotonic()
        self._retry_at = {other: until for other, until in self._retry_at.items() if until > now}
        self._retry_at[target] = now + RETRY_AFTER_S


def to_device_path(kind: str) -> str:
    """The path for a to-device message, with a new transaction id each time, since none is sent twice."""
    return "/v3" + api_path("sendToDevice", kind, secrets.token_urlsafe(16))


def _as_user_set(value: object) -> set[str]:
    return {user for user in value if isinstance(user, str)} if isinstance(value, list) else set()


def _without_unsigned(device: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in device.items() if name != "unsigned"}


def _has_valid_keys(user: str, name: str, device: object) -> bool:
    """Whether a device's keys are well-formed. nio drops all devices of a user over one that is not."""
    try:
        reported = as_dict(device)
        Ed25519PublicKey.from_base64(reported["keys"][f"ed25519:{name}"])
        Curve25519PublicKey.from_base64(reported["keys"][f"curve25519:{name}"])
        Ed25519Signature.from_base64(reported["signatures"][user][f"ed25519:{name}"])
    except HOSTILE_INPUT_ERRORS:
        return False
    return reported.get("user_id") == user and reported.get("device_id") == name
