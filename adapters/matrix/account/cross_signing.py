"""Cross-signing of this device: compares the homeserver's keys with ours, and uploads only what is missing."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from adapters.matrix.account.identity import Identity
from adapters.matrix.account.signing import KeyPair, has_valid_signature, key_id, sign_object, without_signatures
from adapters.matrix.events import Json
from adapters.matrix.homeserver import DeviceSigner, MatrixApi, RequestRefused

log = logging.getLogger(__name__)

KEYS_QUERY = "/v3/keys/query"
UPLOAD_KEYS = "/v3/keys/device_signing/upload"
UPLOAD_SIGNATURES = "/v3/keys/signatures/upload"
PASSWORD_STAGE = "m.login.password"  # noqa: S105

SigningState = Literal[
    "signed",
    "unsigned",
    "foreign_keys",
    "password_needed",
    "password_wrong",
    "password_not_taken",
    "device_unknown",
    "device_differs",
    "refused",
]
STATE_SENTENCES: Mapping[SigningState, str] = {
    "signed": "This device is signed by its owner.",
    "unsigned": "This device is not signed yet; `hearth run` does it when it starts.",
    "foreign_keys": "The homeserver has other cross-signing keys for this account than Hearth: another program has set"
    " them up, or Hearth's own were lost. They are not replaced unasked; `hearth matrix login --again` asks.",
    "password_needed": "The homeserver wants the account's password before it accepts cross-signing keys: run"
    " `hearth matrix login --again`.",
    "password_wrong": "The homeserver does not accept this password for cross-signing keys.",
    "password_not_taken": "The homeserver accepts new cross-signing keys, but not by password. Allow it in the"
    " account's settings in a browser (often called “reset identity”), then run `hearth matrix login --again`.",
    "device_unknown": "The homeserver does not know this device's keys. If that does not change, run"
    " `hearth matrix login --again`.",
    "device_differs": "The homeserver has other keys for this device than its store: the store is another one, or"
    " the keys were tampered with. Nothing was signed; run `hearth matrix login --again` for a new device.",
    "refused": "The homeserver did not accept the signature of this device.",
}


@dataclass(frozen=True, slots=True)
class SigningStatus:
    """The signing status of this device at the homeserver. `detail`: the homeserver's reason, empty without one."""

    state: SigningState
    detail: str = ""

    @property
    def is_signed(self) -> bool:
        """Whether clients that accept signed devices only accept this one."""
        return self.state == "signed"

    def __str__(self) -> str:
        return f"{STATE_SENTENCES[self.state]} ({self.detail})" if self.detail else STATE_SENTENCES[self.state]


async def ensure_signed(
    server: MatrixApi, keys: DeviceSigner, identity: Identity, password: str | None = None
) -> SigningStatus:
    """Make sure that the homeserver has the chain device -> self-signing key -> master key, all of them ours.

    The device's own keys must have been uploaded, and `identity` saved. Foreign keys are replaced only with a
    `password`. If all is in order, one query is the only request. Raises TransientFailure and LoggedOut.
    """
    try:
        server_keys = await _query(server)
        fault = _device_fault(server_keys.device, server, keys)
        if fault is not None:
            return SigningStatus(fault)
        if not server_keys.match(identity):
            if server_keys.master and password is None:
                return SigningStatus("foreign_keys")
            uploaded = await _upload_keys(server, identity, password)
            if not uploaded.is_signed:
                return uploaded
        if has_valid_signature(server_keys.device, server.user_id, identity.self_signing.public_key):
            return SigningStatus("signed")
        return await _sign_device(server, identity, server_keys.device)
    except RequestRefused as error:
        return SigningStatus("refused", str(error))


async def query_status(server: MatrixApi, identity: Identity) -> SigningStatus:
    """The device's status, without changes and without its own keys. Raises TransientFailure and LoggedOut."""
    try:
        server_keys = await _query(server)
    except RequestRefused as error:
        return SigningStatus("refused", str(error))
    if not server_keys.device:
        return SigningStatus("device_unknown")
    if not server_keys.match(identity):
        return SigningStatus("foreign_keys" if server_keys.master else "unsigned")
    is_chained = has_valid_signature(server_keys.device, server.user_id, identity.self_signing.public_key)
    return SigningStatus("signed" if is_chained else "unsigned")


@dataclass(frozen=True, slots=True)
class _ServerKeys:
    """The homeserver's keys of our account; empty where they are missing or malformed."""

    device: Json
    master: str
    self_signing: Json
    user_signing: Json

    def match(self, identity: Identity) -> bool:
        """Whether the keys are ours, and the master key vouches for the other two."""
        user_id, master = identity.user_id, identity.master.public_key
        pairs = ((self.self_signing, identity.self_signing), (self.user_signing, identity.user_signing))
        return self.master == master and all(
            public_key_of(key) == pair.public_key and has_valid_signature(key, user_id, master) for key, pair in pairs
        )


async def _query(server: MatrixApi) -> _ServerKeys:
    response = await server.call_api("POST", KEYS_QUERY, {"device_keys": {server.user_id: []}})
    kinds = ("master_keys", "self_signing_keys", "user_signing_keys")
    master, self_signing, user_signing = (get_nested(response, kind, server.user_id) for kind in kinds)
    device = get_nested(response, "device_keys", server.user_id, server.device_id)
    return _ServerKeys(device, public_key_of(master), self_signing, user_signing)


def get_nested(value: Any, *path: str) -> Json:
    """The object at a path, empty where there is none."""
    for step in path:
        value = value.get(step) if isinstance(value, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def public_key_of(key: Json) -> str:
    """The public key in a cross-signing key of the homeserver; empty where there is none."""
    return next((public for name, public in get_nested(key, "keys").items() if name == key_id(str(public))), "")


def _device_fault(device: Json, server: MatrixApi, keys: DeviceSigner) -> SigningState | None:
    if not device:
        return "device_unknown"
    fingerprint = get_nested(device, "keys").get(f"ed25519:{server.device_id}")
    ids_match = (device.get("user_id"), device.get("device_id")) == (server.user_id, server.device_id)
    return None if ids_match and fingerprint == keys.fingerprint else "device_differs"


def _key_objects(identity: Identity) -> dict[str, Any]:
    """The three keys in their upload format, always the same: Synapse refuses a master key in a second format."""
    user_id = identity.user_id

    def key(pair: KeyPair, usage: str) -> dict[str, Any]:
        return {"user_id": user_id, "usage": [usage], "keys": {pair.key_id: pair.public_key}}

    return {
        "master_key": key(identity.master, "master"),
        "self_signing_key": sign_object(key(identity.self_signing, "self_signing"), user_id, identity.master),
        "user_signing_key": sign_object(key(identity.user_signing, "user_signing"), user_id, identity.master),
    }


async def _upload_keys(server: MatrixApi, identity: Identity, password: str | None) -> SigningStatus:
    body = _key_objects(identity)
    try:
        await server.call_api("POST", UPLOAD_KEYS, body)
    except RequestRefused as error:
        if error.status != 401:
            raise
        if not _takes_password(error.body):
            return SigningStatus("password_not_taken")
        if password is None:
            return SigningStatus("password_needed")
        return await _upload_with_password(server, body, password, error.body.get("session"))
    log.info("Uploaded the cross-signing keys of %s.", identity.user_id)
    return SigningStatus("signed")


async def _upload_with_password(server: MatrixApi, body: Json, password: str, session: Any) -> SigningStatus:
    auth = {
        "type": PASSWORD_STAGE,
        "identifier": {"type": "m.id.user", "user": server.user_id},
        "password": password,
        **({"session": session} if isinstance(session, str) else {}),
    }
    try:
        await server.call_api("POST", UPLOAD_KEYS, {**body, "auth": auth})
    except RequestRefused as error:
        if error.status == 401 or error.code == "M_FORBIDDEN":
            return SigningStatus("password_wrong")
        raise
    log.info("Replaced the cross-signing keys of %s by Hearth's own.", server.user_id)
    return SigningStatus("signed")


def _takes_password(body: Json) -> bool:
    """Whether one of the offered flows (user-interactive authentication) needs the password only."""
    flows = body.get("flows")
    return isinstance(flows, list) and any(
        isinstance(flow, Mapping) and flow.get("stages") == [PASSWORD_STAGE] for flow in flows
    )


async def _sign_device(server: MatrixApi, identity: Identity, device: Json) -> SigningStatus:
    """The status is 200 even when nothing was accepted, and a signature that replaces a bad one is silently skipped:
    success means that no failures are named and that the signature is there.
    """
    user_id, device_id = server.user_id, server.device_id
    body = {user_id: {device_id: sign_object(without_signatures(device), user_id, identity.self_signing)}}
    response = await server.call_api("POST", UPLOAD_SIGNATURES, body)
    failures = response.get("failures")
    if failures:
        failure = get_nested(failures, user_id, device_id)
        return SigningStatus("refused", f"code {failure.get('errcode')}")
    if not has_valid_signature((await _query(server)).device, user_id, identity.self_signing.public_key):
        return SigningStatus("refused", "the signature did not arrive")
    log.info("Signed device %s of %s.", device_id, user_id)
    return SigningStatus("signed")
