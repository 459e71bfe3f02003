"""One verification, step by step, against a client written on its own; nothing is sent."""

from collections.abc import Callable
from typing import Any

import pytest

from adapters.matrix.account.signing import KeyPair
from adapters.matrix.verification.messages import FlowId
from adapters.matrix.verification.sas import CANCEL_REASONS, OwnDeviceKeys, SasVerification, StepResult
from tests.fakes.asking_side import ADA, DEVICE, START, VerifyingClient

BOT, BOT_DEVICE, TRANSACTION = "@hearth:home", "HEARTHDEV", "t1"
FINGERPRINT, MASTER = KeyPair(bytes([1]) * 32).public_key, KeyPair(bytes([2]) * 32).public_key
OURS = OwnDeviceKeys(BOT, BOT_DEVICE, FINGERPRINT, MASTER)
KNOWN_OF_US = {f"ed25519:{BOT_DEVICE}": FINGERPRINT, f"ed25519:{MASTER}": MASTER}
Change = Callable[[dict[str, Any]], dict[str, Any]]


class Pair:
    """Both sides of one verification."""

    def __init__(self, ours: OwnDeviceKeys = OURS, *, requested: bool = True) -> None:
        self.ada = VerifyingClient(BOT, BOT_DEVICE, TRANSACTION, {"transaction_id": TRANSACTION})
        self.bot = SasVerification(ours, FlowId(ADA, TRANSACTION), DEVICE, requested=requested)
        self.known = {
            f"ed25519:{DEVICE}": self.ada.pair.public_key,
            self.ada.master.key_id: self.ada.master.public_key,
        }

    def start(self) -> StepResult:
        answer = self.bot.take_step("start", self.ada.start())
        self.ada.accepted(only(answer, "accept"))
        return answer

    def key(self) -> StepResult:
        answer = self.bot.take_step("key", self.ada.key())
        self.ada.keyed(only(answer, "key"))
        return answer

    def until(self, kind: str) -> "Pair":
        """All steps before one."""
        for name in ("start", "key"):
            if name == kind:
                return self
            getattr(self, name)()
        if kind == "done":
            self.bot.take_step("mac", self.ada.mac(), self.known)
        return self


def only(answer: StepResult, kind: str) -> dict[str, Any]:
    ((given, content),) = answer.steps
    assert given == kind
    return content


def code(answer: StepResult) -> str:
    content = only(answer, "cancel")
    assert content["reason"] == CANCEL_REASONS[content["code"]]
    return str(content["code"])


def test_both_sides_see_the_same_and_vouch_for_their_keys() -> None:
    pair = Pair()
    assert only(pair.bot.accept_request(), "ready") == {"from_device": BOT_DEVICE, "methods": ["m.sas.v1"]}
    pair.start()
    shown = pair.key().short_auth_string
    assert shown is not None
    assert (shown.emoji, shown.decimals) == (pair.ada.emoji, pair.ada.decimals)
    assert len(shown.emoji) == 7
    answer = pair.bot.take_step("mac", pair.ada.mac(), pair.known)
    assert [kind for kind, _ in answer.steps] == ["mac", "done"]
    assert pair.ada.confirmed(answer.steps[0][1], KNOWN_OF_US) == set(KNOWN_OF_US)
    assert not answer.verified
    assert pair.bot.take_step("done", pair.ada.done()) == StepResult(verified=True)
    assert pair.bot.is_over


def test_a_verification_that_began_with_start_ends_with_the_macs() -> None:
    pair = Pair(requested=False).until("mac")
    answer = pair.bot.take_step("mac", pair.ada.mac(), pair.known)
    assert [kind for kind, _ in answer.steps] == ["mac"]
    assert answer.verified
    assert pair.bot.is_over


def test_a_master_key_that_the_server_does_not_show_is_not_vouched_for() -> None:
    pair = Pair(OwnDeviceKeys(BOT, BOT_DEVICE, FINGERPRINT, "")).until("mac")
    answer = pair.bot.take_step("mac", pair.ada.mac(), pair.known)
    assert pair.ada.confirmed(answer.steps[0][1], KNOWN_OF_US) == {f"ed25519:{BOT_DEVICE}"}


def test_who_shows_numbers_only_gets_numbers_only() -> None:
    pair = Pair()
    answer = pair.bot.take_step("start", pair.ada.start(short_authentication_string=["decimal"]))
    assert only(answer, "accept")["short_authentication_string"] == ["decimal"]
    pair.ada.accepted(only(answer, "accept"))
    shown = pair.key().short_auth_string
    assert shown is not None
    assert (shown.emoji, shown.decimals) == ((), pair.ada.decimals)


@pytest.mark.parametrize(
    "change",
    [
        {"method": "m.reciprocate.v1"},
        {"method": None},
        {"key_agreement_protocols": ["curve25519"]},
        {"hashes": []},
        {"hashes": "sha256"},
        {"message_authentication_codes": ["hkdf-hmac-sha256"]},
        {"short_authentication_string": ["emoji"]},
        {"short_authentication_string": {"decimal": 1}},
    ],
)
def test_a_start_that_offers_nothing_we_know_ends_it(change: dict[str, Any]) -> None:
    pair = Pair()
    assert code(pair.bot.take_step("start", pair.ada.start(**change))) == "m.unknown_method"
    assert pair.bot.is_over


def test_another_device_than_the_one_that_asked_does_not_go_on() -> None:
    pair = Pair()
    assert code(pair.bot.take_step("start", pair.ada.start(from_device="OTHER"))) == "m.user_mismatch"


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("start", {**START}),
        ("start", {**START, "from_device": 7}),
        ("start", {**START, "from_device": DEVICE, "age": 0.5}),
        ("start", {**START, "from_device": DEVICE, "x": "\ud800"}),
        ("key", {}),
        ("key", {"key": ["x"]}),
        ("key", {"key": "no key"}),
        ("key", {"key": "A" * 43}),
        ("key", {"key": "\ud800"}),
        ("mac", {}),
        ("mac", {"mac": [], "keys": "x"}),
        ("mac", {"mac": {"ed25519:ADASPHONE": 7}, "keys": "x"}),
    ],
)
def test_a_malformed_step_ends_it(kind: str, content: dict[str, Any]) -> None:
    pair = Pair().until(kind)
    assert code(pair.bot.take_step(kind, content, pair.known)) == "m.invalid_message"
    assert pair.bot.is_over


@pytest.mark.parametrize("at", ["start", "key", "mac", "done"])
@pytest.mark.parametrize("kind", ["start", "key", "mac", "done", "ready", "accept", "request", "nonsense", ""])
def test_a_step_out_of_order_ends_it(at: str, kind: str) -> None:
    if kind == at:
        return
    pair = Pair().until(at)
    answer = pair.bot.take_step(kind, {"transaction_id": TRANSACTION, "something": "else"}, pair.known)
    assert code(answer) == "m.unexpected_message"
    assert not answer.verified
    assert pair.bot.take_step(at, {}) == StepResult()


@pytest.mark.parametrize("at", ["key", "mac", "done"])
def test_a_step_that_comes_twice_is_answered_once(at: str) -> None:
    pair = Pair().until(at)
    again = {"key": pair.ada.start, "mac": pair.ada.key, "done": pair.ada.mac}[at]()
    assert pair.bot.take_step({"key": "start", "mac": "key", "done": "mac"}[at], again, pair.known) == StepResult()
    assert not pair.bot.is_over


def _without_device(content: dict[str, Any]) -> dict[str, Any]:
    return {**content, "mac": {name: mac for name, mac in content["mac"].items() if DEVICE not in name}}


def _with_wrong_keys(content: dict[str, Any]) -> dict[str, Any]:
    return {**content, "keys": content["mac"][f"ed25519:{DEVICE}"]}


def _with_wrong_device(content: dict[str, Any]) -> dict[str, Any]:
    return {**content, "mac": {**content["mac"], f"ed25519:{DEVICE}": content["keys"]}}


def _with_wrong_master(content: dict[str, Any]) -> dict[str, Any]:
    return {
        **content,
        "mac": {name: content["keys"] if DEVICE not in name else mac for name, mac in content["mac"].items()},
    }


def _with_one_more(content: dict[str, Any]) -> dict[str, Any]:
    return {**content, "mac": {**content["mac"], "ed25519:zzz": content["keys"]}}


def _with_no_base64(content: dict[str, Any]) -> dict[str, Any]:
    return {**content, "keys": "é"}


@pytest.mark.parametrize(
    "change",
    [
        _without_device,
        _with_wrong_keys,
        _with_wrong_device,
        _with_wrong_master,
        _with_one_more,
        _with_no_base64,
    ],
)
def test_macs_that_do_not_fit_verify_nothing(change: Change) -> None:
    pair = Pair().until("mac")
    answer = pair.bot.take_step("mac", change(pair.ada.mac()), pair.known)
    assert code(answer) == "m.key_mismatch"
    assert pair.bot.take_step("done", pair.ada.done()) == StepResult()


def test_a_device_that_the_server_does_not_know_verifies_nothing() -> None:
    pair = Pair().until("mac")
    assert code(pair.bot.take_step("mac", pair.ada.mac(), {})) == "m.key_mismatch"


def test_keys_that_the_server_has_otherwise_verify_nothing() -> None:
    pair = Pair().until("mac")
    known = {**pair.known, f"ed25519:{DEVICE}": MASTER}
    assert code(pair.bot.take_step("mac", pair.ada.mac(), known)) == "m.key_mismatch"


@pytest.mark.parametrize("at", ["start", "key", "mac", "done"])
def test_a_cancelled_verification_is_over_without_a_word(at: str) -> None:
    pair = Pair().until(at)
    assert pair.bot.take_step("cancel", {"code": "m.user"}) == StepResult()
    assert pair.bot.is_over
