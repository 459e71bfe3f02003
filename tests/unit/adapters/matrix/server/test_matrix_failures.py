"""Each refusal is a sentence, and what only an admin can mend says what to do."""

import pytest

from adapters.matrix.api.failures import REASONS, answering, sentence, unusable
from adapters.matrix.homeserver import LoggedOut, MatrixUnusable, Refused, Unsettled
from bot.core.errors import ReplyFailed


@pytest.mark.parametrize("code", sorted(REASONS))
def test_known_codes_are_sentences(code: str) -> None:
    told = sentence(Refused(403, code, {}))
    assert told == REASONS[code] and told.endswith(".") and code not in told


def test_an_unknown_code_is_told_and_nothing_else_of_the_answer() -> None:
    assert sentence(Refused(400, "ORG_ODD", {"error": "secret"})) == "The homeserver refused with status 400, ORG_ODD."
    assert "no code" in sentence(Refused(400, "", {}))
    assert "secret" not in sentence(Refused(400, "a secret\n", {}))


def test_a_refusal_ends_a_reply_and_what_may_pass_does_not() -> None:
    with pytest.raises(ReplyFailed, match="may not do this"), answering():
        raise Refused(403, "M_FORBIDDEN", {})
    with pytest.raises(Unsettled), answering():
        raise Unsettled("503")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (LoggedOut(soft=True), "the device and its keys stay"),
        (LoggedOut(soft=False), "makes a new device"),
        (Refused(403, "M_USER_DEACTIVATED", {}), "deactivated"),
        (Refused(401, "M_USER_LOCKED", {}), "locked"),
    ],
)
def test_what_only_an_admin_can_mend_says_how(error: Exception, told: str) -> None:
    found = unusable(error)
    assert isinstance(found, MatrixUnusable) and told in str(found)


def test_other_errors_stay_what_they_are() -> None:
    for error in (Refused(403, "M_FORBIDDEN", {}), Unsettled("503")):
        assert unusable(error) is error
