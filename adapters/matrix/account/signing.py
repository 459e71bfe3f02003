"""Matrix signatures: canonical JSON, Ed25519 key pairs, signed objects."""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from Crypto.PublicKey import ECC
from Crypto.Signature import eddsa

from adapters.matrix.events import Json

SEED_BYTES = 32
UNSIGNED_FIELDS = ("signatures", "unsigned")
"""Fields of an object that its signatures do not cover (specification, appendix "Signing JSON")."""


class NotCanonical(ValueError):
    """A value without canonical JSON: it has fractions or invalid Unicode, or is nested too deep."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """An Ed25519 key pair, made from its secret seed of 32 bytes."""

    seed: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.seed) != SEED_BYTES:
            raise ValueError("a seed has 32 bytes")

    @property
    def public_key(self) -> str:
        """The public key, base64 without padding."""
        raw = self._key().public_key().export_key(format="raw")
        assert isinstance(raw, bytes)
        return encode_base64(raw)

    @property
    def key_id(self) -> str:
        """The id of this key in signatures."""
        return key_id(self.public_key)

    def sign(self, text: bytes) -> str:
        """The signature of these bytes, base64 without padding."""
        return encode_base64(eddsa.new(self._key(), "rfc8032").sign(text))

    def _key(self) -> ECC.EccKey:
        return ECC.construct(curve="Ed25519", seed=self.seed)


def key_id(public: str) -> str:
    """The id of a cross-signing key, which is the key itself."""
    return f"ed25519:{public}"


def encode_base64(data: bytes) -> str:
    """Base64 without padding, the standard alphabet."""
    return base64.b64encode(data).decode("ascii").rstrip("=")


def decode_base64(text: str) -> bytes:
    """The bytes of base64, padded or not. Raises ValueError."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise ValueError("not base64") from error


def canonical_json(value: Any) -> bytes:
    """Canonical JSON (specification, appendix "Canonical JSON"). Raises NotCanonical."""
    if not _has_no_fractions(value):
        raise NotCanonical("canonical JSON has integers only")
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True, allow_nan=False)
        return text.encode("utf-8")
    except (UnicodeEncodeError, RecursionError, TypeError) as error:
        raise NotCanonical("it has values that JSON cannot hold, or is nested too deeply") from error


def without_signatures(value: Json) -> dict[str, Any]:
    """An object without the fields that its signatures do not cover."""
    return {key: inner for key, inner in value.items() if key not in UNSIGNED_FIELDS}


def sign_object(value: Json, user_id: str, pair: KeyPair) -> dict[str, Any]:
    """An object with a user's signature as its only one."""
    body = without_signatures(value)
    return {**body, "signatures": {user_id: {pair.key_id: pair.sign(canonical_json(body))}}}


def has_valid_signature(value: Json, user_id: str, public: str, name: str = "") -> bool:
    """Whether an object has a valid signature by a user's public key. `name`: the key's id, if not the key itself."""
    given = _signature(value, user_id, name or key_id(public))
    try:
        key = eddsa.import_public_key(decode_base64(public))
        eddsa.new(key, "rfc8032").verify(canonical_json(without_signatures(value)), decode_base64(given))
    except ValueError:
        return False
    return True


def _signature(value: Json, user_id: str, name: str) -> str:
    signatures = value.get("signatures")
    of_user = signatures.get(user_id) if isinstance(signatures, Mapping) else None
    given = of_user.get(name) if isinstance(of_user, Mapping) else None
    return given if isinstance(given, str) else ""


def _has_no_fractions(value: Any) -> bool:
    """Whether a value holds no fractions. Not recursive: hostile values may be nested deep."""
    open_values = [value]
    while open_values:
        each = open_values.pop()
        if isinstance(each, float):
            return False
        if isinstance(each, Mapping):
            open_values.extend(each.values())
        elif isinstance(each, list | tuple):
            open_values.extend(each)
    return True
