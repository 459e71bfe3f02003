"""The adapter starts only from a login, says what is missing, and names the account once."""

from pathlib import Path

import pytest

from adapters.delivery.errors import TransientFailure
from adapters.matrix.account.profile import ensure_display_name
from adapters.matrix.adapter import FOLDER, MatrixAdapter
from adapters.matrix.credentials import Credentials, new_store_key, save_credentials
from adapters.matrix.homeserver import LoggedOut, MatrixUnusable, RequestRefused
from adapters.matrix.settings import MatrixSettings
from adapters.matrix.sync.direct_rooms import find_direct_room
from adapters.matrix.sync.sync_state import SyncState
from tests.fakes.inbox import FakeInbox
from tests.fakes.wire import ALICE, ME, ROOM, FakeHomeserver

NAME = f"/v3/profile/{ME.replace('@', '%40').replace(':', '%3A')}/displayname"
TOKEN = "syt_a_secret"


async def test_without_a_login_it_says_what_to_do(tmp_path: Path) -> None:
    adapter = MatrixAdapter(MatrixSettings(), tmp_path)
    assert await adapter.health("en") == ()
    with pytest.raises(MatrixUnusable, match="hearth matrix login"):
        await adapter.run(FakeInbox())
    await adapter.close()


async def test_without_its_keys_it_does_not_make_new_ones_and_tells_no_secret(tmp_path: Path) -> None:
    key = new_store_key()
    save_credentials(tmp_path / FOLDER, Credentials("http://127.0.0.1:1", ME, "DEVICE", TOKEN, key))
    adapter = MatrixAdapter(MatrixSettings(), tmp_path)
    with pytest.raises(MatrixUnusable) as raised:
        await adapter.run(FakeInbox())
    await adapter.close()
    assert TOKEN not in str(raised.value)
    assert key not in str(raised.value)
    assert {path.name for path in (tmp_path / FOLDER).iterdir()} <= {"credentials.json", "keys.lock"}


@pytest.mark.parametrize(
    "answer", [{}, {"displayname": ""}, {"displayname": None}, RequestRefused(404, "M_NOT_FOUND", {})]
)
async def test_an_account_without_a_name_is_given_one(answer: object) -> None:
    wire = FakeHomeserver()
    wire.answers["GET", NAME] = answer  # type: ignore[assignment]
    wire.answers["PUT", NAME] = {}
    await ensure_display_name(wire, "Hearth")
    assert wire.calls[-1] == ("PUT", NAME, {"displayname": "Hearth"})


async def test_an_account_that_has_a_name_keeps_it() -> None:
    wire = FakeHomeserver()
    wire.answers["GET", NAME] = {"displayname": "Butler"}
    await ensure_display_name(wire, "Hearth")
    assert [method for method, *_ in wire.calls] == ["GET"]


@pytest.mark.parametrize("error", [TransientFailure("502"), RequestRefused(403, "M_FORBIDDEN", {})])
async def test_that_a_name_cannot_be_given_stops_nothing(error: Exception) -> None:
    wire = FakeHomeserver()
    wire.answers["GET", NAME] = error
    await ensure_display_name(wire, "Hearth")
    wire.answers["GET", NAME] = LoggedOut(soft=False)
    with pytest.raises(LoggedOut):
        await ensure_display_name(wire, "Hearth")


async def test_a_direct_chat_with_somebody_is_one_with_nobody_else(tmp_path: Path) -> None:
    wire, marks = FakeHomeserver(), SyncState(tmp_path)
    wire.add_room(ROOM, ALICE, "@ben:x", names={ALICE: "Alice"})
    wire.add_room("!chat:x", ALICE, names={ALICE: "Alice"})
    for room_id in ("!gone:x", "!chat:x", ROOM):
        marks.mark_read(room_id, "$1")
    assert find_direct_room(wire, marks, ALICE) == "!chat:x"
    assert find_direct_room(wire, marks, "@ben:x") == ""
    await marks.close()
