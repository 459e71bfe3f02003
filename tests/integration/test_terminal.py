"""`hearth chat` in a real (pseudo) terminal: Ctrl-C stops the answer and not the program, Ctrl-D leaves."""

import asyncio
import os
import pty
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONFIG = """
data_folder: data
http: {enabled: false}
model: {engine: echo, echo: {tokens_per_s: 5}}
knowledge: {embedding: {kind: hashing}}
"""
QUESTION = (
    "Say all of this, slowly please, because somebody is going to stop you in the middle of it and not at the END."
)
ESCAPES = re.compile(r"\x1b(\[[0-9;?]*[A-Za-z]|[()][A-Z0-9]|[=>])")
CTRL_C, CTRL_D, ENTER = b"\x03", b"\x04", b"\r"


class Screen:
    """The program's side of a terminal: what it printed, and keys to press."""

    def __init__(self, fd: int, process: asyncio.subprocess.Process) -> None:
        self._fd = fd
        self.process = process
        self.text = ""
        self._changed = asyncio.Event()
        asyncio.get_running_loop().add_reader(fd, self._read)

    def _read(self) -> None:
        try:
            data = os.read(self._fd, 65536)
        except OSError:
            data = b""
        if not data:
            asyncio.get_running_loop().remove_reader(self._fd)
        self.text += ESCAPES.sub("", data.decode(errors="replace"))
        self._changed.set()

    def press(self, keys: bytes) -> None:
        os.write(self._fd, keys)

    async def until(self, wanted: str, after: int = 0) -> int:
        """Wait until something is printed; where it ends."""
        async with asyncio.timeout(120):
            while wanted not in self.text[after:]:
                self._changed.clear()
                await self._changed.wait()
        return self.text.index(wanted, after) + len(wanted)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.yaml").write_text(CONFIG, encoding="utf-8")
    return tmp_path


@asynccontextmanager
async def chatting(folder: Path) -> AsyncIterator[Screen]:
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot", "chat"),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "200", "LINES": "30"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: take_terminal(theirs),
    )
    os.close(theirs)
    try:
        screen = Screen(ours, process)
        await screen.until("Ctrl-D leaves.")
        yield screen
    finally:
        asyncio.get_running_loop().remove_reader(ours)
        if process.returncode is None:
            process.kill()
            await process.wait()
        os.close(ours)


def take_terminal(fd: int) -> None:
    """Make the terminal the child's own, so that Ctrl-C in it becomes a signal there."""
    os.close(os.open(os.ttyname(fd), os.O_RDWR))


async def test_ctrl_c_stops_the_answer_and_the_conversation_goes_on(folder: Path) -> None:
    async with chatting(folder) as screen:
        screen.press(QUESTION.encode() + ENTER)
        asked = await screen.until("Reading and thinking")
        answering = await screen.until("Say all", asked)
        screen.press(CTRL_C)
        stopped = await screen.until("Stopped", answering)
        assert "END." not in screen.text[answering:stopped]
        await screen.until("\n>", stopped)
        screen.press(b"And this?" + ENTER)
        answered = await screen.until("in all", stopped)
        await screen.until("\n>", answered)
        screen.press(CTRL_D)
        async with asyncio.timeout(120):
            assert await screen.process.wait() == 0


async def test_what_is_typed_ahead_stays_out_of_the_answer_and_comes_with_the_next_prompt(folder: Path) -> None:
    async with chatting(folder) as screen:
        screen.press(QUESTION.encode() + ENTER)
        answering = await screen.until("Say all", await screen.until("Reading and thinking"))
        screen.press(b"typed ahead")
        answered = await screen.until("in all", answering)
        assert "typed ahead" not in screen.text[answering:answered]
        await screen.until("typed ahead", answered)
        screen.press(ENTER)
        await screen.until("in all", answered)


async def test_a_new_conversation_begins_and_the_old_one_is_named(folder: Path) -> None:
    async with chatting(folder) as screen:
        await screen.until("\n>")
        screen.press(b"/new" + ENTER)
        told = await screen.until("--conversation local")
        await screen.until("\n>", told)
        screen.press(b"/hlep" + ENTER)
        await screen.until("\n>", await screen.until("Did you mean /help?", told))
        screen.press(CTRL_D)
        async with asyncio.timeout(120):
            assert await screen.process.wait() == 0


async def test_ctrl_c_twice_at_the_prompt_leaves(folder: Path) -> None:
    async with chatting(folder) as screen:
        await screen.until("\n>")
        screen.press(CTRL_C)
        await screen.until("Ctrl-C again or Ctrl-D leaves.")
        await asyncio.sleep(0.2)
        screen.press(CTRL_C)
        async with asyncio.timeout(120):
            assert await screen.process.wait() == 0


async def test_slash_commands_are_commands_and_quit_leaves(folder: Path) -> None:
    async with chatting(folder) as screen:
        await screen.until("\n>")
        screen.press(b"/help" + ENTER)
        end = await screen.until("/reindex")
        await screen.until("\n>", end)
        screen.press(b"/quit" + ENTER)
        async with asyncio.timeout(120):
            assert await screen.process.wait() == 0
    assert "Traceback" not in screen.text
