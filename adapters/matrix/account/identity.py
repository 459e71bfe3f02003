"""The account's own cross-signing keys and the users who verified them, in one encrypted file."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from Crypto.Cipher import AES
from Crypto.Hash import SHA256
from Crypto.Protocol.KDF import HKDF

from adapters.matrix.account.signing import SEED_BYTES, KeyPair, canonical_json, decode_base64, encode_base64
from adapters.matrix.credentials import Credentials
from adapters.matrix.homeserver import MatrixUnusable
from adapters.storage.private_file import write_private_file

FILE_NAME = "identity.json"
VERSION = 1
HKDF_CONTEXT = b"hearth matrix identity 1"
NONCE_BYTES = 12
TAG_BYTES = 16
VERIFIERS_KEPT = 100


@dataclass(frozen=True, slots=True)
class Verifier:
    """A user who has compared emoji with us, and the time."""

    user_id: str
    verified_at: datetime


@dataclass(frozen=True, slots=True)
class Identity:
    """Three key pairs of one account: the master key signs the other two, the self-signing key our devices, the
    user-signing key no user yet. `verifiers`: oldest first.
    """

    user_id: str
    master: KeyPair
    self_signing: KeyPair
    user_signing: KeyPair
    verifiers: tuple[Verifier, ...] = ()

    def with_verifier(self, user_id: str, at: datetime) -> "Identity":
        """The same keys, with one more verifier."""
        others = [each for each in self.verifiers if each.user_id != user_id]
        return replace(self, verifiers=(*others, Verifier(user_id, at))[-VERIFIERS_KEPT:])


def new_identity(user_id: str) -> Identity:
    """New random keys for a user."""
    master, self_signing, user_signing = (KeyPair(secrets.token_bytes(SEED_BYTES)) for _ in range(3))
    return Identity(user_id, master, self_signing, user_signing)


class IdentityFile:
    """The file with the keys, encrypted with the store's key."""

    def __init__(self, folder: Path, user_id: str, store_key: bytes) -> None:
        self.path = folder / FILE_NAME
        self._user_id = user_id
        key = HKDF(store_key, 32, b"", SHA256, 1, HKDF_CONTEXT)
        assert isinstance(key, bytes)
        self._key = key

    @classmethod
    def for_account(cls, folder: Path, credentials: Credentials) -> "IdentityFile":
        """The file of the account with these credentials."""
        return cls(folder, credentials.user_id, decode_base64(credentials.store_key))

    def load(self) -> Identity | None:
        """The saved identity; None when none was ever saved. Raises MatrixUnusable when it cannot be read."""
        try:
            text = self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise MatrixUnusable(f"{self.path} cannot be read: {error.strerror}.") from error
        try:
            return self._decrypt(text)
        except (ValueError, KeyError, TypeError) as error:
            raise MatrixUnusable(
                f"{self.path}, which holds this account's own keys, is damaged or belongs to another account or store."
                " Put back a copy of the whole folder; or move this file away and run `hearth matrix login --again`,"
                " which makes new keys: people who verified Hearth are then warned and have to verify it again."
            ) from error

    def save(self, identity: Identity) -> None:
        """Save an identity; it is on disk when this returns. Raises MatrixUnusable."""
        try:
            write_private_file(self.path, self._encrypt(identity))
        except OSError as error:
            raise MatrixUnusable(f"{self.path} cannot be written: {error.strerror}.") from error

    def _encrypt(self, identity: Identity) -> bytes:
        nonce = secrets.token_bytes(NONCE_BYTES)
        cipher = AES.new(self._key, AES.MODE_GCM, nonce=nonce, mac_len=TAG_BYTES)
        cipher.update(self._associated_data())
        sealed, tag = cipher.encrypt_and_digest(json.dumps(_fields(identity)).encode())
        outer = {"version": VERSION, "nonce": encode_base64(nonce), "sealed": encode_base64(sealed + tag)}
        return json.dumps(outer, indent=1).encode() + b"\n"

    def _decrypt(self, text: bytes) -> Identity:
        outer = json.loads(text)
        if outer["version"] != VERSION:
            raise ValueError("another version")
        sealed = decode_base64(outer["sealed"])
        cipher = AES.new(self._key, AES.MODE_GCM, nonce=decode_base64(outer["nonce"]), mac_len=TAG_BYTES)
        cipher.update(self._associated_data())
        return _identity(json.loads(cipher.decrypt_and_verify(sealed[:-TAG_BYTES], sealed[-TAG_BYTES:])))

    def _associated_data(self) -> bytes:
        """Binds the sealed part to its account: in another account's folder it cannot be decrypted."""
        return canonical_json({"user_id": self._user_id, "version": VERSION})


def _fields(identity: Identity) -> dict[str, Any]:
    return {
        "user_id": identity.user_id,
        "master": encode_base64(identity.master.seed),
        "self_signing": encode_base64(identity.self_signing.seed),
        "user_signing": encode_base64(identity.user_signing.seed),
        "verifiers": [{"user_id": each.user_id, "at": each.verified_at.isoformat()} for each in identity.verifiers],
    }


def _identity(fields: Mapping[str, Any]) -> Identity:
    return Identity(
        fields["user_id"],
        master=_pair(fields["master"]),
        self_signing=_pair(fields["self_signing"]),
        user_signing=_pair(fields["user_signing"]),
        verifiers=tuple(Verifier(each["user_id"], datetime.fromisoformat(each["at"])) for each in fields["verifiers"]),
    )


def _pair(seed: str) -> KeyPair:
    return KeyPair(decode_base64(seed))
