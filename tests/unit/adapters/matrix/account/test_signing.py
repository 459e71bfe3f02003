"""Signatures, held to the vectors of the specification (appendix "Cryptographic Test Vectors")."""

from typing import Any

import pytest

from adapters.matrix.account.signing import (
    KeyPair,
    NotCanonical,
    canonical_json,
    decode_base64,
    encode_base64,
    has_valid_signature,
    sign_object,
)

SEED = decode_base64("YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1")
PAIR = KeyPair(SEED)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({}, "{}"),
        ({"one": 1, "two": "Two"}, '{"one":1,"two":"Two"}'),
        ({"b": "2", "a": "1"}, '{"a":"1","b":"2"}'),
        ({"a": "日本語"}, '{"a":"日本語"}'),
        ({"本": 2, "日": 1}, '{"日":1,"本":2}'),
        ({"a": "\u65e5"}, '{"a":"日"}'),
        ({"a": None, "b": True, "c": [3, "x"]}, '{"a":null,"b":true,"c":[3,"x"]}'),
    ],
)
def test_canonical_json_is_written_as_the_specification_says(value: Any, text: str) -> None:
    assert canonical_json(value) == text.encode()


def _deep(levels: int) -> Any:
    value: Any = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize("value", [{"a": 0.5}, [float("nan")], {"a": "\ud800"}, {"a": {"b": [1.0]}}, _deep(200_000)])
def test_what_has_no_canonical_form_is_refused(value: Any) -> None:
    with pytest.raises(NotCanonical):
        canonical_json(value)


@pytest.mark.parametrize(
    ("text", "signature"),
    [
        (b"{}", "K8280/U9SSy9IVtjBuVeLr+HpOB4BQFWbg+UZaADMtTdGYI7Geitb76LTrr5QV/7Xg4ahLwYGYZzuHGZKM5ZAQ"),
        (
            b'{"one":1,"two":"Two"}',
            "KqmLSbO39/Bzb0QIYE82zqLwsA+PDzYIpIRA2sRQ4sL53+sN6/fpNSoqE7BP7vBZhG6kYdD13EIMJpvhJI+6Bw",
        ),
    ],
)
def test_signatures_are_those_of_the_specification(text: bytes, signature: str) -> None:
    assert PAIR.public_key == "XGX0JRS2Af3be3knz2fBiRbApjm2Dh61gXDJA8kcJNI"
    assert PAIR.sign(text) == signature


def test_a_signed_object_is_known_again_whatever_stands_outside_the_signature() -> None:
    value = sign_object({"two": "Two", "one": 1, "unsigned": {"age": 4}}, "@bot:home", PAIR)
    assert set(value) == {"one", "two", "signatures"}
    assert value["signatures"]["@bot:home"][PAIR.key_id] == PAIR.sign(b'{"one":1,"two":"Two"}')
    assert has_valid_signature({**value, "unsigned": {"age": 5}}, "@bot:home", PAIR.public_key)


@pytest.mark.parametrize(
    "change",
    [
        {"one": 2},
        {"three": 3},
        {"one": 1.5},
        {"signatures": {}},
        {"signatures": []},
        {"signatures": {"@bot:home": ["x"]}},
        {"signatures": {"@bot:home": {PAIR.key_id: 7}}},
        {"signatures": {"@bot:home": {PAIR.key_id: "no base64!"}}},
        {"signatures": {"@bot:home": {PAIR.key_id: "é"}}},
        {"signatures": {"@bot:home": {PAIR.key_id: encode_base64(bytes(64))}}},
    ],
)
def test_a_changed_object_or_a_signature_of_another_shape_does_not_count(change: dict[str, Any]) -> None:
    value = sign_object({"one": 1}, "@bot:home", PAIR)
    assert not has_valid_signature({**value, **change}, "@bot:home", PAIR.public_key)


@pytest.mark.parametrize("public", ["", "short", "no base64!", encode_base64(bytes([255] * 32))])
def test_a_key_that_is_none_has_signed_nothing(public: str) -> None:
    assert not has_valid_signature(sign_object({"one": 1}, "@bot:home", PAIR), "@bot:home", public, PAIR.key_id)


def test_the_secret_seed_is_in_no_text_of_the_pair() -> None:
    assert repr(PAIR) == "KeyPair()"
    with pytest.raises(ValueError, match="32 bytes"):
        KeyPair(b"short")
