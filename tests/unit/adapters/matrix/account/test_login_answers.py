from typing import Any

import pytest

from adapters.matrix.account.login import Access, Password, Token, access_of, refusal, takes_passwords
from adapters.matrix.homeserver import MatrixUnusable, Refused

HERE = "https://m.example.org"
TOLD = {"user_id": "@hearth:example.org", "device_id": "D", "access_token": "syt_secret"}


@pytest.mark.parametrize(
    ("told", "takes"),
    [
        ({"flows": [{"type": "m.login.sso"}, {"type": "m.login.password"}]}, True),
        ({"flows": [{"type": "m.login.sso"}]}, False),
        ({"flows": ["m.login.password"]}, False),
        ({"flows": {"type": "m.login.password"}}, False),
        ({}, False),
    ],
)
def test_a_homeserver_that_takes_no_passwords_is_known(told: dict[str, Any], takes: bool) -> None:
    assert takes_passwords(told) is takes


def test_a_login_gives_access_to_one_device() -> None:
    access = access_of(HERE, TOLD, "D")
    assert access == Access(HERE, "@hearth:example.org", "D", "syt_secret")
    assert access.credentials("key").store_key == "key"


@pytest.mark.parametrize("change", [{"user_id": None}, {"device_id": 7}, {"access_token": ""}])
def test_an_answer_of_another_shape_is_told(change: dict[str, Any]) -> None:
    with pytest.raises(MatrixUnusable, match="not one that Hearth understands"):
        access_of(HERE, {**TOLD, **change}, "")


def test_another_device_than_was_wanted_is_told() -> None:
    with pytest.raises(MatrixUnusable, match="belongs to device D, not to E"):
        access_of(HERE, TOLD, "E")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("M_FORBIDDEN", "user and password"),
        ("M_INVALID_USERNAME", "Check the user name"),
        ("M_USER_DEACTIVATED", "deactivated"),
        ("M_ODD", "M_ODD"),
    ],
)
def test_why_a_login_is_refused_is_a_sentence(code: str, words: str) -> None:
    assert words in refusal(Refused(403, code, {"error": "whatever"}))


def test_no_secret_is_in_the_text_of_what_holds_it() -> None:
    held = (Password("@a:b", "syt_secret"), Token("syt_secret", "D"), access_of(HERE, TOLD, ""))
    assert "syt_secret" not in repr(held)
