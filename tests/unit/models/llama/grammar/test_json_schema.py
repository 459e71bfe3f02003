"""What cannot be followed in a JSON schema is refused by name, and nothing that a schema says takes long or much."""

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.engine import SchemaRefused
from models.llama.grammar.gbnf import MAX_CHARACTERS
from models.llama.grammar.json_schema import MAX_DEPTH, MAX_NODES, schema_grammar

ROOT = Path(__file__).parents[5]


def doubling(levels: int, union: str) -> dict[str, Any]:
    """A schema of which each level refers twice to the next."""
    definitions: dict[str, Any] = {
        f"a_{level}": {union: [{"$ref": f"#/$defs/a_{level + 1}"}, {"$ref": f"#/$defs/a_{level + 1}"}]}
        for level in range(levels)
    }
    definitions[f"a_{levels}"] = {"properties": {"x": {"type": "string"}}}
    return {"$ref": "#/$defs/a_0", "$defs": definitions}


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "array", "items": schema}
    return schema


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"type": "string", "minLength": 10**30}, "'minLength' is over 2000"),
        ({"type": "string", "maxLength": 1_000_000_000}, "'maxLength' is over 2000"),
        ({"type": "array", "items": {}, "maxItems": 10_000_000}, "'maxItems' is over 2000"),
        ({"type": "array", "minItems": 3, "maxItems": 2}, "'maxItems' is below 'minItems'"),
        ({"type": "string", "minLength": -1}, "whole number"),
        ({"type": "string", "minLength": True}, "whole number"),
        ({"type": "string", "pattern": "^a{1000000000}$"}, "repeats more than 2000 times"),
        ({"type": "string", "pattern": "^a{1000000000000000000000000000000000}$"}, "not of the form"),
        ({"type": "string", "pattern": "^((a{100}){100}){100}$"}, "stands for more than 2000 characters"),
        ({"type": "string", "pattern": "^(a?){2000}$"}, "too many ways open"),
        ({"type": "string", "pattern": "a.{20}$"}, "too many ways open"),
        ({"type": "string", "pattern": r"^\x01$"}, "JSON does not write"),
        ({"type": "string", "pattern": "^" + "(" * 200 + ")" * 200 + "$"}, "too many brackets"),
        ({"type": "string", "pattern": "x" * 2000}, "2000 characters"),
        ({"type": "string", "pattern": "^a|b$"}, "outside of brackets"),
        ({"type": "string", "pattern": r"^\p{L}$"}, r"\\p"),
        ({"type": "string", "pattern": "^a(?=b)$"}, "looks ahead"),
        ({"type": "string", "pattern": "^a$", "maxLength": 3}, "beside a pattern"),
        ({"type": "object", "patternProperties": {"^x": {}}}, "'patternProperties' is not followed"),
        ({"type": "number", "multipleOf": 3}, "'multipleOf' is not followed"),
        ({"not": {"type": "string"}}, "'not' is not followed"),
        ({"type": "integer", "minimum": 5, "maximum": 4}, "leave none"),
        ({"type": "integer", "minimum": 10**30}, "too large"),
        ({"type": "number", "minimum": 1e-300}, "more than 15 digits"),
        ({"type": "number", "minimum": float("nan")}, "must be a number"),
        ({"type": "number", "minimum": "1"}, "must be a number"),
        ({"type": "no such type"}, "there is no type"),
        ({"type": []}, "'type' must be"),
        ({"enum": []}, "'enum' must be"),
        ({"anyOf": {}}, "'anyOf' must be"),
        ({"$ref": "https://example.org/schema.json"}, "outside the schema"),
        ({"$ref": "#/nowhere"}, "leads nowhere"),
        ({"$ref": "#"}, "leads to itself"),
        ({"anyOf": [{"type": "string"}, {"$ref": "#"}]}, "leads to itself"),
        ({"allOf": [{"$ref": "#"}]}, "nested more than"),
        ({"allOf": [{"type": "string"}, {"type": "integer"}]}, "nothing in common"),
        ({"type": "object", "required": ["a"], "additionalProperties": False}, "'a' is not allowed"),
        (doubling(30, "allOf"), "more than 4000 schemas"),
        (nested(MAX_DEPTH + 1), "nested more than"),
        ({"enum": ["x" * 300_000]}, "characters"),
        ({"enum": list(range(MAX_NODES))}, "values"),
        ({"type": "object", "properties": {f"p{number}": {} for number in range(300)}}, "more than 256 properties"),
        (
            {"type": "array", "prefixItems": [{"type": "string", "minLength": 1900 - n} for n in range(60)]},
            "repeats more",
        ),
    ],
)
def test_what_is_not_followed_is_refused_by_name(schema: dict[str, Any], reason: str) -> None:
    with pytest.raises(SchemaRefused, match=f"^The JSON schema cannot be followed: .*{reason}"):
        schema_grammar(schema)


def test_references_that_meet_again_cost_one_rule_each() -> None:
    assert len(schema_grammar(doubling(30, "anyOf"))) < 4_000


def test_a_grammar_begins_with_its_root_and_holds_each_rule_once() -> None:
    rules = schema_grammar({"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}})
    names = [line.partition(" ::= ")[0] for line in rules.splitlines()]
    assert names[0] == "root"
    assert len(set(names)) == len(names)
    assert len({line.partition(" ::= ")[2] for line in rules.splitlines()[1:]}) == len(names) - 1


KEYWORDS = [
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
    "not",
    "uniqueItems",
    "$defs",
    "title",
]
TYPES = ("object", "array", "string", "number", "integer", "boolean", "null")
VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-5, 3000),
        st.just(10**40),
        st.floats(),
        st.text(max_size=3),
        st.sampled_from([*TYPES, "#", "#/$defs/a", "#/properties/a", "^a{1,900}$", "(a|b)*c{3}", "date", "\ud800"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.one_of(st.sampled_from(KEYWORDS), st.sampled_from("ab")), inner, max_size=4),
    ),
    max_leaves=25,
)
SCHEMAS = st.dictionaries(st.sampled_from(KEYWORDS), VALUES, max_size=5)


@given(SCHEMAS)
def test_any_schema_becomes_a_grammar_or_is_refused_with_a_sentence(schema: dict[str, Any]) -> None:
    try:
        assert len(schema_grammar(schema)) < 2 * MAX_CHARACTERS
    except SchemaRefused as refused:
        assert str(refused).startswith("The JSON schema cannot be followed: ")
        assert len(str(refused)) < 300


BOMBS = """
import json, resource, sys, time
from models.engine import SchemaRefused
from models.llama.grammar.json_schema import schema_grammar
resource.setrlimit(resource.RLIMIT_CPU, (120, 120))
schema_grammar({"type": "string"})
limit = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 + (256 << 20)
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
worst = 0.0
for line in sys.stdin:
    began = time.process_time()
    try:
        schema_grammar(json.loads(line))
    except SchemaRefused:
        pass
    worst = max(worst, time.process_time() - began)
print(worst)
"""


def bomb(chance: random.Random) -> dict[str, Any]:
    """A schema made to grow."""
    big = chance.choice([50, 255, 1999, 2000, 10**7, 10**30])
    levels = chance.choice([3, 20, 60])
    part: dict[str, Any] = chance.choice(
        [
            {"type": "string", "minLength": big},
            {"type": "string", "maxLength": big},
            {"type": "string", "pattern": f"^(a{{0,{big}}}b?){{0,{big}}}$"},
            {"type": "string", "pattern": "^" + "(a|" * levels + "b" + ")" * levels + "$"},
            {"type": "array", "items": {"type": "integer"}, "minItems": big},
            {"type": "object", "properties": {f"p{number}": {"type": "string"} for number in range(min(big, 2000))}},
            {"enum": [f"{number}" * 30 for number in range(min(big, 3000))]},
            doubling(levels, chance.choice(["anyOf", "allOf", "oneOf"])),
        ]
    )
    definitions = part.pop("$defs", {})
    for _ in range(chance.choice([0, 5, 40])):
        part = {"type": "array", "items": part, "maxItems": chance.choice([2, 2000])}
    return {"anyOf": [part] * chance.choice([1, 30]), "$defs": definitions}


def test_no_schema_takes_long_or_much_memory() -> None:
    chance = random.Random(13)
    lines = "\n".join(json.dumps(bomb(chance)) for _ in range(150))
    ended = subprocess.run(
        [sys.executable, "-c", BOMBS], input=lines, capture_output=True, text=True, cwd=ROOT, timeout=300, check=False
    )
    assert ended.returncode == 0, ended.stderr[-500:]
    assert float(ended.stdout) < 2.0, "seconds of the processor; usual are milliseconds"
