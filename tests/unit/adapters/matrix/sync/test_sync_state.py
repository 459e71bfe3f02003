"""What was read on Matrix is known after a restart."""

import stat
from pathlib import Path

from adapters.matrix.sync.sync_state import FILE, SyncState, UndecryptableMessage
from adapters.storage.bounded_dict import put_bounded
from adapters.storage.read_markers import CHANNELS_KEPT


async def opened(folder: Path) -> SyncState:
    marks = SyncState(folder)
    await marks.load()
    return marks


async def test_everything_outlives_the_process_in_a_private_file(tmp_path: Path) -> None:
    marks = await opened(tmp_path)
    assert marks.is_new
    marks.advance_token("s7")
    marks.mark_read("!a:x", "$1")
    marks.join_thread("$root")
    marks.note_limits(lifted=True)
    marks.saved.invitations["!b:x"] = "@ana:x"
    marks.saved.unread["$2"] = UndecryptableMessage(room_id="!a:x", session_id="S")
    marks.save_soon()
    await marks.close()
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600
    again = await opened(tmp_path)
    assert again.saved == marks.saved
    assert again.saved.lifted
    assert again.is_in_thread("$root")
    assert not again.is_in_thread("$other")
    assert not again.is_new
    await again.close()


async def test_a_room_that_was_left_is_forgotten_with_what_waited_in_it(tmp_path: Path) -> None:
    marks = await opened(tmp_path)
    for room_id in ("!a:x", "!b:x"):
        marks.mark_read(room_id, "$1")
        marks.saved.welcomes[room_id] = "@ana:x"
        marks.saved.unread[f"$in {room_id}"] = UndecryptableMessage(room_id=room_id, session_id="S")
    marks.drop_room("!a:x")
    assert list(marks.saved.seen) == list(marks.saved.welcomes) == ["!b:x"]
    assert list(marks.saved.unread) == ["$in !b:x"]
    await marks.close()


async def test_a_damaged_file_counts_as_none(tmp_path: Path) -> None:
    for content in ("{", "[]", '{"seen": 7}', '{"token": null}', '{"unread": {"$1": 2}}', "\udcff"):
        (tmp_path / FILE).write_bytes(content.encode("utf-8", "surrogateescape"))
        marks = await opened(tmp_path)
        assert marks.is_new
        await marks.close()


async def test_a_folder_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    marks = await opened(tmp_path / "file")
    marks.advance_token("s1")
    await marks.close()
    assert marks.saved.token == "s1"


async def test_the_oldest_goes_when_there_are_too_many(tmp_path: Path) -> None:
    kept = {"a": 1, "b": 2}
    put_bounded(kept, "a", 3, 2)
    put_bounded(kept, "c", 4, 2)
    assert kept == {"a": 3, "c": 4}
    marks = await opened(tmp_path)
    for number in range(CHANNELS_KEPT + 1):
        marks.mark_read(f"!{number}:x", "$1")
    assert len(marks.saved.seen) == CHANNELS_KEPT
    await marks.close()
