import io
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.build.progress import (
    BuildStep,
    CommandFailed,
    ProgressLine,
    parse_compile_step,
    pip_step_parser,
    run_with_progress,
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def _clock(seconds: list[float]) -> Iterator[float]:
    yield from seconds


@pytest.mark.parametrize(
    ("line", "step"),
    [
        ("  [12/83] /usr/bin/c++ -O3 x.cpp\n", BuildStep("compiling", 12, 83)),
        ("  Progress 1048576 of 76589250\n", BuildStep("fetching", 1048576, 76589250)),
        ("  -- Detecting CXX compiler\n", None),
        ("see [1/2]\n", None),
    ],
)
def test_a_compile_tells_its_steps(line: str, step: BuildStep | None) -> None:
    assert parse_compile_step(line) == step


def test_an_install_counts_what_it_fetches_and_never_more_than_the_lock_holds() -> None:
    parse_step = pip_step_parser(2)
    steps = [
        parse_step(line) for line in ("Collecting a==1\n", "  Using cached a\n", "Processing b\n", "Collecting c\n")
    ]
    assert steps == [BuildStep("fetching", 1, 2), None, BuildStep("fetching", 2, 2), BuildStep("fetching", 2, 2)]


def test_a_terminal_sees_one_line_that_is_rewritten() -> None:
    terminal = Terminal()
    line = ProgressLine("Engine", terminal, clock=lambda: 5.0)
    line.show_step(BuildStep("compiling", 1, 4))
    line.show_step(BuildStep("compiling", 1, 4))
    line.show_outcome("done")
    assert terminal.getvalue() == "\r\x1b[KEngine: compiling 25% after 0 s\r\x1b[KEngine: done after 0 s\n"


def test_a_log_gets_a_line_for_a_tenth_of_the_way_and_none_within_seconds() -> None:
    log = io.StringIO()
    times = _clock([0.0, 6.0, 6.0, 6.0, 7.0, 75.0, 75.0, 75.0])
    line = ProgressLine("Engine", log, clock=lambda: next(times))
    for done in (11, 12, 29, 50):
        line.show_step(BuildStep("compiling", done, 100))
    assert log.getvalue().splitlines() == ["Engine: compiling 11% after 6 s", "Engine: compiling 50% after 1 min 15 s"]


def test_a_command_leaves_its_output_in_the_log(tmp_path: Path) -> None:
    run_with_progress([sys.executable, "-c", "print('one\\ntwo')"], "Two", lambda _: None, tmp_path / "log", os.environ)
    assert (tmp_path / "log").read_text() == "one\ntwo\n"


def test_a_command_that_fails_hands_over_its_last_lines(tmp_path: Path) -> None:
    script = "import sys; [print(n) for n in range(100)]; sys.exit(3)"
    with pytest.raises(CommandFailed) as failure:
        run_with_progress([sys.executable, "-c", script], "Hundred", lambda _: None, tmp_path / "log", os.environ)
    assert failure.value.tail == [str(n) for n in range(70, 100)]


def test_an_interrupt_ends_the_children_of_a_command_too(tmp_path: Path) -> None:
    children: list[int] = []

    def interrupt(line: str) -> None:
        children.append(int(line))
        raise KeyboardInterrupt

    script = "import subprocess; child = subprocess.Popen(['sleep', '60']); print(child.pid, flush=True); child.wait()"
    with pytest.raises(KeyboardInterrupt):
        run_with_progress([sys.executable, "-c", script], "Sleep", interrupt, tmp_path / "log", os.environ)
    assert _ends(children[0])


def _ends(pid: int) -> bool:
    """Wait until a process is gone, or ended and not yet collected; five seconds are plenty on a busy machine."""
    until = time.monotonic() + 5
    while time.monotonic() < until:
        try:
            status = Path(f"/proc/{pid}/stat").read_text()
        except FileNotFoundError:
            return True
        if status.rpartition(")")[2].split()[0] in "ZX":
            return True
        time.sleep(0.01)
    return False
