"""Grammars of JSON schemas as llama.cpp follows them: they allow what the schema allows, and nothing else."""

import ctypes
import json
import math
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.engine import EngineFailed, SchemaRefused
from models.llama.grammar.gbnf import Grammar
from models.llama.grammar.json_schema import schema_grammar
from models.llama.grammar.number_ranges import Bound, number_range
from models.llama.native.libllama import llama_library
from tests.fakes.tiny_gguf import write_tiny_model
from tests.unit.models.llama.grammar.test_json_schema import SCHEMAS

Matches = Callable[[str, str], bool]
"""Whether a whole text follows a grammar."""


@pytest.fixture(scope="module")
def matches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Matches]:
    """A vocabulary whose first 256 tokens are the bytes, and whose last one ends a text."""
    llama_cpp = llama_library()
    params = llama_cpp.llama_model_default_params()
    params.vocab_only = True
    path = write_tiny_model(tmp_path_factory.mktemp("vocabulary") / "tiny.gguf", "attention")
    model = llama_cpp.llama_model_load_from_file(str(path).encode(), params)
    vocab = llama_cpp.llama_model_get_vocab(model)
    end = llama_cpp.llama_vocab_eos(vocab)

    def allows(sampler: Any, token: int) -> bool:
        data = (llama_cpp.llama_token_data * 1)((token, 1.0, 0.0))
        pointer = ctypes.cast(data, ctypes.POINTER(llama_cpp.llama_token_data))
        llama_cpp.llama_sampler_apply(sampler, ctypes.byref(llama_cpp.llama_token_data_array(pointer, 1, -1, False)))
        return math.isfinite(data[0].logit)

    def match(grammar: str, text: str) -> bool:
        sampler = llama_cpp.llama_sampler_init_grammar(vocab, grammar.encode(), b"root")
        if not sampler:
            raise EngineFailed("llama.cpp refuses the grammar")
        try:
            for byte in text.encode():
                if not allows(sampler, byte):
                    return False
                llama_cpp.llama_sampler_accept(sampler, byte)
            return allows(sampler, end)
        finally:
            llama_cpp.llama_sampler_free(sampler)

    yield match
    llama_cpp.llama_model_free(model)


NODE = {"type": "object", "properties": {"name": {"type": "string"}, "next": {"$ref": "#/$defs/Node"}}}


@pytest.mark.parametrize(
    ("schema", "allowed", "refused"),
    [
        ({}, ["1", '"a"', "null", '{"a": [1, {"b": true}]}', "[]", "-1.5e-3"], ["", "nul", "{'a': 1}", "01"]),
        ({"type": "object"}, ["{}", '{"a": null, "b": [2]}'], ["[]", '{"a"}', "{1: 2}"]),
        ({"type": "string"}, ['""', '"a\\n\\u00e9é😀"'], ["a", '"\n"', '"\\x"', "'a'"]),
        ({"type": "string", "minLength": 2, "maxLength": 4}, ['"ab"', '"éééé"'], ['"a"', '"abcde"']),
        ({"type": "string", "maxLength": 2000}, ['""', json.dumps("x" * 2000)], [json.dumps("x" * 2001)]),
        ({"type": "array", "items": {"type": "boolean"}, "maxItems": 2}, ["[]", "[true, false]"], ["[true,true,true]"]),
        ({"type": "array", "items": {"type": "null"}, "minItems": 2}, ["[null, null, null]"], ["[]", "[null]"]),
        ({"type": "array", "maxItems": 0}, ["[]"], ["[1]"]),
        ({"type": "array", "prefixItems": [{"const": 1}, {"type": "string"}]}, ['[1, "a"]'], ["[1]", '[1,"a",2]']),
        ({"const": 'a"b\\c\n日本 😀'}, ['"a\\"b\\\\c\\n日本 😀"'], ['"a"']),
        ({"enum": [1, "x", None, [1]]}, ["1", '"x"', "null", "[1]"], ["2", "x"]),
        ({"type": ["string", "null"], "maxLength": 1}, ['"a"', "null"], ['"ab"', "1"]),
        ({"type": "string", "format": "date"}, ['"2024-02-30"'], ['"2024-13-01"', '"today"']),
        ({"type": "string", "format": "unheard-of"}, ['"x"'], ["1"]),
        ({"type": "string", "pattern": r"^\d{3}-\w+$"}, ['"123-ab_9"'], ['"12-a"', '"123-"', '"123-a b"']),
        ({"type": "string", "pattern": r"^(\d{1,3}\.){3}\d{1,3}$"}, ['"127.0.0.1"'], ['"127.0.0"', '"127.0.0.1."']),
        ({"type": "string", "pattern": r'^["\\\n]+$'}, ['"\\"\\\\\\n"'], ['"a"', '""']),
        ({"type": "string", "pattern": "^(a*)*$"}, ['""', '"aa"'], ['"b"']),
        ({"type": "string", "pattern": "^((.+)+)+x$"}, ['"abx"', '"é\\"x"'], ['"x"', '"ab"']),
        ({"type": "string", "pattern": "^(a|ab)(c|bcd)?$"}, ['"a"', '"abcd"', '"abbcd"', '"ac"'], ['"abb"', '""']),
        ({"type": "string", "pattern": "^.{0,2000}$"}, ['""', json.dumps("x" * 2000)], [json.dumps("x" * 2001)]),
        ({"type": "string", "pattern": "b+"}, ['"abc"', '"b"'], ['"ac"', '""']),
        ({"type": "string", "pattern": "^(?:cat|dog)s?$"}, ['"cat"', '"dogs"'], ['"cats!"', '"catdog"']),
        ({"type": "string", "pattern": "^[^a-c]$"}, ['"d"', '"é"', '"\\""'], ['"b"', '""', '"dd"']),
        ({"type": "string", "pattern": r"^\u00e9\x41\/\.$"}, ['"éA/."'], ['"éA/x"']),
        (
            {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "null"}}, "required": ["b"]},
            ['{"b": null}', '{"b":null,"a":1}'],
            ["{}", '{"a": 1}', '{"b": null, "c": 1}'],
        ),
        (
            {"properties": {"a": {"const": 1}, "b": {"const": 2}, "c": {"const": 3}}},
            ["{}", '{"a":1}', '{"b":2,"c":3}', '{"a":1,"c":3}', '{"a":1,"b":2,"c":3}'],
            ['{"c":3,"a":1}', '{"a":1,}', '{"d":4}'],
        ),
        (
            {"properties": {"a": {"const": 1}}, "additionalProperties": {"type": "boolean"}},
            ["{}", '{"x": true}', '{"a":1,"x":true,"y":false}'],
            ['{"x": 1}'],
        ),
        (
            {"allOf": [{"$ref": "#/$defs/Color"}], "$defs": {"Color": {"enum": ["red", "blue"]}}},
            ['"red"', '"blue"'],
            ["{}", '"green"'],
        ),
        (
            {
                "allOf": [{"$ref": "#/$defs/Base"}, {"properties": {"y": {"const": 2}}, "required": ["y"]}],
                "$defs": {"Base": {"type": "object", "properties": {"x": {"const": 1}}, "required": ["x"]}},
            },
            ['{"x":1,"y":2}'],
            ["{}", '{"x":1}'],
        ),
        (
            {"properties": {"a": {"const": 1}, "b": {"const": 2}}, "anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
            ['{"a":1}', '{"b":2}', '{"a":1,"b":2}'],
            ["{}"],
        ),
        ({"$ref": "#/$defs/Node", "$defs": {"Node": NODE}}, ["{}", '{"name":"a","next":{"next":{}}}'], ["1", "[]"]),
        (
            {"type": "object", "properties": {"children": {"type": "array", "items": {"$ref": "#"}}}},
            ["{}", '{"children": [{}, {"children": []}]}'],
            ['{"children": [1]}'],
        ),
        ({"$ref": "#/$defs/my_type", "$defs": {"my_type": {"type": "null", "title": "My type"}}}, ["null"], ["{}"]),
        ({"type": "integer", "minimum": 3, "maximum": 12}, ["3", "9", "10", "12"], ["2", "13", "03", "4.5", "-3"]),
        ({"type": "integer", "exclusiveMinimum": 0}, ["1", "10", "999"], ["0", "-1"]),
        ({"type": "integer", "minimum": -10, "exclusiveMaximum": 0}, ["-1", "-10"], ["0", "-11", "5"]),
        ({"type": "integer", "maximum": 10**15 - 1}, ["1", str(10**15 - 1), "-5"], [str(10**15)]),
        ({"type": "number", "minimum": 0, "maximum": 1}, ["0", "1", "0.5", "0.05", "1.0"], ["1.5", "-0.1", "1.01"]),
        ({"type": "number", "minimum": 0, "exclusiveMinimum": True}, ["0.1", "3"], ["0", "0.0", "-1"]),
    ],
)
def test_a_schema_allows_what_it_says(
    matches: Matches, schema: dict[str, Any], allowed: list[str], refused: list[str]
) -> None:
    grammar = schema_grammar(schema)
    assert [text for text in allowed if not matches(grammar, text)] == []
    assert [text for text in refused if matches(grammar, text)] == []


bounds = st.one_of(st.integers(-1200, 1200).map(Decimal), st.decimals(-30, 30, places=2), st.decimals(-2, 2, places=3))


@given(bounds, bounds, st.booleans(), st.booleans(), st.booleans(), st.lists(bounds, min_size=1, max_size=12))
def test_a_range_holds_exactly_the_numbers_between_its_bounds(
    matches: Matches,
    one: Decimal,
    other: Decimal,
    opened: bool,
    closed: bool,
    whole: bool,
    numbers: list[Decimal],
) -> None:
    least, most = Bound(min(one, other), opened), Bound(max(one, other), closed)
    grammar = Grammar()
    try:
        text = grammar.text(number_range(grammar, least, most, whole=whole))
    except SchemaRefused:
        text = ""
    for number in (*numbers, one, other, (one + other) / 2, one + 1, other - 1):
        written = format(number.normalize(), "f")
        is_inside = least.value < number < most.value or (
            (number == least.value and not least.is_open) or (number == most.value and not most.is_open)
        )
        is_inside = is_inside and not (number == least.value and least.is_open)
        is_inside = is_inside and not (number == most.value and most.is_open)
        expected = is_inside and (not whole or number == number.to_integral_value())
        if len(written.partition(".")[2]) <= 15 and written != "-0":
            assert (bool(text) and matches(text, written)) is expected, (least, most, written)


@given(SCHEMAS)
def test_llama_cpp_reads_every_grammar_without_a_word(matches: Matches, schema: dict[str, Any]) -> None:
    try:
        grammar = schema_grammar(schema)
    except SchemaRefused:
        return
    matches(grammar, "{")


def test_two_references_that_lead_to_each_other_at_once_are_refused(matches: Matches) -> None:
    definitions = {
        "A": {"anyOf": [{"type": "array", "items": {"$ref": "#/$defs/B"}}, {"$ref": "#/$defs/B"}]},
        "B": {"anyOf": [{"$ref": "#/$defs/A"}, {"type": "string"}]},
    }
    with pytest.raises(EngineFailed):
        matches(schema_grammar({"$ref": "#/$defs/A", "$defs": definitions}), "{")
