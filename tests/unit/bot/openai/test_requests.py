"""A faulty request is told which field is wrong, and null says nothing."""

import json

import pytest

from bot.openai.errors import RequestError
from bot.openai.requests import NOT_APPLIED, parse_request
from models.engine import Sampling, Turn

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


@pytest.mark.parametrize(
    ("bias", "expected"),
    [
        ({"5": 3, "7": -0.5}, {5: 3.0, 7: -0.5}),
        ({"5": 300, "7": -101}, {5: 100.0, 7: -100.0}),
        ({}, {}),
        ([], {}),
        (None, {}),
    ],
)
def test_a_bias_of_tokens_is_applied_within_its_limits(bias: object, expected: dict[int, float]) -> None:
    parsed = parse_request(f'{HEAD}{SAID}, "logit_bias": {json.dumps(bias)}}}'.encode())
    assert parsed.to_sampling(Sampling(), 100).logit_bias == expected


@pytest.mark.parametrize(
    "bias",
    [{"a": 1}, {"-1": 1}, {"1.5": 1}, {"5": "x"}, {"5": float("nan")}, {str(each): 1 for each in range(1025)}, "5"],
    ids=["word", "negative", "fraction", "text", "nan", "many", "no object"],
)
def test_a_bias_of_what_is_no_token_is_refused_by_name(bias: object) -> None:
    with pytest.raises(RequestError, match="logit_bias"):
        parse_request(f'{HEAD}{SAID}, "logit_bias": {json.dumps(bias)}}}'.encode())


BEGUN = '[{"role": "user", "content": "x"}, {"role": "assistant", "content": "The  "}]'


@pytest.mark.parametrize(
    "rest",
    [
        "",
        ', "continue_final_message": true',
        ', "add_generation_prompt": false',
        ', "response_format": {"type": "text"}',
    ],
)
def test_a_last_message_of_the_assistant_is_the_beginning_of_the_answer(rest: str) -> None:
    turns, reply_start = parse_request(f"{HEAD}{BEGUN}{rest}}}".encode()).to_turns()
    assert turns == (Turn("user", "x"),)
    assert reply_start == "The  "


@pytest.mark.parametrize("rest", ["", ', "continue_final_message": false', ', "add_generation_prompt": true'])
def test_a_question_begins_no_answer(rest: str) -> None:
    assert parse_request(f"{HEAD}{SAID}{rest}}}".encode()).to_turns() == ((Turn("user", "x"),), "")


def test_an_empty_last_message_of_the_assistant_begins_nothing() -> None:
    begun = '[{"role": "user", "content": "x"}, {"role": "assistant", "content": ""}]'
    schema = ', "response_format": {"type": "json_object"}'
    assert parse_request(f"{HEAD}{begun}{schema}}}".encode()).to_turns() == ((Turn("user", "x"),), "")


@pytest.mark.parametrize(
    ("said", "rest", "param"),
    [
        (BEGUN, ', "continue_final_message": false', "messages"),
        (BEGUN, ', "add_generation_prompt": true', "messages"),
        (BEGUN, ', "response_format": {"type": "json_object"}', "response_format"),
        (SAID, ', "continue_final_message": true', "continue_final_message"),
        (SAID, ', "add_generation_prompt": false', "add_generation_prompt"),
        (BEGUN, ', "continue_final_message": true, "add_generation_prompt": true', "continue_final_message"),
        (SAID, ', "continue_final_message": false, "add_generation_prompt": false', "continue_final_message"),
        ('[{"role": "assistant", "content": "x"}]', "", "messages"),
        ('[{"role": "assistant", "content": "x"}, {"role": "assistant", "content": "x"}]', "", "messages"),
        (f'{BEGUN[:-1]}, {{"role": "system", "content": "x"}}]', "", "messages"),
    ],
)
def test_a_beginning_that_fits_nothing_is_refused_by_name(said: str, rest: str, param: str) -> None:
    with pytest.raises(RequestError) as refused:
        parse_request(f"{HEAD}{said}{rest}}}".encode()).to_turns()
    assert refused.value.param == param
    assert refused.value.sentence.endswith(".")


@pytest.mark.parametrize("name", ["repeat_penalty", "repetition_penalty"])
def test_a_penalty_out_of_range_is_refused(name: str) -> None:
    with pytest.raises(RequestError, match=r"repe.*_penalty"):
        parse_request(f'{HEAD}{SAID}, "{name}": -2}}'.encode())
