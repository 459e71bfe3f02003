"""Printing for all commands: consoles, text without control characters, and errors as sentences."""

import json
import re
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def printable(text: str) -> str:
    """Text without control characters: documents and models must not steer the terminal."""
    return UNPRINTABLE.sub("", text)


def make_console(*, stderr: bool = False) -> "Console":
    """A console that takes text as it is: no markup, no highlighting, no emoji codes; wraps on a terminal only."""
    from rich.console import Console  # programs that read JSON lines do without it

    is_terminal = (sys.stderr if stderr else sys.stdout).isatty()
    return Console(stderr=stderr, markup=False, highlight=False, emoji=False, soft_wrap=not is_terminal)


def print_errors(*sentences: str) -> None:
    """Print sentences on standard error."""
    if not sys.stderr.isatty():
        for sentence in sentences:
            print(printable(sentence), file=sys.stderr)
        return
    out = make_console(stderr=True)
    for sentence in sentences:
        out.print(printable(sentence))


def print_json(value: Any) -> None:
    """Print one JSON value on a line of its own, characters as they are, or escaped where the terminal has no UTF-8."""
    is_utf8 = (sys.stdout.encoding or "").casefold().replace("-", "") == "utf8"
    sys.stdout.write(json.dumps(value, ensure_ascii=not is_utf8) + "\n")
    sys.stdout.flush()


def format_size(count: float) -> str:
    """A number of bytes for people."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit in ("bytes", "kB") or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def format_place(fields: dict[str, Any]) -> str:
    """A source's or hit's place in words: document, headings, page, row."""
    where = fields["place"]
    parts = [str(fields["document"]), *where["heading"]]
    parts += [f"page {where['page']}"] if where["page"] is not None else []
    parts += [f"row {where['row']}"] if where["row"] is not None else []
    return printable(" › ".join(parts))
