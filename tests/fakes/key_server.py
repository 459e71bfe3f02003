"""A homeserver in memory that knows the keys of accounts, as far as Synapse 1.163 does by what was seen of it."""

from collections.abc import Sequence
from typing import Any

from adapters.delivery.errors import TransientFailure
from adapters.matrix.account.signing import KeyPair, has_valid_signature, sign_object, without_signatures
from adapters.matrix.events import Json
from adapters.matrix.homeserver import RequestRefused

BOT = "@hearth:home"
DEVICE = "HEARTHDEV"
PASSWORD = "correct horse"
FLOW = {"session": "S1", "flows": [{"stages": ["m.login.password"]}], "params": {}}
NAMES = {"master_key": "master_keys", "self_signing_key": "self_signing_keys", "user_signing_key": "user_signing_keys"}


class DeviceKeys:
    """Fills `Keys`: the device's own key pair."""

    def __init__(self, seed: int = 1) -> None:
        self.pair = KeyPair(bytes([seed]) * 32)

    @property
    def fingerprint(self) -> str:
        return self.pair.public_key

    def sign(self, text: bytes) -> str:
        return self.pair.sign(text)


class KeyServer:
    """Fills `Server` for one account. `calls` are the paths asked for, `refusing` what the next call of a path raises.

    `asks_first`: it wants a password even for an account's first keys. `accepts_nothing`: signatures are taken with
    200 and kept nowhere.
    """

    def __init__(self, device_id: str = DEVICE) -> None:
        self.user_id = BOT
        self.device_id = device_id
        self.devices: dict[str, dict[str, Any]] = {}
        self.keys: dict[str, dict[str, Any]] = {}
        self.ever: set[str] = set()
        self.calls: list[str] = []
        self.bodies: list[Json] = []
        self.refusing: dict[str, Exception] = {}
        self.asks_first = False
        self.accepts_nothing = False
        self.flow: dict[str, Any] = FLOW
        self.others: dict[str, dict[str, Any]] = {}

    def add_device(self, keys: DeviceKeys, device_id: str = DEVICE) -> None:
        """What a client's first start uploads."""
        body = {
            "algorithms": ["m.olm.v1.curve25519-aes-sha2", "m.megolm.v1.aes-sha2"],
            "device_id": device_id,
            "user_id": self.user_id,
            "keys": {f"curve25519:{device_id}": "curve", f"ed25519:{device_id}": keys.fingerprint},
        }
        whole = sign_object(body, self.user_id, keys.pair)
        whole["signatures"] = {self.user_id: {f"ed25519:{device_id}": keys.pair.sign(b"as uploaded")}}
        self.devices[device_id] = {**whole, "unsigned": {"device_display_name": "Hearth"}}

    async def call_api(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        query: Sequence[tuple[str, str]] = (),
        *,
        timeout_s: float | None = None,
    ) -> dict[str, Any]:
        name = path.rsplit("/v3/keys/", maxsplit=1)[-1]
        self.calls.append(name)
        self.bodies.append(body or {})
        if name in self.refusing:
            raise self.refusing.pop(name)
        answers = {
            "query": self._query,
            "device_signing/upload": self._upload_keys,
            "signatures/upload": self._upload_signatures,
        }
        return answers[name](body or {})

    def _query(self, body: Json) -> dict[str, Any]:
        (asked,) = body["device_keys"]
        if asked != self.user_id:
            return self.others.get(asked, {"device_keys": {}, "failures": {}})
        served = {NAMES[name]: {self.user_id: key} for name, key in self.keys.items()}
        return {"device_keys": {self.user_id: dict(self.devices)}, **served, "failures": {}}

    def _upload_keys(self, body: Json) -> dict[str, Any]:
        keys = {name: body[name] for name in NAMES}
        master = next(iter(keys["master_key"]["keys"].values()))
        if not all(
            has_valid_signature(keys[name], self.user_id, master) for name in ("self_signing_key", "user_signing_key")
        ):
            raise RequestRefused(400, "M_INVALID_SIGNATURE", {})
        if keys == self.keys:
            return {}
        if self.keys or self.asks_first:
            self._authenticate(body.get("auth"))
        if keys.get("master_key") != self.keys.get("master_key") and master in self.ever:
            raise TransientFailure("status 500")
        self.ever.add(master)
        self.keys = keys
        return {}

    def _authenticate(self, auth: Any) -> None:
        if auth is None:
            raise RequestRefused(401, "", self.flow)
        if (auth["type"], auth["password"], auth["session"]) != ("m.login.password", PASSWORD, "S1"):
            raise RequestRefused(401, "M_FORBIDDEN", {**self.flow, "errcode": "M_FORBIDDEN"})
        assert auth["identifier"] == {"type": "m.id.user", "user": self.user_id}

    def _upload_signatures(self, body: Json) -> dict[str, Any]:
        ((device_id, given),) = body[self.user_id].items()
        stored = self.devices[device_id]
        public = next(iter(self.keys["self_signing_key"]["keys"].values()))
        if without_signatures(given) != without_signatures(stored) or not has_valid_signature(
            given, self.user_id, public
        ):
            failure = {"status": 400, "errcode": "M_INVALID_SIGNATURE", "message": "400: Invalid signature"}
            return {"failures": {self.user_id: {device_id: failure}}}
        if not self.accepts_nothing:
            of_user = stored["signatures"][self.user_id]
            of_user.setdefault(f"ed25519:{public}", given["signatures"][self.user_id][f"ed25519:{public}"])
        return {"failures": {}}
