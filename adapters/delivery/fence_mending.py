"""Mending of code fences that stand behind words or end behind code, so that every client reads the same code.

Discord opens and closes code at any three backticks; other clients read fences line by line, as CommonMark has them.
In a mended text each run of three backticks or more is a fence on a line of its own, or stands within fenced code.
"""

import re

from adapters.delivery.code_fences import Fence, after_quotes, closes_fence, opened_fence, split_lines

_RUN = re.compile(r"`+")
_QUOTES = re.compile(r"(?:[ \t]*>)+[ \t]?")
_MARKERS = re.compile(r"(?:[ \t]*>)*[ \t]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)*")
_LANGUAGE = re.compile(r"[\w+\-.#]{0,30}")
_AFTER_CODE = re.compile(r"[\s.,;:!?)]")
_MAX_HELD_CHARACTERS = 200
"""Code on an unfinished line is not shown before its line is complete, up to this length."""

ZERO_WIDTH_SPACE = "\u200b"


def mend_fences(text: str, *, ended: bool = True) -> str:
    """The text with each code fence on a line of its own.

    Of a text that has not `ended`, a fence without any code and the code on an unfinished line of words are left out:
    the next characters decide how they are read. Mending a mended text changes nothing.
    """
    while "```" in text:
        mending = _Mending(text, ended)
        text = mending.mended_text()
        if not mending.has_dropped:  # else the fence before may be the last one now, and without code
            break
    return text


def break_runs(code: str) -> str:
    """Code in which no three backticks follow each other: a character without width stands between them."""
    return code.replace("``", f"``{ZERO_WIDTH_SPACE}") if "```" in code else code


class _Mending:
    """The work on one text, line by line."""

    def __init__(self, text: str, ended: bool) -> None:
        self._lines = split_lines(text)
        self._ended = ended
        self._number = 0
        self._last_marked = max((number for number, line in enumerate(self._lines) if "```" in line), default=-1)
        self._fence: Fence | None = None
        self._fence_begin = 0
        self._mended: list[str] = []
        self.has_dropped = False

    def mended_text(self) -> str:
        for number, line in enumerate(self._lines):
            self._number, rest = number, line
            while rest:
                rest = self._take_code(rest, self._fence) if self._fence else self._take_words(rest)
        if self._fence is not None:
            self._drop_empty_fence(self._fence)
        return "".join(self._mended)

    def _drop_empty_fence(self, fence: Fence) -> None:
        """Leave out a last fence without code; in the end its language stays, which may be a word of the text."""
        opening, *code = self._mended[self._fence_begin :]
        if fence.delimiter[0] == "~" or "".join(code).strip(" \t\r\n>"):
            return
        self.has_dropped = True
        before = opening[: opening.index(fence.delimiter)]
        self._mended[self._fence_begin :] = [before.rstrip(" \t") if before.strip(" \t>") else ""]
        if self._ended and fence.info.strip():
            self._mended[-1] = f"{before}`{fence.info.strip()}`"

    def _take_code(self, line: str, fence: Fence) -> str:
        """Take a line within a fence; the rest of it that is still to be taken."""
        inside = after_quotes(line, fence.quote_depth)
        if inside is None:  # the quote around the fence has ended, and the fence with it
            self._fence = None
            return line
        if closes_fence(fence, line, inside):
            self._fence = None
            self._mended.append(line)
            return ""
        end = _end_behind_code(line, inside, fence)
        if end is None:
            self._mended.append(line)
            return ""
        self._fence = None
        code, rest = line[: end.start()].rstrip(" \t"), line[end.end() :]
        if code[inside:].strip():
            self._mended.append(f"{code}\n")
        words = rest.strip("` \t\r\n")
        self._mended.append(fence.prefix + fence.delimiter + ("\n" if words else rest.lstrip("` \t")))
        return line[:inside] + rest.lstrip(" \t") if words else ""

    def _take_words(self, line: str) -> str:
        """Take a line outside of fences; the rest of it that is still to be taken."""
        fence = opened_fence(line)
        if fence is not None and (fence.delimiter[0] == "~" or is_language(fence.info)):
            self._open(fence, line)
            return ""
        pieces, position = "", 0
        for run in _RUN.finditer(line):
            if run.start() < position:
                continue
            closing = next((each for each in _RUN.finditer(line, run.end()) if each[0] == run[0]), None)
            is_escaped = line[: run.start()].endswith("\\")
            if closing is not None and not is_escaped:
                pieces += line[position : run.start()] + _inline_code(run[0], line[run.end() : closing.start()])
                position = closing.end()
            elif len(run[0]) >= 3:
                pieces += line[position : run.start()]
                if not is_escaped and (opened := self._open_behind_words(pieces, line, run)) is not None:
                    return opened
                pieces += "`" + "\\`" * (len(run[0]) - 1) if is_escaped else "\\`" * len(run[0])
                position = run.end()
        self._mended.append(pieces + line[position:])
        return ""

    def _open_behind_words(self, before: str, line: str, run: re.Match[str]) -> str | None:
        """Open a fence on a line of its own; the code that follows on the line. None: these backticks are no fence."""
        rest = line[run.end() :]
        if self._is_unfinished(line) and len(rest) < _MAX_HELD_CHARACTERS:
            self._mended.append(before)
            return ""
        words = rest.strip()
        is_language = _LANGUAGE.fullmatch(words) is not None
        is_behind_words = _MARKERS.fullmatch(before) is None
        if is_behind_words and not is_language and self._number >= self._last_marked:
            return None  # three backticks that nothing closes, in the middle of a sentence
        prefix = before
        if is_behind_words:
            self._mended.append(before.rstrip(" \t") + "\n")
            prefix = self._prefix_of_fence(line)
        opening = prefix + run[0] + (words if is_language else "") + "\n"
        self._open(opened_fence(opening), opening)
        quotes = _QUOTES.match(prefix)
        return "" if is_language else (quotes[0] if quotes else "") + rest.lstrip(" \t")

    def _prefix_of_fence(self, line: str) -> str:
        """What the line of a moved fence begins with: as the next line goes on with the quote or list item, or not."""
        following = self._lines[self._number + 1] if self._number + 1 < len(self._lines) else ""
        markers = _MARKERS.match(line)
        prefix = re.sub(r"[^ \t>]", " ", markers[0]) if markers else ""
        if prefix.strip():
            quotes = _QUOTES.match(line)
            prefix = quotes[0] if quotes else ""
        return prefix if following.startswith(prefix.rstrip(" \t") if ">" in prefix else prefix) else ""

    def _open(self, fence: Fence | None, line: str) -> None:
        self._fence, self._fence_begin = fence, len(self._mended)
        self._mended.append(line)

    def _is_unfinished(self, line: str) -> bool:
        return not self._ended and self._number == len(self._lines) - 1 and line[-1] not in "\r\n"


def is_language(info: str) -> bool:
    """Whether the words after a fence's delimiter name a language, with or without attributes, and are no code."""
    words = info.split()
    return len(words) < 2 or any(sign in info for sign in "={")


def _end_behind_code(line: str, inside: int, fence: Fence) -> re.Match[str] | None:
    """The run of backticks that ends a fence behind code on the same line, or before words."""
    for run in _RUN.finditer(line, inside):
        if not run[0].startswith(fence.delimiter):
            continue
        before, rest = line[inside : run.start()], line[run.end() :]
        if not rest.strip("` \t\r\n"):
            return run
        has_code, has_words = bool(before.strip()), rest[0].isspace() and len(rest.split()) > 1
        is_end = not before[-1].isspace() if has_code else has_words
        if is_end and _AFTER_CODE.match(rest):
            return run
    return None


def _inline_code(delimiter: str, code: str) -> str:
    """Code within a line, with a delimiter that opens no fence."""
    if len(delimiter) < 3:
        return delimiter + break_runs(code) + delimiter
    code = break_runs(code)
    lengths = {len(run) for run in _RUN.findall(code)}
    if {1, 2} <= lengths:
        code, lengths = code.replace("``", f"`{ZERO_WIDTH_SPACE}`"), {1}
    shorter = "``" if 1 in lengths else "`"
    space = " " if code[:1] == "`" or code[-1:] == "`" else ""
    return shorter + space + code + space + shorter
