"""Marks around a model's thinking and around its answer: the families that are known, and those of one model."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

CHANNEL, MESSAGE, MESSAGE_END, MESSAGE_START = "<|channel|>", "<|message|>", "<|end|>", "<|start|>assistant"
"""Marks of Harmony, the format of gpt-oss: `<|channel|>NAME<|message|>text<|end|><|start|>assistant<|channel|>…`."""

HARMONY_ANSWER = f"{CHANNEL}final{MESSAGE}"
"""What begins an answer of gpt-oss."""

CALL_HEADER = re.compile(r"to=functions\.[\w-]+")
"""In the header of a call of gpt-oss: the function."""

HARMONY_TOKENS = frozenset({CHANNEL, MESSAGE, MESSAGE_END, "<|start|>", "<|constrain|>"})

_KNOWN: Mapping[str, str] = {
    "<think>": "</think>",
    "<thinking>": "</thinking>",
    "<thought>": "</thought>",
    "<seed:think>": "</seed:think>",
    "<mm:think>": "</mm:think>",
    "<longcat_think>": "</longcat_think>",
    "<think:opensource>": "</think:opensource>",  # Hunyuan 3
    "[THINK]": "[/THINK]",
    "◁think▷": "◁/think▷",
    "<|START_THINKING|>": "<|END_THINKING|>",
    "<|begin_of_thought|>": "<|end_of_thought|>",
    "<|inner_prefix|>": "<|inner_suffix|>",  # Apertus
    "<|channel>thought": "<channel|>",  # Gemma 4
    "<|channel|>thought": "<channel|>",
    "<unused94>thought": "<unused95>",  # MedGemma
    "<unused94>": "<unused95>",
    "[unused16]": "[unused17]",  # Pangu
    "Here is my thought process:": "Here is my response:",  # Granite 3.2
    "Here are my reasoning steps:": "[BEGIN FINAL RESPONSE]",  # Apriel
}
_ANSWER_PAIRS: Mapping[str, str] = {
    "<answer>": "</answer>",
    "<output>": "</output>",
    "<solution>": "</solution>",
    "<|begin_of_solution|>": "<|end_of_solution|>",
    "<|START_RESPONSE|>": "<|END_RESPONSE|>",
    "[BEGIN FINAL RESPONSE]": "[END FINAL RESPONSE]",
}
# A name of thinking in a mark that no list has: `<my_thoughts>`, `<|reasoning_start|>`.
_MARK = re.compile(r"<[^<>\s]{2,40}>|\[[^\[\]\s]{2,40}\]|◁[^◁▷\s]{2,40}▷")
_HARMONY_HEADER = re.compile(r"<\|channel\|>(\w+)[^<]*<\|message\|>$")
_NAMES_THINKING = re.compile(r"think|thought|reason|reflect|scratchpad", re.IGNORECASE)
_ENDINGS = (("start", "end"), ("begin", "end"), ("bot", "eot"), ("open", "close"), ("prefix", "suffix"))


@dataclass(frozen=True)
class ThinkingMarks:
    """Opening marks of thinking and their closing ones; the same for the marks that some models put around answers."""

    pairs: Mapping[str, str] = field(default_factory=lambda: dict(_KNOWN))
    answer_pairs: Mapping[str, str] = field(default_factory=lambda: dict(_ANSWER_PAIRS))

    @cached_property
    def closings(self) -> tuple[str, ...]:
        """The closing marks of thinking."""
        return tuple(dict.fromkeys(self.pairs.values()))

    @cached_property
    def at_start(self) -> tuple[str, ...]:
        """Everything that may stand in front of an answer, the longest first."""
        marks = {*self.pairs, *self.closings, *self.answer_pairs, CHANNEL}
        return tuple(sorted(marks, key=len, reverse=True))

    @cached_property
    def texts(self) -> frozenset[str]:
        """All marks, as tokens of a vocabulary would have them."""
        pairs = (self.pairs, self.answer_pairs)
        named = {mark for marks in pairs for pair in marks.items() for mark in pair}
        return frozenset(named | {"<|channel>", CHANNEL})

    def opened_by(self, prompt_end: str) -> str | None:
        """The opening mark in which a rendered prompt ends, so that the reply begins inside the thinking; for Harmony
        the mark of a channel.
        """
        ending = prompt_end.rstrip()
        if (header := _HARMONY_HEADER.search(ending)) is not None:
            return None if header[1] == "final" else CHANNEL
        return next((mark for mark in sorted(self.pairs, key=len, reverse=True) if ending.endswith(mark)), None)

    def are_named_in(self, text: str) -> bool:
        """Whether a text, such as a template, names a mark of thinking."""
        return any(mark in text for mark in (*self.pairs, *self.closings, CHANNEL))


KNOWN_MARKS = ThinkingMarks()


def find_thinking_marks(vocabulary: Collection[str], template: str) -> ThinkingMarks:
    """The known marks, and those of a model: pairs with a name of thinking in its special tokens or in its template."""
    present = set(_MARK.findall(template)) | {text for text in vocabulary if _MARK.fullmatch(text)}
    own = {
        mark: closing
        for mark in sorted(present)
        if "{" not in mark and _NAMES_THINKING.search(mark) and (closing := _find_closing(mark, present)) is not None
    }
    return ThinkingMarks({**_KNOWN, **own})


def _find_closing(mark: str, present: Collection[str]) -> str | None:
    return next((closing for closing in _possible_closings(mark) if closing in present), None)


def _possible_closings(mark: str) -> Iterable[str]:
    """`<x>` and `</x>`, `<|x|>` and `<|/x|>`, `<|x>` and `<x|>`, `<|x_start|>` and `<|x_end|>`."""
    yield f"{mark[0]}/{mark[1:]}"
    if mark.startswith("<|") and mark.endswith("|>"):
        yield f"<|/{mark[2:]}"
        yield f"</|{mark[2:]}"
    elif mark.startswith("<|"):
        yield f"<{mark[2:-1]}|>"
    for opening, closing in _ENDINGS:
        for first, last in ((opening, closing), (opening.upper(), closing.upper())):
            if first in mark:
                yield mark.replace(first, last, 1)
