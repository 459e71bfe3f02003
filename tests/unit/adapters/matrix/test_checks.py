"""The doctor's checks of Matrix that ask no homeserver."""

from pathlib import Path

import pytest

from adapters.matrix.adapter import FOLDER
from adapters.matrix.checks import check_account
from adapters.matrix.settings import MatrixSettings
from adapters.matrix.sync.sync_state import SyncState
from adapters.platform import CheckContext
from deploy.dev.homeserver import Account
from tests.fakes.matrix_resident import log_in

OLD, NEW = "!old:home.example", "!new:home.example"


@pytest.mark.parametrize(
    ("readers", "warned"),
    [
        ({f"matrix:{OLD}"}, True),
        ({f"matrix:{OLD}", f"matrix:{NEW}"}, False),
        ({f"matrix:{NEW}"}, False),
        (set(), False),
    ],
)
async def test_an_upgraded_room_whose_new_id_is_no_reader_is_told(
    tmp_path: Path, readers: set[str], warned: bool
) -> None:
    log_in(tmp_path, "http://127.0.0.1:1", Account("@hearth:home.example", "", "token", "DEVICE"))
    state = SyncState(tmp_path / FOLDER)
    state.saved.replaced[NEW] = OLD
    state.save_soon()
    await state.close()
    context = CheckContext(tmp_path, offline=True, readers=frozenset(readers))
    checks = [check async for check in check_account(MatrixSettings(), context)]
    found = [check for check in checks if check.name == "matrix.rooms"]
    assert [check.status for check in found] == (["warning"] if warned else [])
    assert all(f"Add `matrix:{NEW}`" in check.sentence for check in found)
