import json
import os
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from adapters.matrix.account.identity import VERIFIERS_KEPT, IdentityFile, new_identity
from adapters.matrix.homeserver import MatrixUnusable
from adapters.storage.private_file import write_private_file

USER = "@hearth:home"
KEY = bytes(range(32))
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def file(tmp_path: Path) -> IdentityFile:
    return IdentityFile(tmp_path / "matrix", USER, KEY)


def test_there_is_no_identity_until_one_is_saved(file: IdentityFile) -> None:
    assert file.load() is None


def test_keys_and_verifiers_come_back_as_they_were_saved(file: IdentityFile) -> None:
    identity = new_identity(USER).with_verifier("@ada:home", NOON)
    file.save(identity)
    assert file.load() == identity
    assert len({identity.master.seed, identity.self_signing.seed, identity.user_signing.seed}) == 3


def test_no_two_identities_have_the_same_keys() -> None:
    assert new_identity(USER).master != new_identity(USER).master


def test_the_file_is_private_and_no_key_stands_in_it(file: IdentityFile) -> None:
    identity = new_identity(USER).with_verifier("@ada:home", NOON)
    umask = os.umask(0)
    try:
        file.save(identity)
    finally:
        os.umask(umask)
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.path.parent.stat().st_mode) == 0o700
    text = file.path.read_text()
    for word in ("ada", identity.master.public_key, identity.master.seed.hex()):
        assert word not in text
    assert [path.name for path in file.path.parent.iterdir()] == ["identity.json"]


def _other_sealed(text: str) -> str:
    fields = json.loads(text)
    fields["sealed"] = fields["sealed"][:-6] + "AAAAAA"
    return json.dumps(fields)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[: len(text) // 2],
        lambda text: "[]",
        lambda text: "{}",
        lambda text: text.replace('"version": 1', '"version": 2'),
        lambda text: text.replace('"nonce": "', '"nonce": "!!'),
        lambda text: '{"version": 1, "nonce": 7, "sealed": null}',
        lambda text: "\x00" * len(text),
        _other_sealed,
    ],
)
def test_a_damaged_file_is_refused_with_what_to_do_and_left_alone(
    file: IdentityFile, damage: Callable[[str], str]
) -> None:
    file.save(new_identity(USER))
    damaged = damage(file.path.read_text())
    file.path.write_text(damaged)
    with pytest.raises(MatrixUnusable, match=r"identity\.json.*Put back a copy.*matrix login --again"):
        file.load()
    assert file.path.read_text() == damaged


@pytest.mark.parametrize(("user_id", "key"), [("@other:home", KEY), (USER, bytes(32))])
def test_the_file_of_another_account_or_store_is_refused(file: IdentityFile, user_id: str, key: bytes) -> None:
    file.save(new_identity(USER))
    with pytest.raises(MatrixUnusable, match="another account or store"):
        IdentityFile(file.path.parent, user_id, key).load()


def test_a_file_that_cannot_be_read_or_written_is_told_in_a_sentence(file: IdentityFile) -> None:
    file.path.mkdir(parents=True)
    with pytest.raises(MatrixUnusable, match="cannot be read"):
        file.load()
    with pytest.raises(MatrixUnusable, match="cannot be written"):
        file.save(new_identity(USER))
    assert [path.name for path in file.path.parent.iterdir()] == ["identity.json"]


def test_a_write_that_an_earlier_crash_cut_off_is_no_hindrance(tmp_path: Path) -> None:
    target = tmp_path / "kept"
    write_private_file(target, b"old")
    (tmp_path / "kept.new").write_bytes(b"ol")
    (tmp_path / "kept.new").chmod(0o644)
    write_private_file(target, b"new")
    assert target.read_bytes() == b"new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [target]


def test_who_verifies_again_stands_in_the_list_once_and_the_list_is_bounded() -> None:
    identity = new_identity(USER).with_verifier("@ada:home", NOON).with_verifier("@ben:home", NOON)
    again = identity.with_verifier("@ada:home", NOON + timedelta(days=1))
    assert [each.user_id for each in again.verifiers] == ["@ben:home", "@ada:home"]
    for number in range(VERIFIERS_KEPT + 5):
        again = again.with_verifier(f"@user{number}:home", NOON)
    assert len(again.verifiers) == VERIFIERS_KEPT
    assert again.verifiers[-1].user_id == f"@user{VERIFIERS_KEPT + 4}:home"
