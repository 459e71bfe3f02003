"""Long-running commands: output to a log, progress on one line of the terminal."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

TAIL_LINES = 30
# Without a terminal, as in the log of a CI job, the shortest interval between two lines.
LINE_INTERVAL_S = 5.0


@dataclass(frozen=True)
class BuildStep:
    """Progress of a command: `done` of `total`, in the unit of the action."""

    action: str
    done: int
    total: int


ParseStep = Callable[[str], BuildStep | None]


class SetupFailed(Exception):
    """A sentence for the person at the keyboard, and the exit status of the program."""

    def __init__(self, sentence: str, status: int = 1) -> None:
        super().__init__(sentence)
        self.status = status


class CommandFailed(Exception):
    """A command ended with a status other than 0; `tail` holds the last lines of its output."""

    def __init__(self, status: int, tail: Sequence[str]) -> None:
        super().__init__(f"exit status {status}")
        self.tail = tail


class ProgressLine:
    """One line that is rewritten on a terminal; elsewhere, one line per 10 %, at most every few seconds."""

    def __init__(self, label: str, stream: TextIO = sys.stderr, clock: Callable[[], float] = time.monotonic) -> None:
        self._label = label
        self._stream = stream
        self._clock = clock
        self._started_at = clock()
        self._shown: tuple[str, int] | None = None
        self._written_at = self._started_at

    def show_start(self) -> None:
        """Show that the work has begun."""
        self._write(f"{self._label} ...")

    def show_step(self, step: BuildStep) -> None:
        """Show a step, unless the line would hardly differ from the previous one."""
        percent = 100 * step.done // max(1, step.total)
        terminal = self._stream.isatty()
        shown = (step.action, percent if terminal else percent // 10)
        if shown != self._shown and (terminal or self._clock() - self._written_at >= LINE_INTERVAL_S):
            self._shown = shown
            self._write(f"{self._label}: {step.action} {percent}% after {self._elapsed()}")

    def show_outcome(self, outcome: str) -> None:
        """Show the outcome, and leave the line on the screen."""
        self._write(f"{self._label}: {outcome} after {self._elapsed()}")
        if self._stream.isatty():
            print(file=self._stream)

    def _elapsed(self) -> str:
        seconds = round(self._clock() - self._started_at)
        return f"{seconds} s" if seconds < 60 else f"{seconds // 60} min {seconds % 60:02} s"

    def _write(self, line_text: str) -> None:
        self._written_at = self._clock()
        if self._stream.isatty():
            print(f"\r\x1b[K{line_text}", end="", file=self._stream, flush=True)
        else:
            print(line_text, file=self._stream, flush=True)


def run_with_progress(
    command: Sequence[str | Path], label: str, parse_step: ParseStep, log: Path, env: Mapping[str, str]
) -> None:
    """Run a command with its output in `log`, showing the steps that `parse_step` reads from its lines.

    Raises CommandFailed when it ends with a status other than 0. An interrupted command is terminated and waited for.
    """
    line = ProgressLine(label)
    line.show_start()
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    with (
        log.open("w", encoding="utf-8", errors="replace") as log_file,
        subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=dict(env),
            start_new_session=True,
        ) as process,
    ):
        assert process.stdout is not None
        try:
            for line_text in process.stdout:
                log_file.write(line_text)
                tail.append(line_text.rstrip())
                if step := parse_step(line_text):
                    line.show_step(step)
        except BaseException:
            # The compilers are grandchildren: the whole process group must end, or they would run on for minutes.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            raise
    line.show_outcome("done" if process.returncode == 0 else "failed")
    if process.returncode:
        raise CommandFailed(process.returncode, list(tail))


def pip_step_parser(packages: int) -> ParseStep:
    """Parser of the output of `pip install --progress-bar raw` for a lock of so many packages."""
    collected = 0

    def parse_step(line_text: str) -> BuildStep | None:
        nonlocal collected
        if line_text.startswith(("Collecting ", "Processing ")):
            collected += 1
            return BuildStep("fetching", min(collected, packages), packages)
        if line_text.startswith("Installing collected packages"):
            return BuildStep("unpacking", packages, packages)
        return None

    return parse_step


_COMPILED = re.compile(r"\s*\[(\d+)/(\d+)\] ")
_FETCHED = re.compile(r"\s*Progress (\d+) of (\d+)$")


def parse_compile_step(line_text: str) -> BuildStep | None:
    """Parse one line of a compile by pip: raw download progress, then ninja's `[n/m]`."""
    if found := _COMPILED.match(line_text):
        return BuildStep("compiling", int(found[1]), int(found[2]))
    if found := _FETCHED.match(line_text):
        return BuildStep("fetching", int(found[1]), int(found[2]))
    return None
