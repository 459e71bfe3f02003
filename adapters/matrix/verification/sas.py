"""State machine of one emoji verification (SAS), responder side: steps in, steps out, no I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Literal

import vodozemac

from adapters.matrix.account.signing import NotCanonical, canonical_json, encode_base64, key_id
from adapters.matrix.events import Json
from adapters.matrix.verification.messages import FlowId, list_contains, require_device, require_text

METHOD = "m.sas.v1"
AGREEMENT, HASH, MAC = "curve25519-hkdf-sha256", "sha256", "hkdf-hmac-sha256.v2"
CANCEL_REASONS: Mapping[str, str] = {
    "m.invalid_message": "A message of this verification is malformed.",
    "m.key_mismatch": "The keys are not the expected ones.",
    "m.timeout": "The verification took too long.",
    "m.unexpected_message": "A message of this verification came out of order.",
    "m.unknown_method": "Hearth verifies by emoji only.",
    "m.unknown_transaction": "Hearth does not know this verification.",
    "m.user": "Hearth does not take part in this verification.",
    "m.user_mismatch": "A device other than the requesting one continued this verification.",
}
Phase = Literal["asked", "agreed", "shown", "confirmed", "over"]
EXPECTED_PHASES: Mapping[str, Phase] = {"start": "asked", "key": "agreed", "mac": "shown", "done": "confirmed"}
"""The phase in which each step of the other side is expected."""


@dataclass(frozen=True, slots=True)
class OwnDeviceKeys:
    """Our own ids and keys. `master`: the public master key, empty while the homeserver does not confirm it."""

    user_id: str
    device_id: str
    fingerprint: str
    master: str

    @property
    def keys(self) -> dict[str, str]:
        """The keys that we vouch for, by their ids."""
        master = {key_id(self.master): self.master} if self.master else {}
        return {f"ed25519:{self.device_id}": self.fingerprint, **master}


@dataclass(frozen=True, slots=True)
class ShortAuthString:
    """The short authentication string that both sides compare: the numbers of seven emoji, none if the other side
    shows numbers only, and three numbers of four digits.
    """

    emoji: tuple[int, ...]
    decimals: tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class StepResult:
    """Result of a step: steps to send (kind and content), a string to show, and whether we are now verified."""

    steps: Sequence[tuple[str, dict[str, Any]]] = ()
    short_auth_string: ShortAuthString | None = None
    verified: bool = False


class _ProtocolError(Exception):
    """The verification must be cancelled; the argument is the cancel code."""


def cancel_step(code: str) -> tuple[str, dict[str, Any]]:
    """The step that cancels a verification."""
    return "cancel", {"code": code, "reason": CANCEL_REASONS[code]}


class SasVerification:
    """One verification. `requested`: it started with a request and thus ends with `done`; older clients send `start`
    first.
    """

    def __init__(self, own_keys: OwnDeviceKeys, flow: FlowId, device_id: str, *, requested: bool) -> None:
        self._own_keys = own_keys
        self._flow = flow
        self.device_id = device_id
        self._requested = requested
        self._phase: Phase = "asked"
        self._seen_steps: dict[str, bytes] = {}
        self._sas = vodozemac.Sas()
        self._public = self._sas.public_key.to_base64()
        self._established: vodozemac.EstablishedSas | None = None
        self._shows_emoji = False

    @property
    def is_over(self) -> bool:
        """Whether the verification has ended."""
        return self._phase == "over"

    def accept_request(self) -> StepResult:
        """Our response to the request."""
        return StepResult((("ready", {"from_device": self._own_keys.device_id, "methods": [METHOD]}),))

    def take_step(self, kind: str, content: Json, known: Mapping[str, str] | None = None) -> StepResult:
        """Process the other side's next step. `known`: their keys by id from the homeserver, needed for `mac`.

        An identical repetition of a step has no effect; any other step out of order cancels the verification.
        """
        if self.is_over:
            return StepResult()
        if kind == "cancel":
            self._phase = "over"
            return StepResult()
        try:
            fingerprint = sha256(canonical_json(content)).digest()
            if self._seen_steps.get(kind) == fingerprint:
                return StepResult()
            if EXPECTED_PHASES.get(kind) != self._phase:
                raise _ProtocolError("m.unexpected_message")
            self._seen_steps[kind] = fingerprint
            return self._advance(kind, content, known or {})
        except _ProtocolError as error:
            return self.cancel_with(str(error))
        except (NotCanonical, ValueError):
            return self.cancel_with("m.invalid_message")

    def cancel_with(self, code: str) -> StepResult:
        """Cancel the verification with a code."""
        self._phase = "over"
        return StepResult((cancel_step(code),))

    def _advance(self, kind: str, content: Json, known: Mapping[str, str]) -> StepResult:
        if kind == "start":
            return self._take_start(content)
        if kind == "key":
            return self._take_key(content)
        if kind == "mac":
            return self._take_mac(content, known)
        self._phase = "over"
        return StepResult(verified=True)

    def _take_start(self, content: Json) -> StepResult:
        if require_device(content) != self.device_id:
            raise _ProtocolError("m.user_mismatch")
        wanted = (
            ("key_agreement_protocols", AGREEMENT),
            ("hashes", HASH),
            ("message_authentication_codes", MAC),
            ("short_authentication_string", "decimal"),
        )
        if content.get("method") != METHOD or not all(list_contains(content, key, value) for key, value in wanted):
            raise _ProtocolError("m.unknown_method")
        self._shows_emoji = list_contains(content, "short_authentication_string", "emoji")
        self._phase = "agreed"
        accept = {
            "method": METHOD,
            "key_agreement_protocol": AGREEMENT,
            "hash": HASH,
            "message_authentication_code": MAC,
            "short_authentication_string": ["decimal", "emoji"] if self._shows_emoji else ["decimal"],
            "commitment": encode_base64(sha256(self._public.encode() + canonical_json(content)).digest()),
        }
        return StepResult((("accept", accept),))

    def _take_key(self, content: Json) -> StepResult:
        their_key = require_text(content, "key")
        self._established = self._sas.diffie_hellman(vodozemac.Curve25519PublicKey.from_base64(their_key))
        self._phase = "shown"
        # The sender of `start` comes first (specification, "HKDF calculation").
        sides = ((self._flow.user_id, self.device_id, their_key), (*self._own_ids, self._public))
        parts = ["MATRIX_KEY_VERIFICATION_SAS", *(part for side in sides for part in side), self._flow.transaction_id]
        string = self._established.bytes("|".join(parts))
        emoji = tuple(string.emoji_indices) if self._shows_emoji else ()
        return StepResult((("key", {"key": self._public}),), ShortAuthString(emoji, string.decimals))

    def _take_mac(self, content: Json, known: Mapping[str, str]) -> StepResult:
        self._check_macs(content, known)
        steps = [("mac", self._mac_content())]
        if self._requested:
            self._phase = "confirmed"
            return StepResult((*steps, ("done", {})))
        self._phase = "over"
        return StepResult(steps, verified=True)

    def _check_macs(self, content: Json, known: Mapping[str, str]) -> None:
        """Require a valid MAC for every known key, the device's among them; MACs of unknown keys are ignored."""
        macs = content.get("mac")
        if not isinstance(macs, Mapping) or not all(isinstance(value, str) for value in macs.values()):
            raise _ProtocolError("m.invalid_message")
        if f"ed25519:{self.device_id}" not in macs.keys() & known.keys():
            raise _ProtocolError("m.key_mismatch")
        self._verify_mac(",".join(sorted(macs)), "KEY_IDS", require_text(content, "keys"))
        for name in macs.keys() & known.keys():
            self._verify_mac(known[name], name, macs[name])

    def _verify_mac(self, value: str, name: str, mac: str) -> None:
        info = self._mac_info((self._flow.user_id, self.device_id), self._own_ids, name)
        try:
            self._established_sas.verify_mac(value, info, mac)
        except ValueError as error:
            raise _ProtocolError("m.key_mismatch") from error

    def _mac_content(self) -> dict[str, Any]:
        """Our own keys, authenticated with the secret shared by the two sides."""
        keys, their_ids = self._own_keys.keys, (self._flow.user_id, self.device_id)

        def mac(value: str, name: str) -> str:
            return self._established_sas.calculate_mac(value, self._mac_info(self._own_ids, their_ids, name))

        macs = {name: mac(public, name) for name, public in keys.items()}
        return {"mac": macs, "keys": mac(",".join(sorted(keys)), "KEY_IDS")}

    def _mac_info(self, sender: tuple[str, str], receiver: tuple[str, str], name: str) -> str:
        return "".join(("MATRIX_KEY_VERIFICATION_MAC", *sender, *receiver, self._flow.transaction_id, name))

    @property
    def _own_ids(self) -> tuple[str, str]:
        return self._own_keys.user_id, self._own_keys.device_id

    @property
    def _established_sas(self) -> vodozemac.EstablishedSas:
        assert self._established is not None
        return self._established
