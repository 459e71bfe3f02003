"""Cuts a growing Markdown text where everything before the cut will not change any more."""


def settled(text: str) -> int:
    """How many characters from the start are whole blocks: up to the last blank line outside a code fence."""
    position = end = 0
    fence = ""
    for line in text.splitlines(keepends=True):
        position += len(line)
        mark = line.lstrip()[:3]
        if fence:
            fence = "" if mark == fence and not line.strip().strip(fence[0]) else fence
        elif mark in ("```", "~~~"):
            fence = mark
        elif not line.strip() and line.endswith("\n"):
            end = position
    return end
