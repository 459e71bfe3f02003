"""Shows the long steps of a start: downloads, loading, opening."""

import sys
from types import TracebackType
from typing import TYPE_CHECKING

from bot.cli.terminal.output import format_size, make_console, print_errors, printable
from bot.startup_progress import StartupProgress, StartupStep

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

WORDS: dict[StartupStep, str] = {"fetching": "Fetching", "loading": "Loading", "opening": "Opening"}


class StartupView:
    """Fills `ReportStartup` on standard error: bars on a terminal, otherwise a line for each quarter of each step."""

    def __init__(self) -> None:
        self._bars: Progress | None = None
        self._tasks: dict[tuple[StartupStep, str], TaskID] = {}
        self._printed: set[tuple[StartupStep, str, int]] = set()
        self._is_terminal = sys.stderr.isatty()

    def __enter__(self) -> "StartupView":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __call__(self, progress: StartupProgress) -> None:
        """Show the progress of a step."""
        if self._is_terminal:
            self._draw(progress)
        else:
            self._print_line(progress)

    def close(self) -> None:
        """Remove the bars, before the answer is printed."""
        if self._bars is not None:
            self._bars.stop()
            self._bars = None

    def _draw(self, progress: StartupProgress) -> None:
        from rich.progress import BarColumn, Progress, TextColumn

        if self._bars is None:
            columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[figures]}"))
            self._bars = Progress(*columns, console=make_console(stderr=True), transient=True)
            self._bars.start()
        key = (progress.step, progress.name)
        if key not in self._tasks:
            self._tasks[key] = self._bars.add_task(_description(progress), total=None, figures="")
        total = progress.total or None
        self._bars.update(self._tasks[key], total=total, completed=progress.done, figures=_figures(progress))

    def _print_line(self, progress: StartupProgress) -> None:
        quarter = 4 * progress.done // progress.total if progress.total else 0
        key = (progress.step, progress.name, quarter)
        if key not in self._printed:
            self._printed.add(key)
            print_errors(f"{_description(progress)} {_figures(progress)}".rstrip())


def _description(progress: StartupProgress) -> str:
    return printable(f"{WORDS[progress.step]} {progress.name}")


def _figures(progress: StartupProgress) -> str:
    if not progress.total:
        return ""
    if progress.step == "fetching":
        return f"{format_size(progress.done)} of {format_size(progress.total)}"
    return f"{100 * progress.done // progress.total}%"
