"""Ends of sentences, found from the characters alone, in text that is still being written."""

import re
from collections.abc import Iterator

# Characters allowed between a full stop and the space after it: quotes, brackets, Markdown's emphasis.
_CLOSING = r"[\"'”’»›)\]*_~]*+"
_END = re.compile(rf"(?<![.!?…؟])[.!?…؟]++{_CLOSING}(?=\s)|[。！？]++{_CLOSING}")
# Abbreviations, whose full stop ends no sentence: one letter (initials, "e. g."), a list's number, common short forms.
_ABBREVIATION = re.compile(
    r"(?:^|[\s(\[\"'«.])(?:[^\W\d_]|\d{1,3}|e\.g|i\.e|etc|vs|cf|ca|no|nr|dr|mr|mrs|ms|prof|st|approx|fig|mme|mlle|env|ex|p\.ex)\.$",
    re.IGNORECASE,
)
# A line without words: a fence, a heading's number signs, a rule, an empty bullet.
_WORDLESS_LINE = re.compile(r"\s*+(?:```|~~~)|[#>*+_\-\s\d.)]*+$")


def sentence_ends(text: str) -> Iterator[int]:
    """Offsets just after each sentence, before the space that follows it."""
    for found in _END.finditer(text):
        if not _ABBREVIATION.search(text, max(0, found.start() - 12), found.start() + 1):
            yield found.end()


def has_sentence(text: str) -> bool:
    """Whether there is enough to read: a whole sentence, or a whole line with words."""
    lines = text.split("\n")[:-1]
    return any(not _WORDLESS_LINE.match(line) for line in lines) or next(sentence_ends(text), None) is not None
