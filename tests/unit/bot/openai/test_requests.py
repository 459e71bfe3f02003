"""A faulty request is told which field is wrong, and null says nothing."""

import json

import pytest

from bot.openai.errors import RequestError
from bot.openai.requests import NOT_APPLIED, parse_request

HEAD = '{"model": "hearth", "messages": '
SAID = '[{"role": "user", "content": "x"}]'


@pytest.mark.parametrize(
    ("rest", "param"),
    [
        ('[{"role": "user", "content": {"text": "x"}}]', "messages[0].content"),
        ('[{"role": "user", "content": [{"text": "x"}]}]', "messages[0].content[0].type"),
        ('[{"role": "user", "content": "x"}], "stop": 7', "stop"),
        ('[{"role": "user", "content": "x"}], "stop": ["a", null]', "stop[1]"),
        (
            '[{"role": "user", "content": "x"}], "stream_options": {"include_usage": "x"}',
            "stream_options.include_usage",
        ),
        ('[{"role": "user", "content": "x"}], "temperature": NaN', "temperature"),
        ('"x"', "messages"),
        (f"[{', '.join(['{}'] * 5000)}]", "messages"),
    ],
)
def test_the_faulty_field_is_named_as_the_program_wrote_it(rest: str, param: str) -> None:
    with pytest.raises(RequestError) as refused:
        parse_request(f"{HEAD}{rest}}}".encode())
    assert refused.value.param == param


def test_null_means_the_same_as_nothing() -> None:
    said = '[{"role": "user", "content": "x"}]'
    nulls = ', "stream": null, "stream_options": {"include_usage": null}, "n": null, "tools": null, "stop": null'
    assert parse_request(f"{HEAD}{said}{nulls}}}".encode()) == parse_request(
        f'{HEAD}{said}, "stream_options": {{}}}}'.encode()
    )


@pytest.mark.parametrize("name", NOT_APPLIED)
def test_what_would_change_the_answer_and_is_not_applied_is_refused_by_name(name: str) -> None:
    def parse(value: object) -> None:
        parse_request(f'{HEAD}{SAID}, "{name}": {json.dumps(value)}}}'.encode()).reject_unsupported()

    for harmless in (NOT_APPLIED[name], None, 0, False, "", [], {}):
        parse(harmless)
    with pytest.raises(RequestError, match=name) as refused:
        parse({"asked": "for"})
    assert (refused.value.param, refused.value.code) == (name, "unsupported_parameter")


@pytest.mark.parametrize("name", ["repeat_penalty", "repetition_penalty"])
def test_a_penalty_out_of_range_is_refused(name: str) -> None:
    with pytest.raises(RequestError, match=r"repe.*_penalty"):
        parse_request(f'{HEAD}{SAID}, "{name}": -2}}'.encode())
