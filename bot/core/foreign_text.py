"""Foreign text in prompts: names, messages and passages, marked so that no line of them passes for the prompt's own.

Pure. The same text is always rendered to the same bytes, so that the prefix of a prompt stays what it was.
"""

import re

MAX_NAME_CHARACTERS = 80

INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e0fff]"
)
"""Characters that are invisible or change the direction of text, so that only a model would read them. Joiners stay:
scripts and emoji need them.
"""

_LINE_BREAK = re.compile("\r\n?|[\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
# A mark of a passage, as at the beginning of one; within a line it is a text's own, such as an index in code.
_LEADING_MARK = re.compile(r"^([ \t]*)\[(\d{1,3})\]", re.MULTILINE)
_NAME_MARKS = str.maketrans({":": " ", "[": "(", "]": ")"})


def clean_text(text: str) -> str:
    """The text without invisible characters; all its line breaks are `\\n`."""
    if text.isprintable():  # all turns of a conversation are read for each message, and most are plain lines
        return text
    return INVISIBLE.sub("", _LINE_BREAK.sub("\n", text))


def clean_line(text: str) -> str:
    """The text in one line, without invisible characters."""
    return " ".join(clean_text(text).split())


def clean_name(name: str) -> str:
    """A display name in one line of at most 80 characters, without the colon that ends a speaker's name in a prompt and
    without the brackets of a passage's number.
    """
    return clean_line(clean_line(name).translate(_NAME_MARKS))[:MAX_NAME_CHARACTERS].strip()


def quote_lines(text: str) -> str:
    """The text with `> ` before each line, as mail and Markdown quote; a number in brackets that begins a line gets
    round ones, because `[1]` is how a passage of the prompt begins.
    """
    broken = _LEADING_MARK.sub(r"\1(\2)", clean_text(text))
    return "\n".join(f"> {line}".rstrip() for line in broken.split("\n"))


def spoken_text(speaker: str, text: str) -> str:
    """A message in one speaker's mouth: his name before it, its further lines indented, so that none of them names
    another speaker. The text alone when the name is empty.
    """
    name = clean_name(speaker) if speaker else ""
    if not name:
        return clean_text(text)
    return f"{name}: " + "\n".join(f"  {line}" if line.strip() else "" for line in clean_text(text).split("\n")).strip()
