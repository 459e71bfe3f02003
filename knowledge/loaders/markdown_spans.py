"""Spans of a Markdown text that mean something to programs only, taken out or read as their names."""

import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import PurePosixPath

from knowledge.loaders.html_page import fragment_markdown

_CODE = (
    r"^(?P<fence>[ ]{0,3}(?:`{3,}|~{3,}))[^\n]*\n(?:.*?\n)??(?P=fence)[`~]*[ \t]*$",
    r"(?<!`)(?P<tick>`+)(?!`)[^\n]{1,1000}?(?<!`)(?P=tick)(?!`)",
)
_DROPPED = (
    r"<!--.*?-->",
    r"<(?P<tag>script|style)\b[^>]{0,1000}>.*?</(?P=tag)\s*>",
    r"^%%[ \t]*\n.*?\n%%[ \t]*$",
    r"(?<![^\s])%%[^\n%]{1,2000}%%",
    r"^\[[^\]\n]{1,100}\]:[ \t]*<?data:[^\n]*$",
    r"[ \t]\^[A-Za-z0-9-]{1,40}$",
)
_TAGS = (
    r"a|abbr|article|aside|audio|b|big|blockquote|button|center|cite|dd|del|details|div|dl|dt|em|fieldset|"
    r"figcaption|figure|font|footer|form|h[1-6]|header|hr|i|iframe|input|ins|kbd|label|legend|li|main|mark|"
    r"nav|ol|option|p|picture|s|section|select|small|source|span|strong|sub|summary|sup|svg|textarea|time|"
    r"tt|u|ul|video"
)
"""Elements of HTML; what else stands in angle brackets, such as a placeholder, is text."""
_SPANS = re.compile(
    "|".join(
        (
            f"(?P<code>{'|'.join(_CODE)})",
            f"(?P<dropped>{'|'.join(_DROPPED)})",
            r"(?P<picture>!\[(?P<alt>[^\]\n]{0,500})\]\(\s*<?data:[^)\n]*\))",
            r"(?P<data>data:[\w.+-]{1,40}/[\w.+-]{1,60}(?:;[\w=-]{1,60})*;base64,[A-Za-z0-9+/=%]*)",
            r"(?P<link>!?\[\[(?P<target>[^\[\]|\n]{1,300})(?:\|(?P<alias>[^\[\]\n]{0,300}))?\]\])",
            r"(?P<note>\[\^(?P<mark>[^\]\n]{1,50})\])",
            r"(?P<box><input\b(?=[^>]{0,200}\btype\s*=\s*[\"']?checkbox)(?P<attributes>[^>]{0,300})>)",
            r"(?P<image><img\b[^>]{0,5000}>)",
            r"(?P<break><br\s*/?>)",
            rf"(?P<html></?(?:{_TAGS})(?:\s[^<>]{{0,2000}})?/?>)",
            r"(?P<table><table\b[^>]{0,500}>.*?</table\s*>)",
        )
    ),
    re.DOTALL | re.MULTILINE | re.IGNORECASE,
)
_MDX_LINES = re.compile(
    r"^(?:import\s[^\n]*\sfrom\s+['\"][^\n]*|import\s+['\"][^\n]*|export\s+(?:const|let|default)\b[^\n]*)\n",
    re.MULTILINE,
)
_FOOTNOTE = re.compile(r"^\[\^(?P<mark>[^\]\n]{1,50})\]:[ \t]*(?P<text>[^\n]{1,500})\n?(?=\n|\[\^|\Z)", re.MULTILINE)
"""A footnote of one line."""
_SIZE = re.compile(r"[0-9]{1,5}(?:x[0-9]{1,5})?")
_PICTURES = frozenset({".png", ".jpg", ".jpeg", ".gif", ".svg", ".webp", ".pdf", ".mp3", ".mp4"})


def clean_markdown(text: str, *, mdx: bool = False) -> str:
    """The text without comments, scripts, styles and data URIs; links between notes and embeds read as names.

    Code keeps what it says. Footnotes of one line stand where they are referred to. Check boxes and tables in HTML
    become Markdown, other HTML its text.
    """
    text = _MDX_LINES.sub("", text) if mdx else text
    notes = {match["mark"]: match["text"].strip() for match in _FOOTNOTE.finditer(text)} if "[^" in text else {}
    return _SPANS.sub(partial(_replacement, notes), _FOOTNOTE.sub("", text) if notes else text)


def _replacement(notes: Mapping[str, str], match: re.Match[str]) -> str:
    if match["note"]:
        # Where it is referred to: at the end of the text it would be a passage without its sentence.
        return f" ({notes[match['mark']]})" if match["mark"] in notes else match[0]
    kind = next(name for name in (*_REPLACEMENTS, "code", "dropped") if match[name] is not None)
    return match[0] if kind == "code" else _REPLACEMENTS.get(kind, _nothing)(match)


def _nothing(_match: re.Match[str]) -> str:
    return ""


def _link_name(match: re.Match[str]) -> str:
    """The words shown for a link, and after them the note's name where they do not hold it."""
    note, _, part = match["target"].partition("#")
    path = PurePosixPath(note.strip())
    name = path.stem if path.suffix.lower() in _PICTURES | {".md"} else path.name
    named = " > ".join(piece for piece in (name, part.strip().lstrip("^")) if piece)
    alias = (match["alias"] or "").strip()
    if not alias or _SIZE.fullmatch(alias):
        return named
    return alias if name.casefold() in alias.casefold() else f"{alias} ({name})"


def _check_box(match: re.Match[str]) -> str:
    return "[x]" if re.search(r"\bchecked\b", match["attributes"], re.IGNORECASE) else "[ ]"


def _description(match: re.Match[str]) -> str:
    described = re.search(r"\balt\s*=\s*(?:\"([^\"]*)\"|'([^']*)')", match[0], re.IGNORECASE)
    return (described[1] or described[2] or "") if described else ""


def _table(match: re.Match[str]) -> str:
    return f"\n\n{fragment_markdown(match[0])}\n\n"


_REPLACEMENTS: dict[str, Callable[[re.Match[str]], str]] = {
    "picture": lambda match: match["alt"],
    "data": _nothing,
    "link": _link_name,
    "box": _check_box,
    "image": _description,
    "break": lambda match: " ",
    "html": _nothing,
    "table": _table,
}
