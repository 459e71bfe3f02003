"""Each refusal is a sentence, and what only an admin can mend says what to do."""

import pytest

from adapters.delivery.errors import TransientFailure
from adapters.matrix.api.failures import CODE_SENTENCES, as_admin_error, error_sentence, translate_errors
from adapters.matrix.homeserver import LoggedOut, MatrixUnusable, RequestRefused
from bot.core.errors import ReplyFailed


@pytest.mark.parametrize("code", sorted(CODE_SENTENCES))
def test_known_codes_are_sentences(code: str) -> None:
    told = error_sentence(RequestRefused(403, code, {}))
    assert told == CODE_SENTENCES[code] and told.endswith(".") and code not in told


def test_an_unknown_code_is_told_and_nothing_else_of_the_answer() -> None:
    assert (
        error_sentence(RequestRefused(400, "ORG_ODD", {"error": "secret"}))
        == "The homeserver refused with status 400, ORG_ODD."
    )
    assert "no code" in error_sentence(RequestRefused(400, "", {}))
    assert "secret" not in error_sentence(RequestRefused(400, "a secret\n", {}))


def test_a_refusal_ends_a_reply_and_what_may_pass_does_not() -> None:
    with pytest.raises(ReplyFailed, match="may not do this"), translate_errors():
        raise RequestRefused(403, "M_FORBIDDEN", {})
    with pytest.raises(TransientFailure), translate_errors():
        raise TransientFailure("503")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (LoggedOut(soft=True), "the device and its keys stay"),
        (LoggedOut(soft=False), "makes a new device"),
        (RequestRefused(403, "M_USER_DEACTIVATED", {}), "deactivated"),
        (RequestRefused(401, "M_USER_LOCKED", {}), "locked"),
    ],
)
def test_what_only_an_admin_can_mend_says_how(error: Exception, told: str) -> None:
    found = as_admin_error(error)
    assert isinstance(found, MatrixUnusable) and told in str(found)


def test_other_errors_stay_what_they_are() -> None:
    for error in (RequestRefused(403, "M_FORBIDDEN", {}), TransientFailure("503")):
        assert as_admin_error(error) is error
