"""What was read is known after a restart."""

from pathlib import Path

from adapters.discord.incoming.read_markers import FILE, DiscordReadMarkers


async def opened(folder: Path) -> DiscordReadMarkers:
    marks = DiscordReadMarkers(folder)
    await marks.load()
    return marks


async def test_marks_and_threads_outlive_the_process(tmp_path: Path) -> None:
    marks = await opened(tmp_path)
    marks.mark_read(20, 5)
    marks.mark_read(20, 4)
    marks.mark_read(40, 9, direct=True)
    marks.join_thread(21)
    await marks.close()
    again = await opened(tmp_path)
    assert again.last_read_ids() == {20: 5, 40: 9}
    assert again.newest_id == 9
    assert again.direct_channels == {40}
    assert again.is_in_thread(21)
    assert not again.is_in_thread(20)
    await again.close()


async def test_a_damaged_file_counts_as_none(tmp_path: Path) -> None:
    for content in ("{", "[]", '{"seen": 7}', '{"seen": {"a": "b"}}', '{"direct": [[]]}'):
        (tmp_path / FILE).write_text(content)
        marks = await opened(tmp_path)
        assert marks.last_read_ids() == {}
        await marks.close()


async def test_a_folder_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    marks = await opened(tmp_path / "missing")
    marks.mark_read(20, 5)
    await marks.close()
    assert marks.newest_id == 5
