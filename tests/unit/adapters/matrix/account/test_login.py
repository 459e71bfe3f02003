from typing import Any

import pytest

from adapters.matrix.account.login import (
    AccessTokenLogin,
    LoginResult,
    PasswordLogin,
    login_error_sentence,
    parse_login,
    supports_passwords,
)
from adapters.matrix.homeserver import MatrixUnusable, RequestRefused

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
    assert supports_passwords(told) is takes


def test_a_login_gives_access_to_one_device() -> None:
    access = parse_login(HERE, TOLD, "D")
    assert access == LoginResult(HERE, "@hearth:example.org", "D", "syt_secret")
    assert access.to_credentials("key").store_key == "key"


@pytest.mark.parametrize("change", [{"user_id": None}, {"device_id": 7}, {"access_token": ""}])
def test_an_answer_of_another_shape_is_told(change: dict[str, Any]) -> None:
    with pytest.raises(MatrixUnusable, match="Hearth does not understand"):
        parse_login(HERE, {**TOLD, **change}, "")


def test_another_device_than_was_wanted_is_told() -> None:
    with pytest.raises(MatrixUnusable, match="belongs to device D, not to E"):
        parse_login(HERE, TOLD, "E")


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
    assert words in login_error_sentence(RequestRefused(403, code, {"error": "whatever"}))


def test_no_secret_is_in_the_text_of_what_holds_it() -> None:
    held = (PasswordLogin("@a:b", "syt_secret"), AccessTokenLogin("syt_secret", "D"), parse_login(HERE, TOLD, ""))
    assert "syt_secret" not in repr(held)
