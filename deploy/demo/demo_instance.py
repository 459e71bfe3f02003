"""Temporary Hearth instance of `make demo-matrix`: its data folder, its config, and `hearth` run as users run it."""

import asyncio
import contextlib
import json
import os
import shlex
import subprocess
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).parents[2]
SETTINGS = Path(__file__).with_name("config.yaml")
READY = "Hearth is ready"
READY_WITHIN_S = 300.0
STOP_WITHIN_S = 20.0
LOG_LINES = 15


class DemoFailed(Exception):
    """The demo cannot continue; the message is a sentence for the user."""


class DemoInstance:
    """A data folder with a config. `environment` holds the variables for its commands."""

    def __init__(self, folder: Path, out: Console) -> None:
        self._out = out
        self._config = folder / "config.yaml"
        self.log_file = folder / "hearth.log"
        self.environment = {**os.environ, "HEARTH_CONFIG": str(self._config)}

    def write_config(self, person: str) -> None:
        """Write the demo's config; the given user is the admin and the only reader of the documents."""
        settings: dict[str, Any] = yaml.safe_load(SETTINGS.read_text(encoding="utf-8"))
        settings["data_folder"] = str(self._config.with_name("data"))
        settings["matrix"] = {"enabled": True, "admin_users": [person]}
        for collection in settings["knowledge"]["collections"].values():
            collection["folder"] = str(SETTINGS.parent / collection["folder"])
            collection["readers"] = [f"matrix:user:{person}"]
        self._config.write_text(yaml.safe_dump(settings), encoding="utf-8")

    async def run_command(self, *arguments: str, **secrets: str) -> None:
        """Run a `hearth` command on the screen, with `secrets` in its environment. Raises DemoFailed."""
        self._out.print(Text(f"$ hearth {shlex.join(arguments)}", style="bold"))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bot", *arguments), cwd=ROOT, env={**self.environment, **secrets}
        )
        try:
            code = await process.wait()
        except asyncio.CancelledError:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await process.wait()
            raise
        if code:
            raise DemoFailed(f"`hearth {arguments[0]}` ended with status {code}.")

    async def run_json_command(self, *arguments: str) -> Any:
        """The parsed output of a `hearth` command with --json."""
        command = (sys.executable, "-m", "bot", *arguments, "--json")
        process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=self.environment, stdout=PIPE)
        output, _ = await process.communicate()
        return json.loads(output)

    @asynccontextmanager
    async def running_daemon(self) -> AsyncIterator[None]:
        """Run `hearth run` within the context, entered once it is ready; its log is in `log_file`."""
        self._out.print(Text("$ hearth run", style="bold"))
        process = self._start_daemon()
        try:
            await self._wait_until_ready(process)
            yield
        finally:
            await asyncio.to_thread(_stop, process)

    def _start_daemon(self) -> "subprocess.Popen[bytes]":
        # A session of its own: Ctrl-C goes to the demo, which then shuts it down cleanly.
        with self.log_file.open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "deploy.demo.run_until_stdin_closes", "run"],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    async def _wait_until_ready(self, process: "subprocess.Popen[bytes]") -> None:
        try:
            async with asyncio.timeout(READY_WITHIN_S):
                while READY not in self.log_file.read_text(encoding="utf-8", errors="replace"):
                    if process.poll() is not None:
                        raise DemoFailed(f"`hearth run` ended:\n{self.log_tail}")
                    await asyncio.sleep(0.1)
        except TimeoutError as error:
            raise DemoFailed(f"`hearth run` was not ready in {READY_WITHIN_S:.0f} s:\n{self.log_tail}") from error

    @property
    def log_tail(self) -> str:
        """The last lines of the log of `hearth run`."""
        return "\n".join(self.log_file.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:])


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(STOP_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    assert process.stdin is not None
    process.stdin.close()
