"""The other side of a verification: a person's client that asks, as the specification has it, written on its own."""

import hashlib
from base64 import b64encode
from collections.abc import Mapping
from typing import Any

import vodozemac

from adapters.matrix.account.signing import KeyPair, canonical_json

ADA, DEVICE = "@ada:home", "ADASPHONE"
START = {
    "method": "m.sas.v1",
    "key_agreement_protocols": ["curve25519-hkdf-sha256"],
    "hashes": ["sha256"],
    "message_authentication_codes": ["hkdf-hmac-sha256.v2"],
    "short_authentication_string": ["decimal", "emoji"],
}


class VerifyingClient:
    """Makes the contents of one verification and takes the answers, checking each as a client does.

    `mark` is what stands in every content of it: `transaction_id` or `m.relates_to`.
    """

    def __init__(
        self, bot: str, bot_device: str, transaction: str, mark: Mapping[str, Any], user_id: str = ADA
    ) -> None:
        self.user_id = user_id
        self.device_id = DEVICE
        self.pair, self.master = KeyPair(bytes([11]) * 32), KeyPair(bytes([12]) * 32)
        self.emoji: tuple[int, ...] = ()
        self.decimals: tuple[int, int, int] = (0, 0, 0)
        self._bot, self._bot_device = bot, bot_device
        self._transaction = transaction
        self.mark = dict(mark)
        self._sas = vodozemac.Sas()
        self.public = self._sas.public_key.to_base64()
        self._agreed: vodozemac.EstablishedSas | None = None
        self._started: dict[str, Any] = {}
        self._commitment = ""

    def served(self) -> dict[str, Any]:
        """What the homeserver answers to a query of this person's keys."""
        device = {"keys": {f"ed25519:{self.device_id}": self.pair.public_key}, "device_id": self.device_id}
        master = {"usage": ["master"], "keys": {self.master.key_id: self.master.public_key}}
        return {
            "device_keys": {self.user_id: {self.device_id: device}},
            "master_keys": {self.user_id: master},
            "failures": {},
        }

    def request(self, **more: Any) -> dict[str, Any]:
        return {"from_device": self.device_id, "methods": ["m.sas.v1"], "timestamp": 1, **self.mark, **more}

    def start(self, **other: Any) -> dict[str, Any]:
        self._started = {**START, "from_device": self.device_id, **self.mark, **other}
        return self._started

    def accepted(self, content: Mapping[str, Any]) -> None:
        assert content["method"] == "m.sas.v1"
        assert content["message_authentication_code"] == "hkdf-hmac-sha256.v2"
        self._commitment = content["commitment"]

    def key(self) -> dict[str, Any]:
        return {"key": self.public, **self.mark}

    def keyed(self, content: Mapping[str, Any]) -> None:
        theirs = content["key"]
        digest = hashlib.sha256(theirs.encode() + canonical_json(self._started)).digest()
        assert self._commitment == b64encode(digest).decode().rstrip("=")
        self._agreed = self._sas.diffie_hellman(vodozemac.Curve25519PublicKey.from_base64(theirs))
        info = (
            f"MATRIX_KEY_VERIFICATION_SAS|{self.user_id}|{self.device_id}|{self.public}"
            f"|{self._bot}|{self._bot_device}|{theirs}|{self._transaction}"
        )
        string = self._agreed.bytes(info)
        self.emoji, self.decimals = tuple(string.emoji_indices), string.decimals

    def mac(self, **other: Any) -> dict[str, Any]:
        keys = {f"ed25519:{self.device_id}": self.pair.public_key, self.master.key_id: self.master.public_key}
        macs = {name: self._mac(public, name) for name, public in keys.items()}
        return {"mac": macs, "keys": self._mac(",".join(sorted(keys)), "KEY_IDS"), **self.mark, **other}

    def confirmed(self, content: Mapping[str, Any], known: Mapping[str, str]) -> set[str]:
        """The bot's keys that are verified now. `known`: the bot's keys as the homeserver has them."""
        assert self._agreed is not None
        self._agreed.verify_mac(",".join(sorted(content["mac"])), self._theirs("KEY_IDS"), content["keys"])
        for name, mac in content["mac"].items():
            self._agreed.verify_mac(known[name], self._theirs(name), mac)
        return set(content["mac"])

    def done(self) -> dict[str, Any]:
        return dict(self.mark)

    def _mac(self, value: str, name: str) -> str:
        assert self._agreed is not None
        sides = f"{self.user_id}{self.device_id}{self._bot}{self._bot_device}"
        return self._agreed.calculate_mac(value, f"MATRIX_KEY_VERIFICATION_MAC{sides}{self._transaction}{name}")

    def _theirs(self, name: str) -> str:
        sides = f"{self._bot}{self._bot_device}{self.user_id}{self.device_id}"
        return f"MATRIX_KEY_VERIFICATION_MAC{sides}{self._transaction}{name}"
