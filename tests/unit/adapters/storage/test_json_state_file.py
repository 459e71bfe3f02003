"""A state file is written when its owner is closed, whatever was under way."""

import threading
from pathlib import Path

import pytest
from pydantic import BaseModel

from adapters.storage import json_state_file
from adapters.storage.json_state_file import StateFile
from tests.fakes.until import until


class Seen(BaseModel):
    number: int = 0


async def test_what_changed_last_is_written_at_the_end(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "seen.json", Seen, lambda: Seen(number=2))
    assert (await file.load()).number == 0
    file.save_soon()
    await file.close()
    assert Seen.model_validate_json((tmp_path / "seen.json").read_bytes()).number == 2


async def test_the_end_waits_for_a_write_that_has_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, written, write = threading.Event(), threading.Event(), json_state_file.write_private_file

    def slowly(path: Path, data: bytes) -> None:
        begun.set()
        written.wait(0.2)
        write(path, data)

    monkeypatch.setattr(json_state_file, "write_private_file", slowly)
    monkeypatch.setattr(json_state_file, "SAVE_DELAY_S", 0.0)
    file = StateFile(tmp_path / "seen.json", Seen, lambda: Seen(number=3))
    file.save_soon()
    await until(begun.is_set)
    await file.close()
    assert Seen.model_validate_json((tmp_path / "seen.json").read_bytes()).number == 3
