"""What was read, and the threads taken part in, are known after a restart, the newest of them."""

import json
from pathlib import Path

import pytest

from adapters.discord.incoming.read_markers import FILE as DISCORD_FILE
from adapters.discord.incoming.read_markers import DiscordReadMarkers
from adapters.matrix.sync.sync_state import FILE as MATRIX_FILE
from adapters.matrix.sync.sync_state import SyncState
from adapters.storage import read_markers
from adapters.storage.read_markers import ReadMarkers, ReadState


class TextState(ReadState[str]):
    pass


async def opened(folder: Path) -> ReadMarkers[str, TextState]:
    markers = ReadMarkers[str, TextState](folder / "state.json", TextState)
    await markers.load()
    return markers


async def test_positions_and_threads_outlive_the_process(tmp_path: Path) -> None:
    markers = await opened(tmp_path)
    markers.mark_read("a", "1")
    markers.mark_read("a", "2")
    markers.join_thread("t")
    await markers.close()
    again = await opened(tmp_path)
    assert again.saved.seen == {"a": "2"}
    assert again.is_in_thread("t")
    assert not again.is_in_thread("a")
    await again.close()


async def test_the_longest_unchanged_go_when_there_are_too_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_markers, "CHANNELS_KEPT", 2)
    monkeypatch.setattr(read_markers, "THREADS_KEPT", 1)
    markers = await opened(tmp_path)
    for channel in ("a", "b", "a", "c"):
        markers.mark_read(channel, "1")
        markers.join_thread(channel)
    assert list(markers.saved.seen) == ["a", "c"]
    assert list(markers.saved.threads) == ["c"]
    await markers.close()


async def test_the_files_are_those_of_earlier_versions(tmp_path: Path) -> None:
    old = {"seen": {"20": 5}, "direct": [20], "threads": [21, 22]}
    (tmp_path / DISCORD_FILE).write_text(json.dumps(old))
    discord = DiscordReadMarkers(tmp_path)
    await discord.load()
    assert discord.last_read_ids() == {20: 5}
    assert discord.direct_channels == {20}
    assert discord.is_in_thread(22)
    discord.save_soon()
    await discord.close()
    assert json.loads((tmp_path / DISCORD_FILE).read_text()) == old
    saved = {"token": "s1", "seen": {"!a:x": "$1"}, "threads": {"$t": None}, "invitations": {}, "welcomes": {}}
    saved |= {"replaced": {}, "unread": {"$2": {"room_id": "!a:x", "session_id": "S"}}, "told": {"S": 1.5}}
    saved["lifted"] = True
    (tmp_path / MATRIX_FILE).write_text(json.dumps(saved))
    matrix = SyncState(tmp_path)
    await matrix.load()
    matrix.save_soon()
    await matrix.close()
    assert json.loads((tmp_path / MATRIX_FILE).read_text()) == saved


async def test_a_damaged_list_of_threads_counts_as_no_file(tmp_path: Path) -> None:
    for threads in (7, [[]], {"a": 1}, ["x"]):
        (tmp_path / DISCORD_FILE).write_text(json.dumps({"seen": {"20": 5}, "threads": threads}))
        markers = DiscordReadMarkers(tmp_path)
        await markers.load()
        assert markers.last_read_ids() == {}
        await markers.close()
