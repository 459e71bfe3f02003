"""Log policy: only Hearth's own loggers write texts, so that no secret and no message is in the log at any level."""

import copy
import logging
import sys
import threading
import traceback
from collections.abc import Collection, Iterator
from functools import partial
from types import TracebackType
from typing import TextIO

OWN_PACKAGES = ("bot", "adapters", "knowledge", "models")
"""The packages whose loggers follow the configured level. The others have no say below a warning."""
FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_log = logging.getLogger(__name__)


def set_up_logging(
    level: str, stream: TextIO | None = None, platform_packages: Collection[str] = ()
) -> logging.Handler:
    """Write the log to `stream` (standard error by default); `level` is that of Hearth's own loggers, and of those of
    the packages that bring platforms.

    An error that ends the program or a thread is logged too: Python itself would print its text. The handler is
    returned for its removal.
    """
    handler = logging.StreamHandler(stream)
    packages = {*OWN_PACKAGES, *platform_packages}
    handler.setFormatter(DiscreetFormatter(packages))
    handler.addFilter(partial(_is_allowed, packages))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    for package in packages:
        logging.getLogger(package).setLevel(level.upper())
    sys.excepthook = _log_end
    threading.excepthook = _log_lost_thread
    return handler


class DiscreetFormatter(logging.Formatter):
    """Leaves out what another library, or an error that is not Hearth's own, could quote from a message or a secret.

    Of a library's record the unfilled template stays when there is one, and otherwise its place in the source.
    """

    def __init__(self, packages: Collection[str]) -> None:
        super().__init__(FORMAT)
        self._packages = packages

    def format(self, record: logging.LogRecord) -> str:
        """The record's line, and the stack of its error, without foreign texts."""
        shown = copy.copy(record)
        shown.exc_text = None  # another handler may have stored the full text there
        if not _is_of(self._packages, record.name):
            template = record.msg if isinstance(record.msg, str) and record.args else ""
            shown.msg = f"{record.filename} line {record.lineno}, filled-in text left out. {template}".rstrip()
            shown.args = None
        return super().format(shown)

    def formatException(  # noqa: N802 - logging's own name
        self,
        ei: tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None],
    ) -> str:
        """The stack of an error; the text only of Hearth's own errors and of the system's."""
        return "\n".join(self._error_lines(ei[1], set())) if ei[1] is not None else ""

    def _error_lines(self, error: BaseException, seen: set[int]) -> Iterator[str]:
        """An error with its causes, the first cause first, and the errors of a group."""
        seen.add(id(error))
        cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if cause is not None and id(cause) not in seen:
            yield from self._error_lines(cause, seen)
            yield "which led to:"
        yield from ("".join(traceback.format_tb(error.__traceback__)).rstrip(),)
        yield self._describe_error(error)
        if isinstance(error, BaseExceptionGroup):
            for inner in error.exceptions:
                if id(inner) not in seen:
                    yield from self._error_lines(inner, seen)

    def _describe_error(self, error: BaseException) -> str:
        kind = type(error)
        name = f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")
        is_told = _is_of(self._packages, kind.__module__) or (
            isinstance(error, OSError) and kind.__module__ == "builtins"
        )
        return f"{name}: {error}" if is_told else f"{name} (text left out)"


def _is_allowed(packages: Collection[str], record: logging.LogRecord) -> bool:
    return _is_of(packages, record.name) or record.levelno >= logging.WARNING


def _is_of(packages: Collection[str], name: str) -> bool:
    return name.partition(".")[0] in packages


def _log_end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    _log.critical("Stopped by an unforeseen error", exc_info=(kind, error, trace))


def _log_lost_thread(lost: threading.ExceptHookArgs) -> None:
    if lost.exc_value is not None and not isinstance(lost.exc_value, SystemExit):
        _log.critical("Lost a thread to an unforeseen error", exc_info=lost.exc_value)
