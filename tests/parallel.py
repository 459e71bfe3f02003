"""A pytest plugin for pytest-xdist: files are shared out among workers, and tests marked `alone` run after all others.

Each file stays with one worker, whose session fixtures (a homeserver, a loaded model) serve all of its files. The
tests marked `alone` measure time: when the rest is done and every other worker has ended, the last one runs them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import pytest
from xdist.scheduler import LoadScopeScheduling

if TYPE_CHECKING:
    from xdist.workermanage import WorkerController

# Workers tell the controller no more of a test than its id, so the mark is added to it meanwhile.
_ALONE = "@alone"
_LAST = "tests/unit/"
"""The many short files: they even out what the long ones leave."""


class AloneLast(LoadScopeScheduling):  # type: ignore[misc]
    """Shares out whole files, and keeps what must run alone for the last worker."""

    def remove_node(self, node: WorkerController) -> str | None:
        """Take a worker off that has ended or crashed; the last one gets what runs alone.

        Returns the test that crashed it, which is not run again: the base class would give it to the next worker.
        """
        units = self.assigned_work[node].values()
        crashed = next((test for unit in units for test, done in unit.items() if not done), None)
        for unit in units:
            if crashed in unit:
                unit[crashed] = True
        super().remove_node(node)
        if len(self.nodes) == 1 and self._only_alone_is_left():
            self._reschedule(self.nodes[0])
        return crashed

    def _split_scope(self, nodeid: str) -> str:
        return _ALONE if nodeid.endswith(_ALONE) else nodeid.partition("::")[0]

    def _assign_work_unit(self, node: WorkerController) -> None:
        if _ALONE in self.workqueue:
            self.workqueue.move_to_end(_ALONE)
        if len(self.nodes) == 1 or not self._only_alone_is_left():
            super()._assign_work_unit(node)
        elif sum(not each.shutting_down for each in self.nodes) > 1:
            node.shutdown()

    def _only_alone_is_left(self) -> bool:
        return list(self.workqueue) == [_ALONE]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> AloneLast:
    """Share out by files."""
    return AloneLast(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In a worker: put short files and then what runs alone at the end."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: (_is_alone(item), item.nodeid.startswith(_LAST)))


@pytest.hookimpl(wrapper=True)
def pytest_collection_finish(session: pytest.Session) -> Iterator[None]:
    """In a worker: while the ids of its tests are sent, those of tests that run alone say so."""
    items = session.items
    if hasattr(session.config, "workerinput"):
        session.items = [cast(pytest.Item, _Named(item.nodeid + _ALONE * _is_alone(item))) for item in items]
    try:
        return (yield)
    finally:
        session.items = items


@dataclass(frozen=True)
class _Named:
    nodeid: str


def _is_alone(item: pytest.Item) -> bool:
    return item.get_closest_marker("alone") is not None


class LostWorkers:
    """Turns a run red in which a worker died, though no test may have been running in it."""

    def __init__(self) -> None:
        self._died: list[str] = []

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: WorkerController, error: object | None) -> None:
        """Note a worker that did not end by itself."""
        if error:
            self._died.append(f"{node.gateway.id}: {error}")

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail the run."""
        if self._died and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Name the workers."""
        for died in self._died:
            terminalreporter.line(f"A worker died, so this run fails: {died}", red=True)


def pytest_configure(config: pytest.Config) -> None:
    """Watch the workers; in a worker, let threads of llama.cpp sleep where they wait for each other.

    Models of several workers share the cores, and spinning threads of the one keep those of the other from computing:
    the tests on the engine took three times as long, all of it processor time.
    """
    if hasattr(config, "workerinput"):
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    else:
        config.pluginmanager.register(LostWorkers(), "hearth-lost-workers")
