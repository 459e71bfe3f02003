"""Standard streams as a shell may leave them: closed, full, or without UTF-8. Never a traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONFIG = """
data_folder: data
http: {enabled: false}
model: {engine: echo, echo: {tokens_per_s: 2000}}
core: {when_nothing_found: answer}
knowledge: {embedding: {kind: hashing}}
"""
COMMANDS = ("config check", "ask 'Où ? 🏠'", "ask --json 'Où ? 🏠'", "index", "--help")


def shell(folder: Path, redirected: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    (folder / "config.yaml").write_text(CONFIG, encoding="utf-8")
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "dumb", **environment}
    variables.pop("HEARTH_CONFIG", None)
    command = redirected.replace("hearth", f"{sys.executable} -m bot", 1)
    return subprocess.run(
        ["bash", "-c", command], cwd=folder, env=variables, capture_output=True, timeout=300, check=False
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_device_is_told_in_a_sentence(tmp_path: Path, command: str) -> None:
    ran = shell(tmp_path, f"hearth {command} > /dev/full")
    assert (ran.returncode, ran.stderr.decode().count("Standard output cannot be written: No space left")) == (1, 1)
    assert b"Traceback" not in ran.stderr
    assert b"Exception ignored" not in ran.stderr


@pytest.mark.parametrize("command", ["models list", "ask Hello"])
@pytest.mark.parametrize("closed", [">&-", "<&-", ">&- 2>&- <&-"])
def test_closed_streams_are_no_fault(tmp_path: Path, command: str, closed: str) -> None:
    ran = shell(tmp_path, f"hearth {command} {closed}")
    assert ran.returncode == 0
    assert ran.stderr in (b"", b"Opening index\n")


@pytest.mark.parametrize("command", COMMANDS)
def test_any_text_can_be_printed_without_utf_8(tmp_path: Path, command: str) -> None:
    ran = shell(tmp_path, f"hearth {command}", PYTHONIOENCODING="ascii")
    assert ran.returncode == 0, ran.stderr
    assert b"Traceback" not in ran.stderr


def test_a_reader_who_has_left_ends_the_program_in_silence(tmp_path: Path) -> None:
    ran = shell(tmp_path, "hearth ask Hello | true; exit ${PIPESTATUS[0]}")
    assert b"Traceback" not in ran.stderr
    assert b"Exception ignored" not in ran.stderr
