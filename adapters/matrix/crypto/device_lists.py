"""Devices of other users: when they are queried, which of them are kept, and which may get room keys."""

import logging
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from nio.responses import KeysQueryResponse  # type: ignore[import-untyped]
from vodozemac import Curve25519PublicKey, Ed25519PublicKey, Ed25519Signature

from adapters.matrix.api.parsing import as_dict, as_text
from adapters.matrix.crypto.machine import HOSTILE_INPUT_ERRORS, OlmMachine
from adapters.matrix.crypto.owner_signatures import OwnerKeys, is_signed_by, parse_owner_keys
from adapters.matrix.events import Json
from adapters.matrix.homeserver import MatrixApi, RequestRefused
from adapters.matrix.retry import RetryDelays

log = logging.getLogger(__name__)

QUERY = "/v3/keys/query"
MAX_DEVICES = 100
"""Devices of one user that are kept: more belong to somebody who never logs out, or to a hostile user."""
MAX_EXAMINED = 1000
"""Devices of one user whose keys are looked at."""
FEDERATION_TIMEOUT_MS = 5000
"""Time that the server may wait for other servers' keys (specification: 10,000): messages wait meanwhile."""
FIRST_RETRY_S, MAX_RETRY_S = 20.0, 600.0
"""Pauses before users whose server gave no devices are queried again."""
STRANGERS_PER_HOUR = 20
"""Queries for users that are in no room of ours, as far as we know: any user can make us want to ask."""

Devices = dict[str, Json]


class DeviceLists:
    """The known devices, kept up to date by queries. With `signed_only`, only devices that their owner has signed may
    get room keys, as other clients do (specification 1.18, MSC4153), where the owner has keys to sign with.
    """

    def __init__(
        self,
        machine: OlmMachine,
        server: MatrixApi,
        signed_only: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._machine = machine
        self._server = server
        self._signed_only = signed_only
        self._clock = clock
        self._tracked: set[str] = set()
        self._outdated: set[str] = set()
        self._retries = RetryDelays(FIRST_RETRY_S, MAX_RETRY_S, clock=clock)
        self._sender_retries = RetryDelays(FIRST_RETRY_S, MAX_RETRY_S, clock=clock)
        self._strangers_asked: deque[float] = deque(maxlen=STRANGERS_PER_HOUR)
        self._owners = {user: OwnerKeys(*keys) for user, keys in machine.store.load_owner_keys().items()}
        self._unsigned: dict[str, frozenset[str]] = {}

    def apply_sync(self, sync: Json) -> None:
        """Apply the device lists of a sync: users whose devices changed, and users who share no room any more."""
        lists = as_dict(sync.get("device_lists"))
        changed, left = (_as_user_set(lists.get(name)) for name in ("changed", "left"))
        self._outdated |= changed & self._tracked
        for user in changed:
            self._retries.hasten(user)
        self._tracked -= left
        self._outdated -= left

    def mark_outdated(self, user_id: str) -> None:
        """Query the devices of a user in a room of ours at the next opportunity."""
        if user_id not in self._tracked:
            self._outdated.add(user_id)

    def recipients(self, users: Iterable[str]) -> Iterator[tuple[str, str]]:
        """The devices, by user and device id, that get the keys of a room with these users."""
        return (pair for pair in self._others(users) if not self._is_withheld(pair))

    def withheld(self, users: Iterable[str]) -> Iterator[tuple[str, str]]:
        """The devices of these users that get no keys because their owner has not signed them."""
        return (pair for pair in self._others(users) if self._is_withheld(pair))

    async def query_outdated(self) -> None:
        """Query the users whose devices have changed.

        Raises TransientFailure and LoggedOut; those users stay outdated then.
        """
        await self._query(self._outdated)

    async def query_unknown(self, users: Iterable[str]) -> None:
        """Query those of these users whose devices are not known, or have changed.

        Raises TransientFailure and LoggedOut.
        """
        await self._query({user for user in users if user not in self._tracked or user in self._outdated})

    async def query_senders(self) -> None:
        """Query the senders of undecryptable Olm messages whose devices are not known.

        Raises TransientFailure and LoggedOut.
        """
        unknown = {sender for sender, _ in self._machine.unknown_senders}
        senders = {sender for sender in unknown if self._sender_retries.is_due(sender)}
        known = {sender for sender in senders if self._is_known(sender)}
        await self._query(known)
        for sender in known:
            # Whatever the outcome: what this user sends is not asked about again at once.
            self._sender_retries.note_failure(sender)
        strangers = [stranger for stranger in sorted(senders - known) if self._may_ask_stranger()]
        if strangers:
            for part, response in await self._request(strangers):
                for user in part:
                    self._update_stranger(user, response)

    async def _query(self, users: Collection[str]) -> None:
        due = [user for user in users if self._retries.is_due(user)]
        if not due:
            return
        # Devices that change during the request are queried again.
        self._outdated -= set(due)
        try:
            for part, response in await self._request(due):
                await self._machine.store.run_in_batches(part, partial(self._update_user, response))
        except BaseException:
            self._outdated |= set(due)
            raise

    async def _request(self, users: Sequence[str]) -> list[tuple[Sequence[str], Json]]:
        """The responses for these users: one, or one each where the server refuses them together."""
        body = {"device_keys": {user: [] for user in users}, "timeout": FEDERATION_TIMEOUT_MS}
        try:
            return [(users, await self._server.call_api("POST", QUERY, body))]
        except RequestRefused as error:
            if len(users) > 1:  # one user whom the server does not like must not hide the devices of the others
                return [part for user in users for part in await self._request([user])]
            log.info("Could not query the devices of %s: %s", users[0], error)
            return [(users, {})]

    def _update_user(self, response: Json, user: str) -> None:
        reported = as_dict(response.get("device_keys")).get(user)
        owner = self._note_owner(user, response)
        if isinstance(reported, dict) and self._store_devices(user, self._choose(user, reported, owner)):
            self._tracked.add(user)
            self._retries.clear(user)
        else:
            # Their server is unreachable: the devices known so far have to suffice.
            self._outdated.add(user)
            self._retries.note_failure(user)

    def _store_devices(self, user: str, devices: Devices) -> bool:
        machine = self._machine
        try:
            machine.handle_response(KeysQueryResponse({user: devices}, {}))
        except HOSTILE_INPUT_ERRORS:
            return False
        self._restore_deleted(user, devices)
        machine.resolve_unknown_senders(user)
        if not machine.device_store[user]:
            machine.device_store._entries.pop(user, None)  # nio creates an entry on lookup
        return True

    def _restore_deleted(self, user: str, devices: Devices) -> None:
        """Restore devices that come back after they were left out; nio takes a deleted one as gone for good."""
        back = {}
        for name, reported in devices.items():
            device = self._machine.device_store[user].get(name)
            if device is not None and device.deleted and device.keys == _keys_of(name, reported):
                device.deleted = False
                back[name] = device
        if back:
            self._machine.store.save_device_keys({user: back})

    def _update_stranger(self, user: str, response: Json) -> None:
        """Keep the devices of a user that wrote to us; no others, as this user may be in no room of ours."""
        self._sender_retries.note_failure(user)
        reported = as_dict(response.get("device_keys")).get(user)
        if isinstance(reported, dict):
            wanted = {key for sender, key in self._machine.unknown_senders if sender == user}
            chosen = self._choose(user, reported, None)
            self._store_devices(
                user, {name: each for name, each in chosen.items() if _keys_of(name, each)["curve25519"] in wanted}
            )

    def _may_ask_stranger(self) -> bool:
        """Whether one more may be asked now, which is noted."""
        now, asked = self._clock(), self._strangers_asked
        if len(asked) == STRANGERS_PER_HOUR and now - asked[0] < 3600.0:
            return False
        asked.append(now)
        return True

    def _is_known(self, user: str) -> bool:
        return user in self._tracked or user in self._outdated or user in self._machine.device_store._entries

    def _note_owner(self, user: str, response: Json) -> OwnerKeys | None:
        """The cross-signing keys of a user. Once seen they stay: a server cannot hide them to add devices."""
        known, reported = self._owners.get(user), parse_owner_keys(self._machine, user, response)
        if reported is None or reported == known:
            return known
        if known is not None and known.master != reported.master:
            log.warning("The cross-signing identity of %s has changed. If they did not reset it, ask them.", user)
        self._machine.store.save_owner_keys(user, reported.master, reported.self_signing)
        self._owners[user] = reported
        return reported

    def _choose(self, user: str, reported: Mapping[str, Any], owner: OwnerKeys | None) -> Devices:
        """The devices to keep: all, or the newest where there are too many. Notes which of them are not signed."""
        names = list(reported)
        if len(names) > MAX_DEVICES:
            names = self._newest_first(user, reported)[:MAX_EXAMINED]
        valid = {
            name: _without_unsigned(reported[name]) for name in names if _has_valid_keys(user, name, reported[name])
        }
        unsigned = [
            name for name, device in valid.items() if owner and not is_signed_by(self._machine, owner, user, device)
        ]
        ordered = [*(name for name in valid if name not in set(unsigned)), *unsigned][:MAX_DEVICES]
        self._unsigned[user] = frozenset(unsigned)
        return {name: valid[name] for name in ordered}

    def _newest_first(self, user: str, reported: Mapping[str, Any]) -> list[str]:
        """Names of devices: first those that wrote to us, the last one first, then new ones, then the known ones, the
        oldest last. A server tells no ages.
        """
        heard = self._machine.last_heard(user)
        known = {name: number for number, name in enumerate(self._machine.device_store._entries.get(user, ()))}

        def rank(name: str) -> tuple[int, int]:
            key = as_text(as_dict(as_dict(reported[name]).get("keys")).get(f"curve25519:{name}"))
            if key in heard:
                return 0, -heard[key]
            return (2, -known[name]) if name in known else (1, 0)

        return sorted(reported, key=rank)

    def _others(self, users: Iterable[str]) -> Iterator[tuple[str, str]]:
        own = (self._machine.user_id, self._machine.device_id)
        for user in users:
            for name, device in self._machine.device_store._entries.get(user, {}).items():
                if not device.deleted and (user, name) != own:
                    yield user, name

    def _is_withheld(self, pair: tuple[str, str]) -> bool:
        return self._signed_only and pair[1] in self._unsigned.get(pair[0], ())


def _as_user_set(value: object) -> set[str]:
    return {user for user in value if isinstance(user, str)} if isinstance(value, list) else set()


def _keys_of(name: str, device: Json) -> dict[str, str]:
    return {kind: device["keys"][f"{kind}:{name}"] for kind in ("ed25519", "curve25519")}


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
