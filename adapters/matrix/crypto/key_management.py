"""Keeps our keys on the server and other people's devices known: uploads, queries, claims, and mending of sessions."""

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
"""Devices of one user that are dealt with. Nobody has so many; a hostile user could."""
FEDERATION_TIMEOUT_MS = 5000
"""How long the server may ask other servers for keys (10,000 by the specification): messages wait meanwhile."""
RETRY_AFTER_S = 600.0
"""How long devices and servers that gave no keys are left alone."""


class KeyManager:
    """What a device owes to others. One at a time asks the server."""

    def __init__(self, machine: OlmMachine, server: MatrixApi) -> None:
        self._machine = machine
        self._server = server
        self._lock = asyncio.Lock()
        self._tracked: set[str] = set()
        self._outdated: set[str] = set()
        self._retry_at: dict[object, float] = {}
        # Until a sync tells otherwise, the server has none.
        self._fallback_used = not machine.account.shared

    def apply_sync(self, sync: Json) -> None:
        """Take in what a sync says about keys."""
        counts = as_dict(sync.get("device_one_time_keys_count"))
        # Left out means none (specification); nio takes that, and 0, for "not known" and uploads no more.
        self._machine.uploaded_key_count = as_int(counts.get(SIGNED_CURVE25519)) or 0
        unused = sync.get("device_unused_fallback_key_types")
        self._fallback_used = isinstance(unused, list) and SIGNED_CURVE25519 not in unused
        lists = as_dict(sync.get("device_lists"))
        changed, left = (_as_user_set(lists.get(name)) for name in ("changed", "left"))
        self._outdated |= changed & self._tracked
        self._tracked -= left

    def mark_outdated(self, user_id: str) -> None:
        """The devices of a user are to be asked for at the next occasion."""
        if user_id not in self._tracked:
            self._outdated.add(user_id)

    async def run_pending(self) -> None:
        """Do what is due after a sync. Raises the port's errors; what was not done is due again."""
        async with self._lock:
            await self._upload()
            await self._query_devices(self._outdated)
            await self._unwedge()

    async def upload_keys(self) -> None:
        """Put our keys on the server where they are not there yet."""
        async with self._lock:
            await self._upload()

    async def ensure_sessions(self, users: Iterable[str]) -> None:
        """Know the devices of these users, and have a session with each that can have one."""
        async with self._lock:
            await self._query_devices({user for user in users if user not in self._tracked or user in self._outdated})
            missing = self._machine.get_missing_sessions(list(users))
            await self._claim_keys({(user, device) for user, devices in missing.items() for device in devices})

    async def _upload(self) -> None:
        body = self._machine.keys_to_upload(self._fallback_used)
        if not body:
            return
        answer = await self._server.call_api("POST", "/v3/keys/upload", body)
        self._machine.mark_uploaded(as_int(as_dict(answer.get("one_time_key_counts")).get(SIGNED_CURVE25519)) or 0)
        self._fallback_used = False

    async def _query_devices(self, users: set[str]) -> None:
        asked = [user for user in users if self._may_ask(user)]
        if not asked:
            return
        # What changes while the server answers is asked for again.
        self._outdated -= set(asked)
        try:
            body = {"device_keys": {user: [] for user in asked}, "timeout": FEDERATION_TIMEOUT_MS}
            answer = await self._server.call_api("POST", "/v3/keys/query", body)
        except BaseException:
            self._outdated |= set(asked)
            raise
        told = as_dict(answer.get("device_keys"))
        await self._machine.store.run_in_batches(asked, lambda user: self._update_devices(user, told.get(user)))

    def _update_devices(self, user: str, told: object) -> None:
        if not isinstance(told, dict):
            # Their server is not reachable: what is known of them has to do.
            self._outdated.add(user)
            self._back_off(user)
            return
        devices = {
            name: _without_unsigned(device)
            for name, device in list(told.items())[:MAX_DEVICES]
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
        asked: dict[str, dict[str, str]] = {}
        for user, device in wanted:
            asked.setdefault(user, {})[device] = SIGNED_CURVE25519
            self._back_off((user, device))
        answer = await self._server.call_api(
            "POST", "/v3/keys/claim", {"one_time_keys": asked, "timeout": FEDERATION_TIMEOUT_MS}
        )
        told = as_dict(answer.get("one_time_keys"))
        await self._machine.store.run_in_batches(
            wanted, lambda pair: self._use_claimed_key(pair, as_dict(told.get(pair[0])))
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
        """Begin new sessions with devices whose messages could not be opened, and tell them."""
        broken = {(device.user_id, device.device_id) for device in self._machine.wedged_devices}
        try:
            await self._claim_keys(broken)
        finally:
            # Those that gave no key come again with their next message.
            self._machine.wedged_devices.clear()
        while self._machine.outgoing_to_device_messages:
            message = self._machine.outgoing_to_device_messages.pop()
            await self._server.call_api("PUT", to_device_path(message.type), message.as_dict())

    def _may_ask(self, whom: object) -> bool:
        return self._retry_at.get(whom, 0.0) <= time.monotonic()

    def _back_off(self, whom: object) -> None:
        now = time.monotonic()
        self._retry_at = {other: until for other, until in self._retry_at.items() if until > now}
        self._retry_at[whom] = now + RETRY_AFTER_S


def to_device_path(kind: str) -> str:
    """Where to-device messages are sent; each time another one, since none is sent twice."""
    return "/v3" + api_path("sendToDevice", kind, secrets.token_urlsafe(16))


def _as_user_set(value: object) -> set[str]:
    return {user for user in value if isinstance(user, str)} if isinstance(value, list) else set()


def _without_unsigned(device: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in device.items() if name != "unsigned"}


def _has_valid_keys(user: str, name: str, device: object) -> bool:
    """Whether a device's keys can be what they are said to be. nio gives up on a user over one that cannot."""
    try:
        told = as_dict(device)
        Ed25519PublicKey.from_base64(told["keys"][f"ed25519:{name}"])
        Curve25519PublicKey.from_base64(told["keys"][f"curve25519:{name}"])
        Ed25519Signature.from_base64(told["signatures"][user][f"ed25519:{name}"])
    except HOSTILE_INPUT_ERRORS:
        return False
    return told.get("user_id") == user and told.get("device_id") == name
