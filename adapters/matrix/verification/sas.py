"""One verification by emoji as the side that is asked, without sending anything: steps in, steps out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Literal

import vodozemac

from adapters.matrix.account.signing import NotCanonical, canonical, key_id, unpadded
from adapters.matrix.events import Json
from adapters.matrix.verification.messages import Place, device_of, offers, text

METHOD = "m.sas.v1"
AGREEMENT, HASH, MAC = "curve25519-hkdf-sha256", "sha256", "hkdf-hmac-sha256.v2"
CODES: Mapping[str, str] = {
    "m.invalid_message": "A message of this verification is malformed.",
    "m.key_mismatch": "The keys are not those that were expected.",
    "m.timeout": "The verification took too long.",
    "m.unexpected_message": "A message of this verification came out of order.",
    "m.unknown_method": "Hearth verifies by emoji only.",
    "m.unknown_transaction": "Hearth does not know this verification.",
    "m.user": "Hearth takes no part in this verification.",
    "m.user_mismatch": "Another device than the one that asked goes on with this verification.",
}
Phase = Literal["asked", "agreed", "shown", "confirmed", "over"]
EXPECTED: Mapping[str, Phase] = {"start": "asked", "key": "agreed", "mac": "shown", "done": "confirmed"}
"""The phase in which each step of the other side belongs."""


@dataclass(frozen=True, slots=True)
class Ours:
    """Our own side. `master`: the public master key, empty while the homeserver does not show it."""

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
class Shown:
    """What both sides compare: the numbers of seven emoji, none when the other side shows numbers only, and three
    numbers of four digits.
    """

    emoji: tuple[int, ...]
    decimals: tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a step leads to: steps to send (kind and content), what to show, and whether they have verified us."""

    steps: Sequence[tuple[str, dict[str, Any]]] = ()
    shown: Shown | None = None
    verified: bool = False


class _Broken(Exception):
    """The verification cannot go on; the argument is the code that says why."""


def cancel(code: str) -> tuple[str, dict[str, Any]]:
    """The step that ends a verification."""
    return "cancel", {"code": code, "reason": CODES[code]}


class Verification:
    """One verification. `requested`: it began with a request and so ends with `done`; older clients begin with
    `start`.
    """

    def __init__(self, ours: Ours, place: Place, device_id: str, *, requested: bool) -> None:
        self._ours = ours
        self._place = place
        self.device_id = device_id
        self._requested = requested
        self._phase: Phase = "asked"
        self._taken: dict[str, bytes] = {}
        self._sas = vodozemac.Sas()
        self._public = self._sas.public_key.to_base64()
        self._established: vodozemac.EstablishedSas | None = None
        self._shows_emoji = False

    @property
    def is_over(self) -> bool:
        """Whether nothing more belongs to it."""
        return self._phase == "over"

    def ready(self) -> Answer:
        """Our answer to the request."""
        return Answer((("ready", {"from_device": self._ours.device_id, "methods": [METHOD]}),))

    def take(self, kind: str, content: Json, known: Mapping[str, str] | None = None) -> Answer:
        """The other side's next step. `known`: their keys by id as the homeserver has them, needed for `mac`.

        A step that was taken already leads to nothing when it says the same; any other disorder ends it all.
        """
        if self.is_over:
            return Answer()
        if kind == "cancel":
            self._phase = "over"
            return Answer()
        try:
            fingerprint = sha256(canonical(content)).digest()
            if self._taken.get(kind) == fingerprint:
                return Answer()
            if EXPECTED.get(kind) != self._phase:
                raise _Broken("m.unexpected_message")
            self._taken[kind] = fingerprint
            return self._moved(kind, content, known or {})
        except _Broken as broken:
            return self.give_up(str(broken))
        except (NotCanonical, ValueError):
            return self.give_up("m.invalid_message")

    def give_up(self, code: str) -> Answer:
        """End it, and say why."""
        self._phase = "over"
        return Answer((cancel(code),))

    def _moved(self, kind: str, content: Json, known: Mapping[str, str]) -> Answer:
        if kind == "start":
            return self._started(content)
        if kind == "key":
            return self._keyed(content)
        if kind == "mac":
            return self._confirmed(content, known)
        self._phase = "over"
        return Answer(verified=True)

    def _started(self, content: Json) -> Answer:
        if device_of(content) != self.device_id:
            raise _Broken("m.user_mismatch")
        wanted = (
            ("key_agreement_protocols", AGREEMENT),
            ("hashes", HASH),
            ("message_authentication_codes", MAC),
            ("short_authentication_string", "decimal"),
        )
        if content.get("method") != METHOD or not all(offers(content, key, value) for key, value in wanted):
            raise _Broken("m.unknown_method")
        self._shows_emoji = offers(content, "short_authentication_string", "emoji")
        self._phase = "agreed"
        accept = {
            "method": METHOD,
            "key_agreement_protocol": AGREEMENT,
            "hash": HASH,
            "message_authentication_code": MAC,
            "short_authentication_string": ["decimal", "emoji"] if self._shows_emoji else ["decimal"],
            "commitment": unpadded(sha256(self._public.encode() + canonical(content)).digest()),
        }
        return Answer((("accept", accept),))

    def _keyed(self, content: Json) -> Answer:
        theirs = text(content, "key")
        self._established = self._sas.diffie_hellman(vodozemac.Curve25519PublicKey.from_base64(theirs))
        self._phase = "shown"
        # Who sent `start` comes first (specification, "HKDF calculation").
        sides = ((self._place.user_id, self.device_id, theirs), (*self._us, self._public))
        parts = ["MATRIX_KEY_VERIFICATION_SAS", *(part for side in sides for part in side), self._place.transaction]
        string = self._established.bytes("|".join(parts))
        emoji = tuple(string.emoji_indices) if self._shows_emoji else ()
        return Answer((("key", {"key": self._public}),), Shown(emoji, string.decimals))

    def _confirmed(self, content: Json, known: Mapping[str, str]) -> Answer:
        self._check(content, known)
        steps = [("mac", self._macs())]
        if self._requested:
            self._phase = "confirmed"
            return Answer((*steps, ("done", {})))
        self._phase = "over"
        return Answer(steps, verified=True)

    def _check(self, content: Json, known: Mapping[str, str]) -> None:
        """Their MACs must be right for every key that we know, their device's among them; what else they name is
        theirs to know.
        """
        macs = content.get("mac")
        if not isinstance(macs, Mapping) or not all(isinstance(value, str) for value in macs.values()):
            raise _Broken("m.invalid_message")
        if f"ed25519:{self.device_id}" not in macs.keys() & known.keys():
            raise _Broken("m.key_mismatch")
        self._verify(",".join(sorted(macs)), "KEY_IDS", text(content, "keys"))
        for name in macs.keys() & known.keys():
            self._verify(known[name], name, macs[name])

    def _verify(self, value: str, name: str, mac: str) -> None:
        info = self._info((self._place.user_id, self.device_id), self._us, name)
        try:
            self._agreed.verify_mac(value, info, mac)
        except ValueError as error:
            raise _Broken("m.key_mismatch") from error

    def _macs(self) -> dict[str, Any]:
        """Our own keys, vouched for by what only the two sides know."""
        keys, theirs = self._ours.keys, (self._place.user_id, self.device_id)

        def mac(value: str, name: str) -> str:
            return self._agreed.calculate_mac(value, self._info(self._us, theirs, name))

        macs = {name: mac(public, name) for name, public in keys.items()}
        return {"mac": macs, "keys": mac(",".join(sorted(keys)), "KEY_IDS")}

    def _info(self, sender: tuple[str, str], receiver: tuple[str, str], name: str) -> str:
        return "".join(("MATRIX_KEY_VERIFICATION_MAC", *sender, *receiver, self._place.transaction, name))

    @property
    def _us(self) -> tuple[str, str]:
        return self._ours.user_id, self._ours.device_id

    @property
    def _agreed(self) -> vodozemac.EstablishedSas:
        assert self._established is not None
        return self._established
