"""GBNF, llama.cpp's notation for grammars: its literals, and rules within limits of number, length and repetition."""

import json
from collections.abc import Sequence

from models.engine import SchemaRefused

MAX_CHARACTERS = 1 << 17
"""Of a grammar's text."""

MAX_REPETITIONS = 2000
"""Of one repetition; llama.cpp takes a larger limit for none (its MAX_REPETITION_THRESHOLD)."""

MAX_TOTAL_REPETITIONS = 20_000
"""Of all repetitions together: llama.cpp writes each of them out."""

_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def refusal(reason: str) -> SchemaRefused:
    """The error for a schema that cannot be followed; `reason` completes the sentence."""
    return SchemaRefused(f"The JSON schema cannot be followed: {reason}.")


def literal(text: str) -> str:
    """A text as a GBNF literal."""
    return '"' + "".join(_ESCAPES.get(each) or (each if each >= " " else f"\\x{ord(each):02X}") for each in text) + '"'


def json_literal(value: object) -> str:
    """The JSON text of a value as a GBNF literal."""
    text = json.dumps(value, ensure_ascii=False)
    # Half of a pair of surrogates is no character, and can only be written as an escape.
    return literal(json.dumps(value) if any("\ud800" <= each <= "\udfff" for each in text) else text)


def character_class(ranges: Sequence[tuple[int, int]], negated: bool = False) -> str:
    """A GBNF class of the characters in the ranges of code points, both ends included."""
    parts = (_code(low) if low == high else f"{_code(low)}-{_code(high)}" for low, high in ranges)
    return f"[{'^' if negated else ''}{''.join(parts)}]"


def _code(point: int) -> str:
    character = chr(point)
    return character if character.isascii() and character.isalnum() else f"\\U{point:08X}"


class Grammar:
    """A growing set of rules. Equal rules are one; what is added raises SchemaRefused once it is too much."""

    def __init__(self) -> None:
        self._rules: dict[str, str] = {"space": '" "?'}
        self._names: dict[str, str] = {}
        self._characters = 0
        self._repetitions = 0

    def add_rule(self, expression: str) -> str:
        """The name of the rule for an expression."""
        if expression in self._rules:
            return expression
        if expression not in self._names:
            name = self.reserve_rule()
            self.define_rule(name, expression)
            self._names[expression] = name
        return self._names[expression]

    def reserve_rule(self) -> str:
        """The name of a rule that is still to be defined, because it refers to itself."""
        name = f"r{len(self._rules)}"
        self._rules[name] = ""
        return name

    def define_rule(self, name: str, expression: str) -> None:
        """Give a reserved rule its expression."""
        self._characters += len(name) + len(expression) + 6
        if self._characters > MAX_CHARACTERS:
            raise refusal(f"its grammar has more than {MAX_CHARACTERS} characters")
        self._rules[name] = expression

    def repeat(self, item: str, least: int, most: int | None) -> str:
        """The name of a rule that repeats an expression from `least` to `most` times; None: without limit.

        A rule of its own: llama.cpp multiplies the repetitions that stand in one rule, and refuses large products.
        """
        if (least, most) == (1, 1):
            return self.add_rule(item)
        if most == 0:
            return self.add_rule('""')
        self._repetitions += max(least, most or 0)
        if self._repetitions > MAX_TOTAL_REPETITIONS:
            raise refusal(f"it repeats more than {MAX_TOTAL_REPETITIONS} things one by one")
        return self.add_rule(f"{self.add_rule(item)}{{{least},{'' if most is None else most}}}")

    def text(self, root: str) -> str:
        """The grammar whose root is the named rule."""
        return "\n".join(f"{name} ::= {rule}" for name, rule in {"root": root, **self._rules}.items())
