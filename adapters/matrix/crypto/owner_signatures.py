"""Cross-signing by other users: their keys as the homeserver reports them, and the devices signed with these."""

from dataclasses import dataclass

from adapters.matrix.api.parsing import as_dict, as_text
from adapters.matrix.crypto.machine import HOSTILE_INPUT_ERRORS, OlmMachine
from adapters.matrix.events import Json


@dataclass(frozen=True, slots=True)
class OwnerKeys:
    """The public keys of a user, base64: `master` signs `self_signing`, which signs the user's devices."""

    master: str
    self_signing: str


def parse_owner_keys(machine: OlmMachine, user_id: str, response: Json) -> OwnerKeys | None:
    """The keys of a user in the response to a key query; None when there are none, or the chain is broken."""
    master = as_dict(as_dict(response.get("master_keys")).get(user_id))
    self_signing = as_dict(as_dict(response.get("self_signing_keys")).get(user_id))
    keys = OwnerKeys(_public_key(master), _public_key(self_signing))
    if not keys.master or not keys.self_signing:
        return None
    return keys if _is_signed(machine, self_signing, user_id, keys.master) else None


def is_signed_by(machine: OlmMachine, keys: OwnerKeys, user_id: str, device: Json) -> bool:
    """Whether a device, as the homeserver reports it, is signed with its owner's self-signing key."""
    return _is_signed(machine, device, user_id, keys.self_signing)


def _public_key(key: Json) -> str:
    """The key whose id is its own public part; empty when there is none."""
    keys = as_dict(key.get("keys")).items()
    return next((as_text(public) for name, public in keys if name == f"ed25519:{public}"), "")


def _is_signed(machine: OlmMachine, value: Json, user_id: str, public: str) -> bool:
    try:
        # The id of a cross-signing key is the key itself, where a device's is the device's id.
        return bool(machine.verify_json(dict(value), public, user_id, public))
    except HOSTILE_INPUT_ERRORS:
        return False
