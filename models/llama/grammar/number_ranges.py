"""Expressions for the JSON numbers between two bounds, in decimal digits without exponent."""

from dataclasses import dataclass
from decimal import Decimal

from models.llama.grammar.gbnf import Grammar, literal, refusal

_MAX_DIGITS = 15
_LARGEST = 10 ** (_MAX_DIGITS + 1) - 1


@dataclass(frozen=True, slots=True)
class Bound:
    """A limit of a range; `is_open` when the value itself is outside."""

    value: Decimal
    is_open: bool = False


def number_range(grammar: Grammar, least: Bound | None, most: Bound | None, *, whole: bool) -> str:
    """The name of the rule for the numbers from `least` to `most`, only integers if `whole`.

    Raises SchemaRefused for an empty range, and for bounds of more than 15 digits before or after the point.
    """
    for bound in (least, most):
        if bound is not None and (abs(bound.value) >= 10**_MAX_DIGITS or len(_fraction(bound.value)) > _MAX_DIGITS):
            raise refusal(f"the limit {str(bound.value)[:40]} of a number has more than {_MAX_DIGITS} digits")
    choices = [f'"-" {choice}' for choice in _below_zero(grammar, least, most, whole=whole)]
    choices += _from_zero(grammar, least, most, whole=whole)
    if not choices:
        raise refusal("the limits of a number leave none")
    return grammar.add_rule(" | ".join(choices))


def _below_zero(grammar: Grammar, least: Bound | None, most: Bound | None, *, whole: bool) -> list[str]:
    if least is not None and least.value >= 0:
        return []
    largest = None if least is None else Bound(-least.value, least.is_open)
    smallest = Bound(-most.value, most.is_open) if most is not None and most.value < 0 else Bound(Decimal(0), True)
    return _magnitudes(grammar, smallest, largest, whole=whole)


def _from_zero(grammar: Grammar, least: Bound | None, most: Bound | None, *, whole: bool) -> list[str]:
    if most is not None and (most.value < 0 or (most.value == 0 and most.is_open)):
        return []
    smallest = least if least is not None and least.value >= 0 else Bound(Decimal(0))
    return _magnitudes(grammar, smallest, most, whole=whole)


def _magnitudes(grammar: Grammar, least: Bound, most: Bound | None, *, whole: bool) -> list[str]:
    """The numbers from `least`, which is not negative, to `most`."""
    first = int(least.value)
    last = _LARGEST if most is None else int(most.value)
    if whole:
        first += bool(_fraction(least.value)) or least.is_open
        last -= most is not None and most.is_open and not _fraction(most.value)
        return _integers(grammar, first, last)
    low = _Tail(_fraction(least.value), least.is_open)
    high = _Tail() if most is None else _Tail(_fraction(most.value), most.is_open)
    if first == last and most is not None:
        return _with_fraction(grammar, [literal(str(first))], low, high)
    if first > last:
        return []
    between = _integers(grammar, first + 1, last - (most is not None))
    return [
        *_with_fraction(grammar, [literal(str(first))], low, _Tail()),
        *_with_fraction(grammar, between, _Tail(), _Tail()),
        *(_with_fraction(grammar, [literal(str(last))], _Tail(), high) if most is not None else ()),
    ]


def _fraction(value: Decimal) -> str:
    """The digits after the point, without zeros at their end."""
    return format(value, "f").partition(".")[2].rstrip("0")


def _integers(grammar: Grammar, first: int, last: int) -> list[str]:
    """The integers of a range, without leading zeros."""
    choices: list[str] = []
    begin = first
    while begin <= last:
        end = min(last, 10 ** len(str(begin)) - 1)
        choices += _same_length(grammar, str(begin), str(end))
        begin = end + 1
    return choices


def _same_length(grammar: Grammar, low: str, high: str) -> list[str]:
    """The numbers from `low` to `high`, which have the same number of digits."""
    if not low:
        return ['""']
    if set(low) == {"0"} and set(high) == {"9"}:
        return [_digits(grammar, len(low))]
    first, last = int(low[0]), int(high[0])
    if first == last:
        return [f"{literal(low[0])} {rest}" for rest in _same_length(grammar, low[1:], high[1:])]
    full, empty = "9" * (len(low) - 1), "0" * (len(low) - 1)
    first_is_whole, last_is_whole = low[1:] == empty, high[1:] == full
    choices = []
    if not first_is_whole:
        choices += [f"{literal(low[0])} {rest}" for rest in _same_length(grammar, low[1:], full)]
    begin, end = first + (not first_is_whole), last - (not last_is_whole)
    if begin <= end:
        choices.append(f"[{begin}-{end}] {_digits(grammar, len(low) - 1)}".strip())
    if not last_is_whole:
        choices += [f"{literal(high[0])} {rest}" for rest in _same_length(grammar, empty, high[1:])]
    return choices


def _digits(grammar: Grammar, count: int) -> str:
    return grammar.repeat("[0-9]", count, count) if count else '""'


@dataclass(frozen=True, slots=True)
class _Tail:
    """A limit of the digits that follow; None: no limit. Missing digits are zeros."""

    digits: str | None = None
    is_open: bool = False

    @property
    def first(self) -> int:
        return int(self.digits[0]) if self.digits else 0

    @property
    def rest(self) -> "_Tail":
        return _Tail((self.digits or "")[1:], self.is_open)


def _with_fraction(grammar: Grammar, whole_parts: list[str], low: _Tail, high: _Tail) -> list[str]:
    """The integer parts, each with a fraction within the limits."""
    if not whole_parts:
        return []
    can_end, more = _may_end(low, high), _fractions(grammar, low, high)
    if not more:
        return whole_parts if can_end else []
    fraction = f'("." {grammar.add_rule(" | ".join(more))})' + ("?" if can_end else "")
    return [f"{part} {fraction}" for part in whole_parts]


def _may_end(low: _Tail, high: _Tail) -> bool:
    """Whether no further digit is needed."""
    above = low.digits is None or (low.digits == "" and not low.is_open)
    return above and (high.digits is None or high.digits != "" or not high.is_open)


def _fractions(grammar: Grammar, low: _Tail, high: _Tail) -> list[str]:
    """The digits, at least one, within the limits."""
    if low.digits == "" and not low.is_open:
        low = _Tail()
    if high.digits == "":
        # Nothing but zeros is left below it.
        return [] if high.is_open or low.digits is not None else [grammar.repeat('"0"', 1, _MAX_DIGITS)]
    if low.digits is None and high.digits is None:
        return [grammar.repeat("[0-9]", 1, _MAX_DIGITS)]
    if low.digits == "" and high.digits is None:
        zeros = grammar.repeat('"0"', 0, _MAX_DIGITS - 1)
        return [f"{zeros} [1-9] {grammar.repeat('[0-9]', 0, _MAX_DIGITS - 1)}"]
    first = 0 if low.digits is None else low.first
    last = 9 if high.digits is None else high.first
    choices: list[str] = []
    for digit in range(first, last + 1):
        next_low = low.rest if low.digits is not None and digit == first else _Tail()
        next_high = high.rest if high.digits is not None and digit == last else _Tail()
        more = _fractions(grammar, next_low, next_high)
        if _may_end(next_low, next_high):
            choices.append(
                f"{literal(str(digit))} {grammar.add_rule(' | '.join(more))}?" if more else literal(str(digit))
            )
        elif more:
            choices.append(f"{literal(str(digit))} {grammar.add_rule(' | '.join(more))}")
    return choices
