"""`make demo-matrix`, as far as it needs no terminal: what it shows, and that nothing of it stays."""

import asyncio
import os
import shutil
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[3]
QUESTION = "On which shelf is the backup drive?"
PATIENCE_S = 240.0
"""Some 30 s on two idle cores."""

pytestmark = [pytest.mark.timeout(600), pytest.mark.usefixtures("chat_model_path", "embedding_files")]


async def demo(folder: Path, **environment: str) -> Process:
    """The demo with its temporary files below a folder."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "deploy.demo.matrix"),
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(folder), "QUESTION": QUESTION, "TERM": "dumb", **environment},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=PIPE,
        stderr=STDOUT,
    )


async def ended(process: Process) -> str:
    """Everything it said until its end; ended by force when that does not come."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            told, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
    return told.decode()


def assert_nothing_stays(folder: Path) -> None:
    assert list(folder.iterdir()) == []
    assert [each.pid for each in psutil.process_iter(["cmdline"]) if str(folder) in str(each.info["cmdline"])] == []


async def test_it_shows_an_encrypted_answer_with_its_sources_and_leaves_nothing_behind(tmp_path: Path) -> None:
    process = await demo(tmp_path)
    told = await ended(process)
    assert process.returncode == 0, told
    assert "encrypted with m.megolm.v1.aes-sha2" in told
    assert "is signed by its owner" in told
    assert f"> {QUESTION}\n" in told
    assert "[1] The backup drive › The backup drive (handbook)" in told
    assert "lines that Ana reads in the chat is in any of the server's files" in told
    if shutil.which("node"):
        assert "signed by its owner and verified by Ana" in told
    assert_nothing_stays(tmp_path)


async def test_without_node_the_chat_is_encrypted_too_and_it_says_with_what(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "temporary").mkdir()
    process = await demo(tmp_path / "temporary", PATH=str(tmp_path / "bin"))
    told = await ended(process)
    assert process.returncode == 0, told
    assert "Ana writes with Hearth's own encryption" in told
    assert "is signed by its owner" in told
    assert "lines that Ana reads in the chat is in any of the server's files" in told
    assert_nothing_stays(tmp_path / "temporary")


async def test_stopped_on_the_way_it_leaves_nothing_behind(tmp_path: Path) -> None:
    process = await demo(tmp_path)
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE_S):
        while b"$ hearth run" not in (line := await process.stdout.readline()):
            assert line, "it ended before"
    process.send_signal(signal.SIGTERM)
    told = await ended(process)
    assert process.returncode == 130, told
    assert told.endswith("Stopped; everything is removed.\n")
    assert_nothing_stays(tmp_path)
