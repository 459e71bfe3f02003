"""Calls are found in all syntaxes, however the text is cut, and what is none stays text."""

import json
from collections.abc import Sequence

import pytest

from models.llama.tool_calls.parser import CallParser
from models.llama.tool_calls.syntax import (
    DEEPSEEK,
    GRANITE,
    HARMONY,
    HERMES,
    LLAMA,
    MISTRAL,
    MISTRAL_LIST,
    XML,
    CallSyntax,
    find_syntax,
)
from models.tool_calls import Tool, Toolbox, ToolCallPiece

SCHEMA = json.dumps({"type": "object", "properties": {"where": {"type": "string"}, "count": {"type": "integer"}}})
TOOLBOX = Toolbox((Tool("get", parameters=SCHEMA), Tool("get_all", parameters=SCHEMA)))
TWO = [("get", {"where": 'a } \\ " box', "count": 2}), ("get_all", {})]

WRITTEN = [
    (
        HERMES,
        'Let me look.\n<tool_call>\n{"name": "get", "arguments": {"where": "a } \\\\ \\" box", "count": 2}}\n'
        '</tool_call>\n<tool_call>{"name":"get_all","arguments":{}}</tool_call>',
    ),
    (
        XML,
        'Let me look.\n<tool_call>\n<function=get>\n<parameter=where>\na } \\ " box\n</parameter>\n'
        "<parameter=count>\n2\n</parameter>\n</function>\n</tool_call>\n<tool_call>\n<function=get_all>\n</function>\n</tool_call>",
    ),
    (
        MISTRAL_LIST,
        'Let me look.[TOOL_CALLS] [{"name": "get", "arguments": {"where": "a } \\\\ \\" box", "count": 2}},'
        ' {"name": "get_all", "arguments": {}}]',
    ),
    (
        MISTRAL,
        'Let me look.[TOOL_CALLS]get[ARGS]{"where": "a } \\\\ \\" box", "count": 2}[TOOL_CALLS]get_all[ARGS]{}',
    ),
    (
        GRANITE,
        'Let me look.\n<|tool_call|>[{"name": "get", "arguments": {"where": "a } \\\\ \\" box", "count": 2}},'
        ' {"name": "get_all", "arguments": {}}]',
    ),
    (
        DEEPSEEK,
        "Let me look.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get\n```json\n"
        '{"where": "a } \\\\ \\" box", "count": 2}\n```<｜tool▁call▁end｜>\n'
        "<｜tool▁call▁begin｜>function<｜tool▁sep｜>get_all\n```json\n{}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
    ),
]


def read(parser: CallParser, text: str, size: int = 1) -> tuple[str, list[tuple[str, object]]]:
    """The text and the calls of a reply that comes in pieces of this size."""
    pieces = [
        piece for start in range(0, len(text), size) for piece in parser.push_text(text[start : start + size])
    ] + parser.flush()
    return "".join(piece for piece in pieces if isinstance(piece, str)), calls_of(pieces)


def calls_of(pieces: Sequence[object]) -> list[tuple[str, object]]:
    calls: dict[int, tuple[str, str]] = {}
    for piece in pieces:
        if isinstance(piece, ToolCallPiece):
            assert bool(piece.id) == bool(piece.name) == (piece.index not in calls)
            name, arguments = calls.get(piece.index, (piece.name, ""))
            calls[piece.index] = (name, arguments + piece.arguments)
    assert list(calls) == list(range(len(calls)))
    return [(name, json.loads(arguments)) for name, arguments in calls.values()]


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
@pytest.mark.parametrize("is_bound", [False, True])
@pytest.mark.parametrize(("syntax", "written"), WRITTEN, ids=lambda value: getattr(value, "name", ""))
def test_text_and_two_calls_come_apart(syntax: CallSyntax, written: str, is_bound: bool, size: int) -> None:
    text, calls = read(CallParser(TOOLBOX, syntax, is_bound=is_bound), written, size)
    assert text == "Let me look."
    assert calls == TWO


def test_llama_writes_one_call_at_the_beginning() -> None:
    written = '{"name": "get", "parameters": {"where": "cellar"}}'
    assert read(CallParser(TOOLBOX, LLAMA), written) == ("", [("get", {"where": "cellar"})])
    assert read(CallParser(TOOLBOX, LLAMA), f"Like this: {written}") == (f"Like this: {written}", [])
    assert read(CallParser(TOOLBOX, LLAMA), '{"answer": 5}') == ('{"answer": 5}', [])


def test_the_header_of_gpt_oss_names_the_function() -> None:
    written = '<|channel|>commentary to=functions.get<|constrain|>json<|message|>{"where":"cellar"}'
    assert read(CallParser(TOOLBOX, HARMONY), written) == ("", [("get", {"where": "cellar"})])
    # The header of a message comes whole.
    assert read(CallParser(TOOLBOX, HARMONY), written.replace(".get", ".other"), 1000) == ('{"where":"cellar"}', [])


@pytest.mark.parametrize(
    "text",
    [
        "A call begins with `<tool_call>` in a line.",
        "It is written so:\n```\n<tool_call>\n{}\n</tool_call>\n```\nThat is all.",
        "Write <tool_call> and then the name.",
        '<tool_call>{"name": "other", "arguments": {}}</tool_call>',
        '<tool_call>{"name": "get", "arguments": {"where": "cel',
        '<tool_call>{"name": "get", "arguments": [1]}</tool_call>',
        '<tool_call>{"name": "get", "arguments": {"where": oops}}</tool_call>',
        "<tool_call",
        "a < b, and <t",
    ],
)
def test_what_is_no_call_stays_text(text: str) -> None:
    for size in (1, 3, 1000):
        assert read(CallParser(TOOLBOX, HERMES), text, size) == (text, [])


def test_only_the_tool_that_may_be_called_is() -> None:
    only = Toolbox(TOOLBOX.tools, "required", "get_all")
    written = '<tool_call>{"name": "get", "arguments": {}}</tool_call>'
    assert read(CallParser(only, HERMES), written) == (written, [])


def test_arguments_of_a_bound_call_come_as_they_are_written() -> None:
    parser = CallParser(TOOLBOX, HERMES, is_bound=True)
    parts = ('<tool_call>{"name": "get", "arguments": {"wh', 'ere": "cell', 'ar"}}', "</tool_call>")
    come = [[each.arguments for each in parser.push_text(part) if isinstance(each, ToolCallPiece)] for part in parts]
    assert ["".join(each) for each in come] == ['{"wh', 'ere": "cell', 'ar"}', ""]
    assert parser.call_count == 1


def test_a_bound_call_that_breaks_off_is_not_counted() -> None:
    parser = CallParser(TOOLBOX, HERMES, is_bound=True)
    parser.push_text('<tool_call>{"name": "get", "arguments": {"where": "cel')
    assert parser.flush() == []
    assert parser.call_count == 0


@pytest.mark.parametrize(
    ("template", "syntax"),
    [
        ("... <tool_call>\n{{ ... }}", HERMES),
        ("<tool_call>\n<function=x>", XML),
        ("[AVAILABLE_TOOLS] [TOOL_CALLS]", MISTRAL_LIST),
        ("[TOOL_CALLS]x[ARGS]", MISTRAL),
        ("<|channel|>commentary to=functions.", HARMONY),
        ('{"name": function name, "parameters": ', LLAMA),
        ("<|im_start|>", None),
    ],
)
def test_a_template_tells_the_syntax(template: str, syntax: CallSyntax | None) -> None:
    assert find_syntax(template) is syntax
