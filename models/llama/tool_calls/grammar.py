"""Grammars of calls: the name is one of the tools', and the arguments follow that tool's schema."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from models.engine import SchemaRefused
from models.llama.grammar.gbnf import Grammar, literal
from models.llama.grammar.json_schema import add_schema
from models.llama.grammar.schema_keywords import Schema, types_of
from models.llama.tool_calls.syntax import NAME, CallSyntax
from models.tool_calls import Tool, Toolbox

_ANY_OBJECT: Schema = {"type": "object"}
_SPACE = ("[ \\n\\r\\t]", 0, 8)
_PARAMETER_END = "</parameter>"
_JSON_TYPES = frozenset({"object", "array", "number", "integer", "boolean", "null"})


def calls_grammar(toolbox: Toolbox, syntax: CallSyntax) -> str:
    """The grammar of calls and nothing else, from the opening on."""
    return _build(toolbox, lambda grammar, schema_of: _calls(grammar, toolbox, syntax, schema_of, syntax.opening))


def further_grammar(toolbox: Toolbox, syntax: CallSyntax) -> str:
    """The grammar of calls whose opening has been written."""
    return _build(toolbox, lambda grammar, schema_of: _calls(grammar, toolbox, syntax, schema_of, ""))


def arguments_grammar(tool: Tool) -> str:
    """The grammar of the arguments of one tool as JSON."""
    return _build(Toolbox((tool,)), lambda grammar, schema_of: _spaced(grammar, [add_schema(grammar, schema_of(tool))]))


def calls_or_json_grammar(toolbox: Toolbox, syntax: CallSyntax, schema: Schema) -> str:
    """The grammar of calls, or of a JSON text that follows a schema. Raises SchemaRefused for that schema's faults."""

    def either(grammar: Grammar, schema_of: Callable[[Tool], Schema]) -> str:
        answer = add_schema(grammar, schema)
        return f"{grammar.add_rule(_calls(grammar, toolbox, syntax, schema_of, syntax.opening))} | {answer}"

    return _build(toolbox, either)


def called_tools(toolbox: Toolbox) -> Sequence[Tool]:
    """The tools that may be called."""
    return [tool for tool in toolbox.tools if toolbox.only in ("", tool.name)]


def _build(toolbox: Toolbox, root: Callable[[Grammar, Callable[[Tool], Schema]], str]) -> str:
    """The grammar with the tools' own schemas; with any object as arguments where schemas cannot be followed."""
    followed = {tool.name: tool for tool in called_tools(toolbox) if _is_followed(tool)}
    for known in (followed, {}):
        grammar = Grammar()
        try:
            rule = grammar.add_rule(root(grammar, lambda tool, known=known: _schema(tool, known)))  # type: ignore[misc]
            return grammar.text(rule)
        except SchemaRefused:
            if not known:
                raise
    raise AssertionError("the loop returns or raises")


def _schema(tool: Tool, followed: Mapping[str, Tool]) -> Schema:
    return parameters_of(tool) if tool.name in followed else _ANY_OBJECT


def parameters_of(tool: Tool) -> dict[str, Any]:
    """The schema of a tool's arguments; that of any object when it is none."""
    schema = json.loads(tool.parameters)
    return {"type": "object", **schema} if isinstance(schema, dict) else {"type": "object"}


def _is_followed(tool: Tool) -> bool:
    try:
        add_schema(Grammar(), parameters_of(tool))
    except SchemaRefused:
        return False
    return True


def _calls(
    grammar: Grammar, toolbox: Toolbox, syntax: CallSyntax, schema_of: Callable[[Tool], Schema], opening: str
) -> str:
    call = grammar.add_rule(" | ".join(_call(grammar, tool, syntax, schema_of(tool)) for tool in called_tools(toolbox)))
    more = ""
    if syntax.between is not None and toolbox.is_parallel:
        further = grammar.add_rule(_spaced(grammar, [*_literals(syntax.between), call]))
        more = f"{further}*"
    return _spaced(grammar, [*_literals(opening), *_literals(syntax.first), f"{call} {more}", *_literals(syntax.last)])


def _call(grammar: Grammar, tool: Tool, syntax: CallSyntax, schema: Schema) -> str:
    head = [literal(part.replace(NAME, tool.name)) for part in syntax.head]
    arguments = _parameters(grammar, schema) if syntax.arguments == "xml" else add_schema(grammar, schema)
    return grammar.add_rule(_spaced(grammar, [*head, arguments, *map(literal, syntax.tail)]))


def _literals(text: str) -> list[str]:
    return [literal(text)] if text else []


def _spaced(grammar: Grammar, parts: Sequence[str]) -> str:
    space = grammar.repeat(*_SPACE)
    return f"{space} " + f" {space} ".join(parts)


def _parameters(grammar: Grammar, schema: Schema) -> str:
    """Parameters as Qwen3-Coder writes them: `<parameter=NAME>`, the value on lines of its own, `</parameter>`."""
    properties, required = schema.get("properties"), schema.get("required") or ()
    if not isinstance(properties, Mapping):
        name = grammar.repeat("[a-zA-Z0-9_.-]", 1, 64)
        return f'({literal("<parameter=")} {name} ">" {_text_to_end(grammar)})*'
    shared = {key: schema[key] for key in ("$defs", "definitions") if key in schema}
    rules = []
    for name, each in properties.items():
        value = _value_to_end(grammar, {**each, **shared} if isinstance(each, Mapping) else {})
        rule = grammar.add_rule(f"{literal(f'<parameter={name}>')} {value} {grammar.repeat(*_SPACE)}")
        rules.append(rule if name in required else f"{rule}?")
    return " ".join(rules) or '""'


def _value_to_end(grammar: Grammar, schema: dict[str, Any]) -> str:
    """A value as text, or as JSON where it cannot be text, and the mark of its end."""
    choices = schema.get("enum")
    if isinstance(choices, list) and choices and all(isinstance(each, str) for each in choices):
        return grammar.add_rule(" | ".join(literal(f"\n{each}\n{_PARAMETER_END}") for each in choices))
    if set(types_of(schema) or ["string"]) <= _JSON_TYPES:
        return _spaced(grammar, [add_schema(grammar, schema), literal(_PARAMETER_END)])
    return _text_to_end(grammar)


def _text_to_end(grammar: Grammar) -> str:
    """Any text up to the mark of its end: a rule for each number of the mark's characters that have been written."""
    count = len(_PARAMETER_END)
    names = [grammar.reserve_rule() for _ in range(count)]
    for number, name in enumerate(names):
        following = f" {names[number + 1]}" if number + 1 < count else ""
        choices = [f"{literal(_PARAMETER_END[number])}{following}"]
        if number:
            choices.append(f"{literal('<')} {names[1]}")
        others = "<" if number == 0 else "<" + _PARAMETER_END[number]
        choices.append(f"[^{others}] {names[0]}")
        grammar.define_rule(name, " | ".join(choices))
    return names[0]
