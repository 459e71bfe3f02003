"""Our device's own keys: signatures made with them, and the keys to upload."""

import logging
from typing import Any

from nio.crypto import Olm  # type: ignore[import-untyped]

OLM = "m.olm.v1.curve25519-aes-sha2"
MEGOLM = "m.megolm.v1.aes-sha2"
SIGNED_CURVE25519 = "signed_curve25519"

# nio logs parts of messages.
logging.getLogger("nio").setLevel(logging.CRITICAL)


class OwnDevice(Olm):  # type: ignore[misc]
    """nio's machine without its automatic reactions to other users' messages."""

    def handle_key_verification(self, event: object) -> None:
        """Do nothing: nio's own verification answers unasked, and an unexpected message crashes the program."""

    def check_if_wedged(self, event: object) -> None:
        """Do nothing: only our own devices answer key requests, and nio keeps each request for ever."""

    @property
    def fingerprint(self) -> str:
        """The device's Ed25519 key, base64 without padding."""
        return str(self.account.identity_keys["ed25519"])

    @property
    def sender_key(self) -> str:
        """The device's Curve25519 key, base64 without padding."""
        return str(self.account.identity_keys["curve25519"])

    def sign(self, data: bytes) -> str:
        """The device's signature of these bytes, base64 without padding."""
        return str(self.account.sign(data.decode()))

    def keys_to_upload(self, fallback: bool) -> dict[str, Any]:
        """The body of a key upload: the device's keys if the server has none yet, new one-time keys, and with
        `fallback` a key for when those are used up. Empty when nothing is due. New secrets are on disk on return.
        """
        account, uploaded = self.account, self.uploaded_key_count or 0
        # None are due until the server has reported its count: servers refuse more than 500 of them.
        known = self.uploaded_key_count is not None
        due = not account.shared or (known and uploaded <= account.max_one_time_keys // 2)
        if not (due or fallback):
            return {}
        body: dict[str, Any] = {} if account.shared else {"device_keys": self._with_signature(self._device_keys())}
        # Keys of a failed upload are uploaded again.
        if due and not account.one_time_keys["curve25519"]:
            account.generate_one_time_keys(account.max_one_time_keys - uploaded)
        one_time = account.one_time_keys["curve25519"]
        body["one_time_keys"] = {
            f"{SIGNED_CURVE25519}:{name}": self._with_signature({"key": key}) for name, key in one_time.items()
        }
        if fallback:
            # nio does not support fallback keys; the vodozemac account inside does.
            inner = account._account
            if not inner.fallback_key:
                inner.generate_fallback_key()
            keys = inner.fallback_key
            body["fallback_keys"] = {
                f"{SIGNED_CURVE25519}:{name}": self._with_signature({"key": key.to_base64(), "fallback": True})
                for name, key in keys.items()
            }
        self.save_account()
        return body

    def mark_uploaded(self, uploaded: int) -> None:
        """Record that the server accepted the keys and now has `uploaded` one-time keys."""
        self.account.shared = True
        self.uploaded_key_count = uploaded
        self.mark_keys_as_published()
        self.save_account()

    def skip_pending_keys(self) -> None:
        """Give up the keys that are not uploaded yet, so that the next ones get other ids."""
        self.mark_keys_as_published()
        self.save_account()

    def _device_keys(self) -> dict[str, Any]:
        keys = {f"curve25519:{self.device_id}": self.sender_key, f"ed25519:{self.device_id}": self.fingerprint}
        return {"algorithms": [OLM, MEGOLM], "device_id": self.device_id, "user_id": self.user_id, "keys": keys}

    def _with_signature(self, value: dict[str, Any]) -> dict[str, Any]:
        return {**value, "signatures": {self.user_id: {f"ed25519:{self.device_id}": self.sign_json(value)}}}
