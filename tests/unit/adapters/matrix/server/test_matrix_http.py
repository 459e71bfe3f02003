"""What an answer without success means."""

from typing import Any

import pytest

from adapters.matrix.api.http import LONGEST_WAIT_S, WAIT_S, failure, path
from adapters.matrix.homeserver import Limited, LoggedOut, Refused, Unsettled


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504, 520])
def test_what_may_pass_is_unsettled(status: int) -> None:
    assert type(failure(status, {}, {"errcode": "M_UNKNOWN"})) is Unsettled


@pytest.mark.parametrize(
    ("header", "body", "wait_s"),
    [
        ("7", {"retry_after_ms": 1000}, 7),
        (None, {"retry_after_ms": 1500}, 1.5),
        ("Wed, 21 Oct 2026 07:28:00 GMT", {"retry_after_ms": 200}, 0.2),
        (None, {}, WAIT_S),
        (None, None, WAIT_S),
        (None, {"retry_after_ms": "soon"}, WAIT_S),
        (None, {"retry_after_ms": -5}, WAIT_S),
        (None, {"retry_after_ms": float("nan")}, WAIT_S),
        (None, {"retry_after_ms": 10**400}, LONGEST_WAIT_S),
        ("9" * 400, {}, LONGEST_WAIT_S),
        (None, {"retry_after_ms": float("inf")}, LONGEST_WAIT_S),
    ],
)
def test_how_long_to_wait(header: str | None, body: Any, wait_s: float) -> None:
    error = failure(429, {"Retry-After": header} if header else {}, body)
    assert isinstance(error, Limited) and error.retry_after_s == wait_s


@pytest.mark.parametrize(("told", "soft"), [(True, True), (False, False), (None, False), ("yes", False)])
def test_a_token_that_is_not_taken_is_a_logout(told: Any, soft: bool) -> None:
    error = failure(401, {}, {"errcode": "M_UNKNOWN_TOKEN", "soft_logout": told})
    assert isinstance(error, LoggedOut) and error.soft is soft


def test_a_demand_for_a_password_is_a_refusal_with_all_that_was_said() -> None:
    body = {"session": "S", "flows": [{"stages": ["m.login.password"]}]}
    error = failure(401, {}, body)
    assert isinstance(error, Refused) and (error.status, error.code, error.body) == (401, "", body)


@pytest.mark.parametrize("body", [None, [], "text", {"errcode": 7}, {"errcode": ["M_FORBIDDEN"]}])
def test_a_refusal_without_a_code_has_none(body: Any) -> None:
    error = failure(403, {}, body)
    assert isinstance(error, Refused) and error.code == ""


def test_parts_of_a_path_are_quoted() -> None:
    assert path("rooms", "!a/b:home", "event", "$x?y#z%") == "/rooms/%21a%2Fb%3Ahome/event/%24x%3Fy%23z%25"
