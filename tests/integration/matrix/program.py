"""`hearth run` as a child process, with Matrix switched on and the echo engine."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

ROOT = Path(__file__).parents[3]
CONFIG = """
data_folder: data
http: {enabled: false}
model: {engine: echo}
knowledge: {embedding: {kind: hashing}}
core: {when_nothing_found: answer}
matrix: {enabled: true}
"""


@asynccontextmanager
async def hearth_run(folder: Path) -> AsyncIterator[Process]:
    """The whole program; killed if it does not end by itself."""
    (folder / "config.yaml").write_text(CONFIG, encoding="utf-8")
    environment = {key: value for key, value in os.environ.items() if key != "HEARTH_CONFIG"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot", "run"),
        cwd=folder,
        env={**environment, "PYTHONPATH": str(ROOT), "TERM": "dumb"},
        stdout=PIPE,
        stderr=PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def told(process: Process) -> str:
    """Everything it said until its end."""
    async with asyncio.timeout(60):
        _, errors = await process.communicate()
    return errors.decode()
