"""Hearth as a child process that can be killed: questions in, events out, each handed on the moment it comes."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.exactly_once.platform import Event

ROOT = Path(__file__).parents[2]


class Child:
    """One life of `hearth chat --jsonl`. `on_event` is called on the reading thread, after death too."""

    def __init__(self, config: Path, log: Path, on_event: Callable[[Event], None]) -> None:
        self._on_event = on_event
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "bot", "chat", "--jsonl", "--config", str(config)],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def send(self, lines: Iterable[dict[str, Any]]) -> None:
        """Write input lines; a process that has been killed meanwhile takes them or not, as a real one would."""
        assert self._process.stdin is not None
        data = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
        with suppress(BrokenPipeError):
            self._process.stdin.write(data)
            self._process.stdin.flush()

    def kill(self) -> None:
        """SIGKILL, from any thread."""
        self._process.kill()

    def await_death(self, timeout_s: float) -> int:
        """Wait until the process is dead and all it ever wrote is read; its exit code, -9 when it was killed.

        Raises subprocess.TimeoutExpired.
        """
        code = self._process.wait(timeout_s)
        self._reading.join(timeout_s)
        self._close_input()
        return code

    def end_input(self, timeout_s: float) -> int:
        """Close the input, so that the process ends once everything is answered; its exit code."""
        self._close_input()
        return self.await_death(timeout_s)

    def _close_input(self) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # of a dead process, to which something was still to be written
            self._process.stdin.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as output:
            for line in output:
                # A line cut by the kill never reached the platform as a whole.
                if line.endswith(b"\n"):
                    self._on_event(json.loads(line))
