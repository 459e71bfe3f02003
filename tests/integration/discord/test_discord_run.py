"""`hearth run` with Discord switched on."""

import asyncio
import os
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
CONFIG = """
data_folder: data
http: {enabled: false}
model: {engine: echo}
knowledge: {embedding: {kind: hashing}}
discord: {enabled: true, token_env: HEARTH_TEST_NO_TOKEN}
"""


async def test_without_a_token_run_ends_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG, encoding="utf-8")
    environment = {key: value for key, value in os.environ.items() if key != "HEARTH_CONFIG"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot", "run"),
        cwd=tmp_path,
        env={**environment, "PYTHONPATH": str(ROOT), "TERM": "dumb"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        _, told = await process.communicate()
    assert process.returncode == 1
    assert b"HEARTH_TEST_NO_TOKEN" in told
    assert b"Traceback" not in told
