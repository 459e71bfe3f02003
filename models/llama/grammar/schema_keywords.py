"""Keywords of JSON schemas: those that only describe, those that are refused, and the union of two schemas' demands."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from models.llama.grammar.gbnf import refusal

Schema = Mapping[str, Any]

CONSTRAINTS = frozenset(
    [
        "type",
        "const",
        "enum",
        "anyOf",
        "oneOf",
        "allOf",
        "$ref",
        "properties",
        "required",
        "additionalProperties",
        "items",
        "prefixItems",
        "minItems",
        "maxItems",
        "minLength",
        "maxLength",
        "pattern",
        "format",
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
    ]
)
"""Keywords that are followed. Others describe, or are refused."""

_REFUSED = [
    "not",
    "if",
    "then",
    "else",
    "dependentRequired",
    "dependentSchemas",
    "dependencies",
    "patternProperties",
    "propertyNames",
    "minProperties",
    "maxProperties",
    "uniqueItems",
    "contains",
    "minContains",
    "maxContains",
    "multipleOf",
    "unevaluatedProperties",
    "unevaluatedItems",
    "additionalItems",
    "$dynamicRef",
    "$recursiveRef",
]

_KINDS = {
    "object": ("properties", "required", "additionalProperties"),
    "array": ("items", "prefixItems", "minItems", "maxItems"),
    "string": ("minLength", "maxLength", "pattern", "format"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
}


def constraints(schema: Schema) -> dict[str, Any]:
    """The keywords that are followed. Raises SchemaRefused, naming the keyword, for those that cannot be."""
    for keyword in _REFUSED:
        # As defaults they demand nothing.
        if schema.get(keyword) not in (None, False, 0, {}) or (keyword in ("not", "contains") and keyword in schema):
            raise refusal(f"{keyword!r} is not followed here: leave it out")
    return {keyword: value for keyword, value in schema.items() if keyword in CONSTRAINTS}


def types_of(schema: Schema) -> list[str]:
    """The types that a schema allows, from its other keywords when it names none; empty for any value.

    Raises SchemaRefused when the types are not named by strings.
    """
    named = schema.get("type")
    if named is None:
        return [kind for kind, keywords in _KINDS.items() if any(keyword in schema for keyword in keywords)]
    types = named if isinstance(named, list) else [named]
    if not types or not all(isinstance(each, str) for each in types):
        raise refusal("'type' must be the name of a type, or a list of names")
    return list(dict.fromkeys(types))


def merge(first: Schema, second: Schema) -> dict[str, Any]:
    """The demands of two schemas together. Raises SchemaRefused when they cannot be put into one."""
    merged = dict(first)
    for keyword, value in second.items():
        if keyword not in merged or merged[keyword] == value:
            merged[keyword] = value
        elif keyword in _MERGERS:
            merged[keyword] = _merge_values(keyword, merged[keyword], value)
        else:
            raise refusal(f"two values of {keyword!r} hold for the same value")
    return merged


def _merge_values(keyword: str, first: Any, second: Any) -> Any:
    try:
        return _MERGERS[keyword](first, second)
    except (TypeError, AttributeError):
        raise refusal(f"{keyword!r} has a value of the wrong type") from None


def _both(first: Any, second: Any) -> Any:
    return {"allOf": [first, second]}


def _properties(first: Schema, second: Schema) -> Schema:
    return {**first, **{name: _both(first[name], each) if name in first else each for name, each in second.items()}}


def _union(first: Sequence[Any], second: Sequence[Any]) -> list[Any]:
    return [*first, *(each for each in second if each not in first)]


def _common(first: Sequence[Any], second: Sequence[Any]) -> list[Any]:
    common = [each for each in first if each in second]
    if not common:
        raise refusal("two lists in 'enum' have nothing in common")
    return common


def _common_types(first: Any, second: Any) -> list[str]:
    one, other = types_of({"type": first}), types_of({"type": second})
    common = [each for each in one if each in other]
    if "integer" not in common and {"integer", "number"} <= {*one, *other}:
        common.append("integer")
    if not common:
        raise refusal("two values of 'type' have nothing in common")
    return common


def _additional(first: Any, second: Any) -> Any:
    if first is False or second is False:
        return False
    if first is True:
        return second
    return first if second is True else _both(first, second)


_MERGERS: Mapping[str, Callable[[Any, Any], Any]] = {
    "properties": _properties,
    "required": _union,
    "enum": _common,
    "type": _common_types,
    "additionalProperties": _additional,
    "items": _both,
    "minimum": max,
    "exclusiveMinimum": max,
    "minLength": max,
    "minItems": max,
    "maximum": min,
    "exclusiveMaximum": min,
    "maxLength": min,
    "maxItems": min,
}
