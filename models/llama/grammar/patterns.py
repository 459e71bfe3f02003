"""Regular expressions of JSON schemas (ECMA 262) as rules for the inside of a JSON string."""

from dataclasses import dataclass

from models.llama.grammar.automata import Build, Ranges, alternatives, characters, deterministic, repetition, sequence
from models.llama.grammar.gbnf import MAX_REPETITIONS, Grammar, character_class, literal, refusal

MAX_PATTERN_CHARACTERS = 1000
MAX_PATTERN_SIZE = 2000
"""Characters of a pattern with its counted repetitions written out."""
_MAX_DEPTH = 50

_LAST = 0x10FFFF
_DIGIT: Ranges = [(0x30, 0x39)]
_WORD: Ranges = [(0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)]
_SPACE: Ranges = [(0x09, 0x0D), (0x20, 0x20), (0xA0, 0xA0), (0x2028, 0x2029), (0xFEFF, 0xFEFF)]
_LINE_END: Ranges = [(0x0A, 0x0A), (0x0D, 0x0D), (0x2028, 0x2029)]
_CLASSES = {"d": _DIGIT, "w": _WORD, "s": _SPACE}
_CONTROLS = {"t": 0x09, "n": 0x0A, "v": 0x0B, "f": 0x0C, "r": 0x0D, "0": 0x00}
# Characters that a JSON string holds as an escape only, with the escape.
_JSON_ESCAPES = {0x08: "\\b", 0x09: "\\t", 0x0A: "\\n", 0x0C: "\\f", 0x0D: "\\r", 0x22: '\\"', 0x5C: "\\\\"}


@dataclass(frozen=True, slots=True)
class _Part:
    """An expression, and its size with repetitions written out."""

    build: Build
    size: int


def pattern_rule(grammar: Grammar, pattern: str) -> str:
    """The name of the rule for the strings, without their quotes, in which a pattern is found.

    Raises SchemaRefused for patterns that no grammar expresses, and for those that are too large to follow.
    """
    if len(pattern) > MAX_PATTERN_CHARACTERS:
        raise refusal(f"a pattern has {len(pattern)} characters, more than {MAX_PATTERN_CHARACTERS}")
    is_anchored_left = pattern.startswith("^")
    is_anchored_right = pattern.endswith("$") and (len(pattern) - len(pattern[:-1].rstrip("\\"))) % 2 == 1
    inner = pattern[int(is_anchored_left) : len(pattern) - int(is_anchored_right)]
    parser = _PatternParser(pattern, inner)
    part = parser.parse()
    if parser.has_top_alternatives and (is_anchored_left or is_anchored_right):
        raise refusal(f"the pattern {pattern[:80]!r} has alternatives outside of brackets: write ^(a|b)$")
    anything = repetition(characters([(0, _LAST)]), 0, None)
    left, right = ([] if is_anchored else [anything] for is_anchored in (is_anchored_left, is_anchored_right))
    return _automaton_rule(grammar, sequence([*left, part.build, *right]))


def _automaton_rule(grammar: Grammar, expression: Build) -> str:
    """The name of the rule for an expression's first state; each state is a rule."""
    states = deterministic(expression)
    names = [grammar.reserve_rule() for _ in states]
    for name, state in zip(names, states, strict=True):
        moves = [(_class_expression(ranges), target) for ranges, target in state.moves]
        choices = [f"{grammar.add_rule(text)} {names[target]}" for text, target in moves if text]
        if not choices and not state.accepts:
            raise refusal("a pattern asks for a character that JSON does not write")
        grammar.define_rule(name, " | ".join([*choices, *(['""'] if state.accepts else [])]))
    return names[0]


class _PatternParser:
    """A recursive-descent parser of one pattern."""

    def __init__(self, pattern: str, inner: str) -> None:
        self._shown = pattern[:80]
        self._text = inner
        self._at = 0
        self.has_top_alternatives = False

    def parse(self) -> _Part:
        """The whole pattern."""
        part = self._alternatives(0)
        if self._at < len(self._text):
            raise self._refusal("has a bracket too many")
        return part

    def _refusal(self, what: str) -> Exception:
        return refusal(f"the pattern {self._shown!r} {what}")

    def _next(self) -> str:
        return self._text[self._at : self._at + 1]

    def _take(self) -> str:
        character = self._next()
        if not character:
            raise self._refusal("ends too early")
        self._at += 1
        return character

    def _alternatives(self, depth: int) -> _Part:
        if depth > _MAX_DEPTH:
            raise self._refusal("has too many brackets within each other")
        parts = [self._sequence(depth)]
        while self._next() == "|":
            self._at += 1
            parts.append(self._sequence(depth))
        if len(parts) == 1:
            return parts[0]
        self.has_top_alternatives = self.has_top_alternatives or depth == 0
        return self._sized(alternatives([part.build for part in parts]), sum(part.size for part in parts))

    def _sized(self, build: Build, size: int) -> _Part:
        if size > MAX_PATTERN_SIZE:
            raise self._refusal(f"stands for more than {MAX_PATTERN_SIZE} characters")
        return _Part(build, size)

    def _sequence(self, depth: int) -> _Part:
        parts: list[_Part] = []
        while self._next() not in ("", "|", ")"):
            parts.append(self._repeated(self._atom(depth)))
        return self._sized(sequence([part.build for part in parts]), sum(part.size for part in parts))

    def _repeated(self, part: _Part) -> _Part:
        least, most = 1, 1 if self._next() not in ("*", "+", "?", "{") else None
        if most == 1:
            return part
        match self._take():
            case "*":
                least = 0
            case "?":
                least, most = 0, 1
            case "{":
                least, most = self._counts()
        if self._next() in ("?", "+"):
            self._at += 1  # lazy or possessive: the same texts match
        if self._next() in ("*", "{"):
            raise self._refusal("repeats a repetition")
        size = part.size * max(least, 1 if most is None else most)
        if max(least, most or 0) * max(part.size, 1) > MAX_PATTERN_SIZE:
            size = MAX_PATTERN_SIZE + 1
        return self._sized(repetition(part.build, least, most), size)

    def _counts(self) -> tuple[int, int | None]:
        end = self._text.find("}", self._at)
        low, comma, high = self._text[self._at : max(end, self._at)].partition(",")
        if end < 0 or not low.isdecimal() or not (high.isdecimal() or not high) or len(low + high) > 30:
            raise self._refusal("has a repetition that is not of the form {m}, {m,} or {m,n}")
        self._at = end + 1
        least, most = int(low), (int(high) if high else None) if comma else int(low)
        if most is not None and most < least:
            raise self._refusal("has a repetition whose limits are the wrong way round")
        if max(least, most or 0) > MAX_REPETITIONS:
            raise self._refusal(f"repeats more than {MAX_REPETITIONS} times")
        return least, most

    def _atom(self, depth: int) -> _Part:
        match character := self._take():
            case "(":
                return self._group(depth)
            case "[":
                return _Part(characters(self._class()), 1)
            case ".":
                return _Part(characters(_complement(_LINE_END)), 1)
            case "\\":
                ranges = self._escape(in_class=False)
                return _Part(characters(ranges), 1)
            case "^" | "$":
                raise self._refusal(f"has {character!r} elsewhere than at its beginning or end")
            case "*" | "+" | "?" | "{":
                raise self._refusal("repeats nothing")
        return _Part(characters([(ord(character), ord(character))]), 1)

    def _group(self, depth: int) -> _Part:
        if self._next() == "?":
            if self._text[self._at : self._at + 2] != "?:":
                raise self._refusal("looks ahead or behind, or names a group, which is not followed")
            self._at += 2
        part = self._alternatives(depth + 1)
        if self._take() != ")":
            raise self._refusal("lacks a closing bracket")
        return part

    def _escape(self, *, in_class: bool) -> Ranges:
        character = self._take()
        if character.lower() in _CLASSES:
            ranges = _CLASSES[character.lower()]
            return _complement(ranges) if character.isupper() else ranges
        if character in _CONTROLS:
            return [(_CONTROLS[character], _CONTROLS[character])]
        if character in "xu":
            return self._code_point(2 if character == "x" else 4)
        if character == "b" and in_class:
            return [(0x08, 0x08)]
        if character.isalnum():
            raise self._refusal(f"has '\\{character}', which is not followed")
        return [(ord(character), ord(character))]

    def _code_point(self, digits: int) -> Ranges:
        code = self._text[self._at : self._at + digits]
        if len(code) < digits or not all(each in "0123456789abcdefABCDEF" for each in code):
            raise self._refusal("has a code point that is not written in hexadecimal digits")
        self._at += digits
        return [(int(code, 16), int(code, 16))]

    def _class(self) -> Ranges:
        is_negated = self._next() == "^"
        self._at += is_negated
        ranges: list[tuple[int, int]] = []
        while (character := self._take()) != "]":
            first = self._escape(in_class=True) if character == "\\" else [(ord(character), ord(character))]
            if len(first) > 1 or first[0][0] != first[0][1] or self._next() != "-":
                ranges += first
                continue
            self._at += 1
            if (end := self._take()) == "]":
                return self._class_ranges([*ranges, *first, (0x2D, 0x2D)], is_negated)
            last = self._escape(in_class=True) if end == "\\" else [(ord(end), ord(end))]
            if len(last) > 1 or last[0][1] < first[0][0]:
                raise self._refusal("has a range of characters that ends before it begins")
            ranges.append((first[0][0], last[0][1]))
        return self._class_ranges(ranges, is_negated)

    def _class_ranges(self, ranges: Ranges, is_negated: bool) -> Ranges:
        wanted = _complement(ranges) if is_negated else ranges
        if not wanted:
            raise self._refusal("has an empty class of characters")
        return wanted


def _complement(ranges: Ranges) -> Ranges:
    gaps: list[tuple[int, int]] = []
    begin = 0
    for low, high in sorted(ranges):
        if begin < low:
            gaps.append((begin, low - 1))
        begin = max(begin, high + 1)
    return [*gaps, (begin, _LAST)] if begin <= _LAST else gaps


def _class_expression(ranges: Ranges) -> str:
    """One character of the ranges as it stands in a JSON string; empty when JSON writes none of them."""
    must_escape = [(0, 0x1F), (0x22, 0x22), (0x5C, 0x5C), (0xD800, 0xDFFF)]
    outside = _complement(ranges)
    plain = _complement([*outside, *must_escape])
    choices = [character_class(plain)] if plain else []
    choices += [literal(escape) for code, escape in _JSON_ESCAPES.items() if any(a <= code <= b for a, b in ranges)]
    return "" if not choices else choices[0] if len(choices) == 1 else f"({' | '.join(choices)})"
