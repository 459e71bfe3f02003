"""Keeps our keys on the server and other people's devices known: uploads, queries, claims, and mending of sessions."""

import asyncio
import secrets
import time
from collections.abc import Iterable, Mapping
from typing import Any

from nio.responses import KeysClaimResponse, KeysQueryResponse  # type: ignore[import-untyped]
from vodozemac import Curve25519PublicKey, Ed25519PublicKey, Ed25519Signature

from adapters.matrix.api.http import path
from adapters.matrix.api.parsing import mapping, whole
from adapters.matrix.crypto.machine import HOSTILE, Machine
from adapters.matrix.crypto.own_device import SIGNED
from adapters.matrix.events import Json
from adapters.matrix.homeserver import Server

DEVICES = 100
"""Devices of one user that are dealt with. Nobody has so many; a hostile user could."""
FEDERATION_MS = 5000
"""How long the server may ask other servers for keys (10,000 by the specification): messages wait meanwhile."""
AGAIN_S = 600.0
"""How long devices and servers that gave no keys are left alone."""


class Upkeep:
    """What a device owes to others. One at a time asks the server."""

    def __init__(self, machine: Machine, server: Server) -> None:
        self._machine = machine
        self._server = server
        self._turn = asyncio.Lock()
        self._tracked: set[str] = set()
        self._outdated: set[str] = set()
        self._later: dict[object, float] = {}
        # Until a sync tells otherwise, the server has none.
        self._fallback_used = not machine.account.shared

    def told(self, sync: Json) -> None:
        """Take in what a sync says about keys."""
        counts = mapping(sync.get("device_one_time_keys_count"))
        # Left out means none (specification); nio takes that, and 0, for "not known" and uploads no more.
        self._machine.uploaded_key_count = whole(counts.get(SIGNED)) or 0
        unused = sync.get("device_unused_fallback_key_types")
        self._fallback_used = isinstance(unused, list) and SIGNED not in unused
        lists = mapping(sync.get("device_lists"))
        changed, left = (_users(lists.get(name)) for name in ("changed", "left"))
        self._outdated |= changed & self._tracked
        self._tracked -= left

    def wonder(self, user_id: str) -> None:
        """The devices of a user are to be asked for at the next occasion."""
        if user_id not in self._tracked:
            self._outdated.add(user_id)

    async def run(self) -> None:
        """Do what is due after a sync. Raises the port's errors; what was not done is due again."""
        async with self._turn:
            await self._upload()
            await self._query(self._outdated)
            await self._mend()

    async def upload(self) -> None:
        """Put our keys on the server where they are not there yet."""
        async with self._turn:
            await self._upload()

    async def prepare(self, users: Iterable[str]) -> None:
        """Know the devices of these users, and have a session with each that can have one."""
        async with self._turn:
            await self._query({user for user in users if user not in self._tracked or user in self._outdated})
            missing = self._machine.get_missing_sessions(list(users))
            await self._claim({(user, device) for user, devices in missing.items() for device in devices})

    async def _upload(self) -> None:
        body = self._machine.keys_to_upload(self._fallback_used)
        if not body:
            return
        answer = await self._server.call("POST", "/v3/keys/upload", body)
        self._machine.uploaded(whole(mapping(answer.get("one_time_key_counts")).get(SIGNED)) or 0)
        self._fallback_used = False

    async def _query(self, users: set[str]) -> None:
        asked = [user for user in users if self._may_ask(user)]
        if not asked:
            return
        # What changes while the server answers is asked for again.
        self._outdated -= set(asked)
        try:
            body = {"device_keys": {user: [] for user in asked}, "timeout": FEDERATION_MS}
            answer = await self._server.call("POST", "/v3/keys/query", body)
        except BaseException:
            self._outdated |= set(asked)
            raise
        told = mapping(answer.get("device_keys"))
        await self._machine.store.by_turns(asked, lambda user: self._take_devices(user, told.get(user)))

    def _take_devices(self, user: str, told: object) -> None:
        if not isinstance(told, dict):
            # Their server is not reachable: what is known of them has to do.
            self._outdated.add(user)
            self._leave_alone(user)
            return
        devices = {
            name: _bare(device) for name, device in list(told.items())[:DEVICES] if _is_device(user, name, device)
        }
        try:
            self._machine.handle_response(KeysQueryResponse({user: devices}, {}))
        except HOSTILE:
            self._leave_alone(user)
            return
        self._tracked.add(user)

    async def _claim(self, devices: set[tuple[str, str]]) -> None:
        wanted = [pair for pair in sorted(devices) if self._may_ask(pair)]
        if not wanted:
            return
        asked: dict[str, dict[str, str]] = {}
        for user, device in wanted:
            asked.setdefault(user, {})[device] = SIGNED
            self._leave_alone((user, device))
        answer = await self._server.call("POST", "/v3/keys/claim", {"one_time_keys": asked, "timeout": FEDERATION_MS})
        told = mapping(answer.get("one_time_keys"))
        await self._machine.store.by_turns(wanted, lambda pair: self._take_key(pair, mapping(told.get(pair[0]))))

    def _take_key(self, pair: tuple[str, str], keys: Json) -> None:
        user, device = pair
        key = keys.get(device)
        if not isinstance(key, Mapping) or not key:
            return
        try:
            self._machine.handle_response(KeysClaimResponse({user: {device: dict(key)}}, {}))
        except HOSTILE:
            return
        self._later.pop(pair, None)

    async def _mend(self) -> None:
        """Begin new sessions with devices whose messages could not be opened, and tell them."""
        broken = {(device.user_id, device.device_id) for device in self._machine.wedged_devices}
        try:
            await self._claim(broken)
        finally:
            # Those that gave no key come again with their next message.
            self._machine.wedged_devices.clear()
        while self._machine.outgoing_to_device_messages:
            message = self._machine.outgoing_to_device_messages.pop()
            await self._server.call("PUT", to_device_path(message.type), message.as_dict())

    def _may_ask(self, whom: object) -> bool:
        return self._later.get(whom, 0.0) <= time.monotonic()

    def _leave_alone(self, whom: object) -> None:
        now = time.monotonic()
        self._later = {other: until for other, until in self._later.items() if until > now}
        self._later[whom] = now + AGAIN_S


def to_device_path(kind: str) -> str:
    """Where to-device messages are sent; each time another one, since none is sent twice."""
    return "/v3" + path("sendToDevice", kind, secrets.token_urlsafe(16))


def _users(value: object) -> set[str]:
    return {user for user in value if isinstance(user, str)} if isinstance(value, list) else set()


def _bare(device: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in device.items() if name != "unsigned"}


def _is_device(user: str, name: str, device: object) -> bool:
    """Whether a device's keys can be what they are said to be. nio gives up on a user over one that cannot."""
    try:
        told = mapping(device)
        Ed25519PublicKey.from_base64(told["keys"][f"ed25519:{name}"])
        Curve25519PublicKey.from_base64(told["keys"][f"curve25519:{name}"])
        Ed25519Signature.from_base64(told["signatures"][user][f"ed25519:{name}"])
    except HOSTILE:
        return False
    return told.get("user_id") == user and told.get("device_id") == name
