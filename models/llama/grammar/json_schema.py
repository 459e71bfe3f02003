"""JSON schemas as grammars: within limits, and with a refusal that names what cannot be followed."""

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from models.llama.grammar.gbnf import MAX_REPETITIONS, Grammar, json_literal, refusal
from models.llama.grammar.number_ranges import Bound, number_range
from models.llama.grammar.patterns import pattern_rule
from models.llama.grammar.schema_keywords import Schema, constraints, merge, types_of

MAX_NODES = 4000
"""Values in a schema, and schemas met while its references are followed."""
MAX_DEPTH = 64
MAX_TEXT_CHARACTERS = 1 << 17
"""Of all names and strings in a schema together."""
_MAX_PROPERTIES = 256

_COMMA = ' "," space '

_CHARACTER = r'[^"\\\x7F\x00-\x1F] | "\\" (["\\/bfnrt] | "u" [0-9a-fA-F] [0-9a-fA-F] [0-9a-fA-F] [0-9a-fA-F])'
_DATE = '[0-9] [0-9] [0-9] [0-9] "-" ( "0" [1-9] | "1" [0-2] ) "-" ( "0" [1-9] | [1-2] [0-9] | "3" [0-1] )'
_TIME = (
    '( [01] [0-9] | "2" [0-3] ) ":" [0-5] [0-9] ":" [0-5] [0-9] ( "." [0-9] [0-9] [0-9] )?'
    ' ( "Z" | ( "+" | "-" ) ( [01] [0-9] | "2" [0-3] ) ":" [0-5] [0-9] )'
)
_UUID = ' "-" '.join(" ".join(["[0-9a-fA-F]"] * count) for count in (8, 4, 4, 4, 12))
_FORMATS = {"date": _DATE, "time": _TIME, "date-time": f'{_DATE} "T" {_TIME}', "uuid": _UUID}


def schema_grammar(schema: Schema) -> str:
    """The GBNF grammar of the JSON texts that follow a schema.

    Takes some 10 ms at most. Raises SchemaRefused for schemas that are too large, faulty, or cannot be followed.
    """
    grammar = Grammar()
    return grammar.text(add_schema(grammar, schema))


def add_schema(grammar: Grammar, schema: Schema) -> str:
    """The name of the rule for the JSON texts that follow a schema, added to a grammar. Raises as `schema_grammar`."""
    _check_size(schema)
    return _Converter(schema, grammar).convert()


def _check_size(schema: object) -> None:
    nodes = characters = 0
    waiting = [(schema, 0)]
    while waiting:
        value, depth = waiting.pop()
        nodes += 1
        characters += len(value) if isinstance(value, str) else 0
        if nodes > MAX_NODES or characters > MAX_TEXT_CHARACTERS:
            raise refusal(f"it has more than {MAX_NODES} values or {MAX_TEXT_CHARACTERS} characters")
        if depth > MAX_DEPTH:
            raise refusal(f"it is nested more than {MAX_DEPTH} deep")
        if isinstance(value, Mapping):
            characters += sum(len(str(name)) for name in value)
            waiting += [(each, depth + 1) for each in value.values()]
        elif isinstance(value, list | tuple):
            waiting += [(each, depth + 1) for each in value]


class _Converter:
    """Converts one schema. `heads` are the references that have been followed since the last character of a text."""

    def __init__(self, schema: Schema, grammar: Grammar) -> None:
        self._schema = schema
        self._grammar = grammar
        self._references: dict[str, str] = {}
        self._visited = 0

    def convert(self) -> str:
        """The name of the rule for the whole schema."""
        return self._visit(self._schema, 0, frozenset())

    def _visit(self, schema: object, depth: int, heads: frozenset[str]) -> str:
        """The name of the rule for a schema."""
        self._spend(depth)
        if schema is True:
            return self._any_value()
        if not isinstance(schema, Mapping):
            raise refusal("a schema in it is no object" if schema is not False else "'false' allows no value")
        own = constraints(schema)
        if own.keys() == {"$ref"}:
            return self._reference(own["$ref"], depth, heads)
        flat = self._flatten(own, depth)
        if "const" in flat:
            return self._grammar.add_rule(json_literal(flat["const"]))
        if "enum" in flat:
            return self._enum(flat["enum"])
        for keyword in ("anyOf", "oneOf"):
            if keyword in flat:
                return self._alternatives(keyword, flat, depth, heads)
        rules = [self._typed(kind, flat, depth) for kind in types_of(flat)]
        return self._grammar.add_rule(" | ".join(rules)) if rules else self._any_value()

    def _spend(self, depth: int) -> None:
        self._visited += 1
        if self._visited > MAX_NODES:
            raise refusal(f"its references lead to more than {MAX_NODES} schemas")
        if depth > MAX_DEPTH:
            raise refusal(f"its references are nested more than {MAX_DEPTH} deep")

    def _reference(self, reference: object, depth: int, heads: frozenset[str]) -> str:
        target = self._resolve(reference)
        key = str(reference)
        if key in heads:
            raise refusal(f"the reference {key[:80]!r} leads to itself at once")
        if key not in self._references:
            self._references[key] = name = self._grammar.reserve_rule()
            self._grammar.define_rule(name, self._visit(target, depth + 1, heads | {key}))
        return self._references[key]

    def _resolve(self, reference: object) -> object:
        """The part of the schema that a reference names."""
        if not isinstance(reference, str) or not (reference == "#" or reference.startswith("#/")):
            raise refusal(f"references outside the schema are not followed: {str(reference)[:80]!r}")
        target: Any = self._schema
        for step in reference.split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            if isinstance(target, Mapping) and name in target:
                target = target[name]
            elif isinstance(target, list | tuple) and name.isdecimal() and int(name[:9]) < len(target):
                target = target[int(name[:9])]
            else:
                raise refusal(f"the reference {reference[:80]!r} leads nowhere")
        return target

    def _flatten(self, own: dict[str, Any], depth: int) -> dict[str, Any]:
        """The demands of a schema and of all its parts in `allOf` and `$ref`."""
        flat = {keyword: value for keyword, value in own.items() if keyword not in ("allOf", "$ref")}
        parts = own.get("allOf", [])
        if not isinstance(parts, list | tuple):
            raise refusal("'allOf' must be a list of schemas")
        for part in [*([self._resolve(own["$ref"])] if "$ref" in own else []), *parts]:
            self._spend(depth + 1)
            if part is not True:
                if not isinstance(part, Mapping):
                    raise refusal("a part of 'allOf' is no schema")
                flat = merge(flat, self._flatten(constraints(part), depth + 1))
        return flat

    def _enum(self, values: object) -> str:
        if not isinstance(values, list | tuple) or not values:
            raise refusal("'enum' must be a list of values")
        return self._grammar.add_rule(" | ".join(dict.fromkeys(map(json_literal, values))))

    def _alternatives(self, keyword: str, flat: dict[str, Any], depth: int, heads: frozenset[str]) -> str:
        base = {name: value for name, value in flat.items() if name != keyword}
        choices = flat[keyword]
        if not isinstance(choices, list | tuple) or not choices:
            raise refusal(f"{keyword!r} must be a list of schemas")
        rules = [
            self._visit({"allOf": [base, choice]} if base else choice, depth + 1, heads)
            for choice in choices
            if choice is not False
        ]
        if not rules:
            raise refusal(f"{keyword!r} allows no value")
        return self._grammar.add_rule(" | ".join(dict.fromkeys(rules)))

    def _typed(self, kind: str, flat: dict[str, Any], depth: int) -> str:
        converters: Mapping[str, Callable[[], str]] = {
            "object": lambda: self._object(flat, depth),
            "array": lambda: self._array(flat, depth),
            "string": lambda: self._string(flat),
            "number": lambda: self._number(flat, whole=False),
            "integer": lambda: self._number(flat, whole=True),
            "boolean": lambda: self._grammar.add_rule('("true" | "false") space'),
            "null": lambda: self._grammar.add_rule('"null" space'),
        }
        if kind not in converters:
            raise refusal(f"there is no type {kind[:40]!r}")
        return converters[kind]()

    def _any_value(self) -> str:
        """The name of the rule for any JSON value."""
        if "" not in self._references:
            self._references[""] = name = self._grammar.reserve_rule()
            string = self._string({})
            pair = self._grammar.add_rule(f'{string} ":" space {name}')
            choices = (
                self._grammar.add_rule(f'"{{" space ({pair} ("," space {pair})*)? "}}" space'),
                self._grammar.add_rule(f'"[" space ({name} ("," space {name})*)? "]" space'),
                string,
                self._number({}, whole=False),
                *(self._typed(kind, {}, 0) for kind in ("boolean", "null")),
            )
            self._grammar.define_rule(name, " | ".join(choices))
        return self._references[""]

    def _object(self, flat: dict[str, Any], depth: int) -> str:
        properties, required = flat.get("properties", {}), flat.get("required", [])
        is_list = isinstance(required, list | tuple) and all(isinstance(name, str) for name in required)
        if not isinstance(properties, Mapping) or not is_list:
            raise refusal("'properties' must be an object, and 'required' a list of names")
        extra = flat.get("additionalProperties", not (properties or required))
        if len({*properties, *required}) > _MAX_PROPERTIES:
            raise refusal(f"an object in it has more than {_MAX_PROPERTIES} properties")
        undeclared = {name: extra for name in required if name not in properties}
        if undeclared and extra is False and "additionalProperties" in flat:
            raise refusal(f"the required property {next(iter(undeclared))[:40]!r} is not allowed")
        pairs = {
            name: self._pair(json_literal(name) + " space", schema, depth)
            for name, schema in {**properties, **undeclared}.items()
            if schema is not False or name in required
        }
        first = [pairs[name] for name in dict.fromkeys([*properties, *undeclared]) if name in required]
        rest = [pair for name, pair in pairs.items() if name not in required]
        more = None if extra is False else self._pair(self._string({}), extra, depth)
        return self._grammar.add_rule(f'"{{" space {self._members(first, rest, more)} "}}" space')

    def _pair(self, name: str, schema: object, depth: int) -> str:
        return self._grammar.add_rule(f'{name} ":" space {self._visit(schema, depth + 1, frozenset())}')

    def _members(self, required: list[str], optional: list[str], more: str | None) -> str:
        """The members of an object: required ones, then some of the optional ones in order, then any further ones."""
        tails = [self._grammar.add_rule(f'("," space {more})*') if more else ""]
        for pair in reversed(optional):
            tails.insert(0, self._grammar.add_rule(f'("," space {pair})? {tails[0]}'.strip()))
        if required:
            return f"{_COMMA.join(required)} {tails[0]}".strip()
        begins = [f"{pair} {tail}".strip() for pair, tail in zip(optional, tails[1:], strict=True)]
        begins += [f"{more} {tails[-1]}"] if more else []
        return f"({' | '.join(begins)})?" if begins else ""

    def _array(self, flat: dict[str, Any], depth: int) -> str:
        least, most = self._counts(flat, "minItems", "maxItems")
        items = True if flat.get("items") is None else flat["items"]
        fixed = items if isinstance(items, list | tuple) else flat.get("prefixItems")
        if fixed is not None:
            return self._tuple(fixed, items, (least, most), depth)
        if most == 0:
            return self._grammar.add_rule('"[" space "]" space')
        item = self._visit(items, depth + 1, frozenset())
        further = self._grammar.add_rule(f'"," space {item}')
        some = f"{item} {self._grammar.repeat(further, max(0, least - 1), None if most is None else most - 1)}"
        return self._grammar.add_rule(f'"[" space {some if least else f"({some})?"} "]" space')

    def _tuple(self, fixed: object, items: object, counts: tuple[int, int | None], depth: int) -> str:
        if not isinstance(fixed, list | tuple) or not fixed:
            raise refusal("'prefixItems' must be a list of schemas")
        least, most = counts
        if isinstance(items, Mapping) or least > len(fixed) or (most is not None and most < len(fixed)):
            raise refusal("items besides those of 'prefixItems', or fewer, are not followed: leave out their limits")
        rules = [self._visit(each, depth + 1, frozenset()) for each in fixed]
        return self._grammar.add_rule(f'"[" space {_COMMA.join(rules)} "]" space')

    def _string(self, flat: dict[str, Any]) -> str:
        return self._grammar.add_rule(f'"\\"" {self._inside(flat)} "\\"" space')

    def _inside(self, flat: dict[str, Any]) -> str:
        """The characters between the quotes."""
        pattern, kind = flat.get("pattern"), flat.get("format")
        least, most = self._counts(flat, "minLength", "maxLength")
        form = _FORMATS.get(kind) if isinstance(kind, str) else None
        if (pattern is not None or form is not None) and (least or most is not None):
            raise refusal("'minLength' and 'maxLength' are not followed beside a pattern or format: leave them out")
        if pattern is not None:
            if not isinstance(pattern, str) or form is not None:
                raise refusal("'pattern' must be a regular expression, without a format beside it")
            return pattern_rule(self._grammar, pattern)
        if form is not None:
            return self._grammar.add_rule(form)
        return self._grammar.repeat(self._grammar.add_rule(_CHARACTER), least, most)

    def _counts(self, flat: dict[str, Any], low: str, high: str) -> tuple[int, int | None]:
        for keyword in (low, high):
            count = flat.get(keyword)
            if isinstance(count, float) and count.is_integer():
                count = flat[keyword] = int(count)
            if count is not None and (not isinstance(count, int) or isinstance(count, bool) or count < 0):
                raise refusal(f"{keyword!r} must be a whole number")
            if count is not None and count > MAX_REPETITIONS:
                raise refusal(f"{keyword!r} is over {MAX_REPETITIONS}, the most that is followed: leave it out")
        least, most = flat.get(low) or 0, flat.get(high)
        if most is not None and most < least:
            raise refusal(f"{high!r} is below {low!r}")
        return least, most

    def _number(self, flat: dict[str, Any], *, whole: bool) -> str:
        least = _strictest(_bounds(flat, "minimum", "exclusiveMinimum"), lowest=True)
        most = _strictest(_bounds(flat, "maximum", "exclusiveMaximum"), lowest=False)
        if least is not None or most is not None:
            return self._grammar.add_rule(f"{number_range(self._grammar, least, most, whole=whole)} space")
        digits = self._grammar.repeat("[0-9]", 0, 15)
        integral = self._grammar.add_rule(f"[0-9] | [1-9] {digits}")
        if whole:
            return self._grammar.add_rule(f'"-"? {integral} space')
        fraction = self._grammar.repeat("[0-9]", 1, 16)
        return self._grammar.add_rule(f'"-"? {integral} ("." {fraction})? ([eE] [-+]? {integral})? space')


def _bounds(flat: dict[str, Any], closed: str, opened: str) -> Iterator[Bound]:
    """The bounds that two keywords set; by an older draft, `exclusiveMinimum` may be a flag of `minimum`."""
    for keyword in (closed, opened):
        value = flat.get(keyword)
        if value is None or (keyword == opened and isinstance(value, bool)):
            continue
        if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
            raise refusal(f"{keyword!r} must be a number")
        if isinstance(value, int) and abs(value) > 10**18:
            raise refusal(f"{keyword!r} is too large a number")
        number = Decimal(str(value))
        if not number.is_finite():
            raise refusal(f"{keyword!r} must be a number")
        yield Bound(number, keyword == opened or flat.get(opened) is True)


def _strictest(bounds: Iterator[Bound], *, lowest: bool) -> Bound | None:
    def strictness(bound: Bound) -> tuple[Decimal, bool]:
        return (bound.value if lowest else -bound.value), bound.is_open

    return max(bounds, key=strictness, default=None)
