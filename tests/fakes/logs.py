"""The log at level debug, as the log policy writes it, beside everything that the libraries would have written."""

import io
import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from bot.log_policy import OWN_PACKAGES, set_up_logging

LIBRARIES = ("aiosqlite", "aiohttp", "asyncio", "discord", "nio", "httpx")


@dataclass
class CapturedLog:
    """`written` has what reached the log, `raw` what was offered to it."""

    written: io.StringIO = field(default_factory=io.StringIO)
    raw: io.StringIO = field(default_factory=io.StringIO)


@contextmanager
def captured_log() -> Iterator[CapturedLog]:
    """Log at debug, and tell the libraries to write everything."""
    log, root = CapturedLog(), logging.getLogger()
    hooks, root_level = (sys.excepthook, threading.excepthook), root.level
    levels = {name: logging.getLogger(name).level for name in (*LIBRARIES, *OWN_PACKAGES)}
    handlers = [set_up_logging("debug", log.written), logging.StreamHandler(log.raw)]
    root.addHandler(handlers[1])
    for name in LIBRARIES:
        logging.getLogger(name).setLevel(logging.DEBUG)
    try:
        yield log
    finally:
        for handler in handlers:
            root.removeHandler(handler)
        root.setLevel(root_level)
        sys.excepthook, threading.excepthook = hooks
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
