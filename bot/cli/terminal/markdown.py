"""Growing Markdown text: the part that will not change any more, and line ends that survive rendering."""

from collections.abc import Iterator


def settled_length(text: str) -> int:
    """The number of characters in complete blocks: up to the last blank line outside a code fence."""
    position = end = 0
    for line, is_code in _lines(text):
        position += len(line)
        if not is_code and not line.strip() and line.endswith("\n"):
            end = position
    return end


def keep_line_breaks(text: str) -> str:
    """The text with every line end kept when it is rendered, as chats do; Markdown alone would join the lines."""
    return "".join(line if is_code else _hard_break(line) for line, is_code in _lines(text))


def _lines(text: str) -> Iterator[tuple[str, bool]]:
    """The lines with their ends, each with whether it belongs to a code fence."""
    fence = ""
    for line in text.splitlines(keepends=True):
        opener = line.lstrip()[:3]
        if fence:
            yield line, True
            fence = "" if opener == fence and not line.strip().strip(fence[0]) else fence
        else:
            fence = opener if opener in ("```", "~~~") else ""
            yield line, bool(fence)


def _hard_break(line: str) -> str:
    return f"{line.rstrip()}  \n" if line.strip() and line.endswith("\n") else line
