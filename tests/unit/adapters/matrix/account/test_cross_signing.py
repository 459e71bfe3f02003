"""Every situation in which an account's keys can be found, against a homeserver in memory."""

import copy
from typing import Any

import pytest

from adapters.delivery.errors import RateLimited, TransientFailure
from adapters.matrix.account.cross_signing import STATE_SENTENCES, SigningStatus, ensure_signed
from adapters.matrix.account.identity import Identity, new_identity
from adapters.matrix.account.signing import has_valid_signature
from adapters.matrix.homeserver import LoggedOut, RequestRefused
from tests.fakes.key_server import BOT, DEVICE, PASSWORD, DeviceKeys, KeyServer

QUERY, KEYS, SIGNATURES = "query", "device_signing/upload", "signatures/upload"


@pytest.fixture
def keys() -> DeviceKeys:
    return DeviceKeys()


@pytest.fixture
def server(keys: DeviceKeys) -> KeyServer:
    server = KeyServer()
    server.add_device(keys)
    return server


@pytest.fixture
def identity() -> Identity:
    return new_identity(BOT)


def assert_chained(server: KeyServer, identity: Identity, device_id: str = DEVICE) -> None:
    """The homeserver shows device -> self-signing -> master."""
    assert list(server.keys["master_key"]["keys"].values()) == [identity.master.public_key]
    assert has_valid_signature(server.keys["self_signing_key"], BOT, identity.master.public_key)
    assert has_valid_signature(server.keys["user_signing_key"], BOT, identity.master.public_key)
    assert has_valid_signature(server.devices[device_id], BOT, identity.self_signing.public_key)


async def test_the_first_keys_of_an_account_are_uploaded_without_a_password(
    server: KeyServer, keys: DeviceKeys, identity: Identity
) -> None:
    assert await ensure_signed(server, keys, identity) == SigningStatus("signed")
    assert server.calls == [QUERY, KEYS, SIGNATURES, QUERY]
    assert_chained(server, identity)


async def test_a_restart_asks_once_and_uploads_nothing(server: KeyServer, keys: DeviceKeys, identity: Identity) -> None:
    await ensure_signed(server, keys, identity)
    before = copy.deepcopy((server.keys, server.devices))
    server.calls.clear()
    assert (await ensure_signed(server, keys, identity)).is_signed
    assert server.calls == [QUERY]
    assert (server.keys, server.devices) == before


async def test_a_new_device_is_signed_by_the_keys_there_are(
    server: KeyServer, keys: DeviceKeys, identity: Identity
) -> None:
    await ensure_signed(server, keys, identity)
    server.device_id, other = "NEWDEVICE", DeviceKeys(2)
    server.add_device(other, "NEWDEVICE")
    server.calls.clear()
    assert (await ensure_signed(server, other, identity)).is_signed
    assert server.calls == [QUERY, SIGNATURES, QUERY]
    assert_chained(server, identity, "NEWDEVICE")
    assert_chained(server, identity)


async def test_a_signature_that_got_lost_is_made_again(server: KeyServer, keys: DeviceKeys, identity: Identity) -> None:
    await ensure_signed(server, keys, identity)
    server.add_device(keys)
    assert (await ensure_signed(server, keys, identity)).is_signed
    assert_chained(server, identity)


async def test_keys_of_another_program_are_reported_and_left_alone(
    server: KeyServer, keys: DeviceKeys, identity: Identity
) -> None:
    await ensure_signed(server, keys, new_identity(BOT))
    before = copy.deepcopy((server.keys, server.devices))
    server.calls.clear()
    standing = await ensure_signed(server, keys, identity)
    assert standing == SigningStatus("foreign_keys")
    assert "login --again" in str(standing)
    assert server.calls == [QUERY]
    assert (server.keys, server.devices) == before


async def test_lost_keys_are_replaced_with_the_password(
    server: KeyServer, keys: DeviceKeys, identity: Identity
) -> None:
    await ensure_signed(server, keys, new_identity(BOT))
    assert (await ensure_signed(server, keys, identity, PASSWORD)).is_signed
    assert_chained(server, identity)


async def test_a_wrong_password_is_told_and_changes_nothing(
    server: KeyServer, keys: DeviceKeys, identity: Identity
) -> None:
    await ensure_signed(server, keys, new_identity(BOT))
    before = copy.deepcopy((server.keys, server.devices))
    standing = await ensure_signed(server, keys, identity, "wrong")
    assert standing.state == "password_wrong"
    assert "wrong" not in str(standing).replace("password", "")
    assert (server.keys, server.devices) == before


async def test_a_server_that_wants_a_password_for_the_first_keys_gets_it_or_says_so(
    server: KeyServer, keys: DeviceKeys, identity: Identity
) -> None:
    server.asks_first = True
    assert (await ensure_signed(server, keys, identity)).state == "password_needed"
    assert server.keys == {}
    assert (await ensure_signed(server, keys, identity, PASSWORD)).is_signed


@pytest.mark.parametrize(
    "flow",
    [
        {"flows": [{"stages": ["org.matrix.cross_signing_reset"]}], "session": "S1"},
        {"flows": [{"stages": ["m.login.sso"]}, {"stages": ["m.login.password", "m.login.terms"]}]},
        {"flows": None},
        {"flows": [None, 7]},
        {},
    ],
)
async def test_a_server_that_takes_no_password_for_keys_is_told(
    server: KeyServer, keys: DeviceKeys, identity: Identity, flow: dict[str, Any]
) -> None:
    server.asks_first, server.flow = True, flow
    standing = await ensure_signed(server, keys, identity, PASSWORD)
    assert standing.state == "password_not_taken"
    assert "browser" in str(standing)


async def test_half_of_our_keys_is_not_ours(server: KeyServer, keys: DeviceKeys, identity: Identity) -> None:
    await ensure_signed(server, keys, identity)
    del server.keys["self_signing_key"]
    assert (await ensure_signed(server, keys, identity)).state == "foreign_keys"
    assert (await ensure_signed(server, keys, identity, PASSWORD)).is_signed
    assert_chained(server, identity)


async def test_a_self_signing_key_that_the_master_key_did_not_sign_is_not_ours(
    server: KeyServer, keys: DeviceKeys, identity: Identity
) -> None:
    await ensure_signed(server, keys, identity)
    server.keys["self_signing_key"]["signatures"] = {}
    assert (await ensure_signed(server, keys, identity)).state == "foreign_keys"


async def test_a_device_that_the_server_does_not_know_is_not_signed(keys: DeviceKeys, identity: Identity) -> None:
    server = KeyServer()
    assert (await ensure_signed(server, keys, identity)).state == "device_unknown"
    assert server.calls == [QUERY]


@pytest.mark.parametrize("change", [{"keys": {}}, {"keys": []}, {"user_id": "@x:y"}, {"device_id": "OTHER"}])
async def test_a_device_with_other_keys_or_names_than_ours_is_not_signed(
    server: KeyServer, keys: DeviceKeys, identity: Identity, change: dict[str, Any]
) -> None:
    server.devices[DEVICE].update(change)
    assert (await ensure_signed(server, keys, identity)).state == "device_differs"
    assert server.calls == [QUERY]


async def test_the_device_key_is_compared_with_our_own(server: KeyServer, identity: Identity) -> None:
    assert (await ensure_signed(server, DeviceKeys(9), identity)).state == "device_differs"


async def test_failures_in_an_answer_of_200_are_failures(
    server: KeyServer, keys: DeviceKeys, identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = {"failures": {BOT: {DEVICE: {"status": 404, "errcode": "M_NOT_FOUND"}}}}
    monkeypatch.setattr(server, "_upload_signatures", lambda body: failures)
    assert await ensure_signed(server, keys, identity) == SigningStatus("refused", "code M_NOT_FOUND")


async def test_a_signature_that_is_skipped_in_silence_does_not_count(
    server: KeyServer, keys: DeviceKeys, identity: Identity
) -> None:
    server.accepts_nothing = True
    assert await ensure_signed(server, keys, identity) == SigningStatus("refused", "the signature did not arrive")


async def test_a_bad_signature_in_the_place_of_ours_does_not_count(
    server: KeyServer, keys: DeviceKeys, identity: Identity
) -> None:
    await ensure_signed(server, keys, identity)
    server.devices[DEVICE]["signatures"][BOT][identity.self_signing.key_id] = keys.sign(b"something else")
    assert (await ensure_signed(server, keys, identity)).state == "refused"


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"device_keys": None, "master_keys": 7, "failures": []},
        {"device_keys": {BOT: []}},
        {"device_keys": {BOT: {DEVICE: "x"}}, "master_keys": {BOT: {"keys": ["x"]}}},
    ],
)
async def test_nonsense_from_the_server_is_no_device_of_ours(
    server: KeyServer, keys: DeviceKeys, identity: Identity, answer: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_query", lambda body: answer)
    assert (await ensure_signed(server, keys, identity)).state == "device_unknown"


@pytest.mark.parametrize("error", [TransientFailure("status 502"), RateLimited(2.0), LoggedOut(soft=False)])
@pytest.mark.parametrize("path", [QUERY, KEYS, SIGNATURES])
async def test_what_may_pass_is_left_to_the_caller(
    server: KeyServer, keys: DeviceKeys, identity: Identity, error: Exception, path: str
) -> None:
    server.refusing[path] = error
    with pytest.raises(type(error)):
        await ensure_signed(server, keys, identity)
    assert (await ensure_signed(server, keys, identity)).is_signed


@pytest.mark.parametrize("path", [QUERY, KEYS, SIGNATURES])
async def test_an_unforeseen_refusal_is_told_with_its_code(
    server: KeyServer, keys: DeviceKeys, identity: Identity, path: str
) -> None:
    server.refusing[path] = RequestRefused(403, "M_FORBIDDEN", {"error": "no"})
    standing = await ensure_signed(server, keys, identity)
    assert standing.state == "refused"
    assert "M_FORBIDDEN" in str(standing)


def test_every_standing_has_a_sentence() -> None:
    assert all(sentence.endswith(".") for sentence in STATE_SENTENCES.values())
    assert (
        str(SigningStatus("refused", "code X"))
        == "The homeserver did not accept the signature of this device. (code X)"
    )
