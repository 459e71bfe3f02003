"""A hundred broken files through one reading process: each is named with its reason, and the process stays small."""

import re

import psutil
import pytest

from knowledge.reader import FileUnreadable
from knowledge.reading.reader import ProcessReader
from tests.fakes.broken_files import WHOLE, broken_files

_MOST_BYTES = 1_000_000_000


async def test_broken_files_cost_themselves_alone() -> None:
    reader = ProcessReader()
    try:
        for name, (data, pattern) in broken_files().items():
            with pytest.raises(FileUnreadable) as caught:
                await reader.read_bytes(name, data)
            assert re.search(pattern, caught.value.reason), name
        for kind, data in WHOLE.items():
            assert (await reader.read_bytes(f"whole.{kind}", data))[0].drafts
        (child,) = (each for each in psutil.Process().children() if "knowledge.reading.child" in each.cmdline())
        assert child.memory_info().rss < _MOST_BYTES
        assert child.net_connections() == []
    finally:
        await reader.close()
    assert not child.is_running()
