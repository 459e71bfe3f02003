"""A pytest plugin: a skipped test fails the run, unless tests/allowed_skips.txt expects it with that reason."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

LIST = Path("tests/allowed_skips.txt")


@dataclass(frozen=True)
class Skip:
    """A test that did not count: skipped, or expected to fail and failing."""

    test: str
    reason: str


@dataclass(frozen=True)
class Allowed:
    """A line of the list: a test id, in which `*` stands for anything, and words its reason has to contain."""

    test: str
    reason: str

    def covers(self, skip: Skip) -> bool:
        """Tell whether this line expects that skip."""
        pattern = ".*".join(re.escape(piece) for piece in self.test.split("*"))
        return re.fullmatch(pattern, skip.test) is not None and self.reason in skip.reason


def parse(text: str) -> list[Allowed]:
    """Read the list: `test id | reason` a line, `#` begins a comment. Raises ValueError for a line without a reason."""
    allowed = []
    for number, line in enumerate(text.splitlines(), 1):
        content = line.partition("#")[0].strip()
        if not content:
            continue
        test, _, reason = (part.strip() for part in content.partition("|"))
        if not reason:
            raise ValueError(f"{LIST}, line {number}: a skip is allowed for a reason: `test id | reason`.")
        allowed.append(Allowed(test, reason))
    return allowed


def unexpected(skips: Iterable[Skip], allowed: Iterable[Allowed]) -> list[Skip]:
    """Give the skips that no line of the list covers."""
    lines = list(allowed)
    return [skip for skip in skips if not any(line.covers(skip) for line in lines)]


class SkipPolicy:
    """Gathers the skips of a run and judges them at its end."""

    def __init__(self, allowed: list[Allowed]) -> None:
        self._allowed = allowed
        self._skips: list[Skip] = []
        self._refused: list[Skip] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a test that was skipped or failed as expected."""
        if report.skipped:
            self._skips.append(Skip(report.nodeid, getattr(report, "wasxfail", "") or _reason(report.longrepr)))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note a whole module that was skipped."""
        if report.skipped:
            self._skips.append(Skip(report.nodeid, _reason(report.longrepr)))

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Turn a green run with an unexpected skip red."""
        self._refused = unexpected(self._skips, self._allowed)
        if self._refused and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print every skip with its reason, and the sentence that explains a red run."""
        if not self._skips:
            return
        terminalreporter.section("skipped tests")
        for skip in self._skips:
            verdict = "NOT ALLOWED" if skip in self._refused else "allowed"
            terminalreporter.line(f"{verdict}: {skip.test}: {skip.reason}")
        if self._refused:
            count = len(self._refused)
            terminalreporter.line(
                f"{count} skip{'s are' if count > 1 else ' is'} not on {LIST}, so this run fails: "
                "make the test run here, or add `test id | reason` to the list and say why.",
                red=True,
            )


def _reason(longrepr: object) -> str:
    # A skip is reported as (path, line, "Skipped: reason").
    text = str(longrepr[2]) if isinstance(longrepr, tuple) else str(longrepr)
    return text.removeprefix("Skipped: ")


def pytest_configure(config: pytest.Config) -> None:
    """Take the list of the tree under test; without one nothing may be skipped.

    A worker of pytest-xdist judges nothing: its reports reach the process that started it, which does.
    """
    if hasattr(config, "workerinput"):
        return
    path = config.rootpath / LIST
    try:
        allowed = parse(path.read_text(encoding="utf-8")) if path.is_file() else []
    except ValueError as fault:
        raise pytest.UsageError(str(fault)) from fault
    config.pluginmanager.register(SkipPolicy(allowed), "hearth-skip-policy")
