"""Keys come from the environment, and a wrong one says no more than that it is wrong."""

import pytest

from bot.openai.errors import RequestError
from bot.openai.keys import ApiKeyMissing, ApiKeys

KEYS = ApiKeys.from_environment({"editor": "KEY_A", "phone": "KEY_B"}, {"KEY_A": "sesame", "KEY_B": " barley\n"})


@pytest.mark.parametrize(
    ("header", "caller"), [("Bearer sesame", "editor"), ("bearer  sesame ", "editor"), ("Bearer barley", "phone")]
)
def test_a_key_names_its_program(header: str, caller: str) -> None:
    assert KEYS.identify_caller(header) == caller


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "sesame", "Basic sesame", "Bearer Sesame", "Bearer \udcff"]
)
def test_anything_else_is_refused_without_repeating_it(header: str) -> None:
    with pytest.raises(RequestError) as refused:
        KEYS.identify_caller(header)
    assert refused.value.status == 401
    assert "sesame" not in str(refused.value).casefold()


@pytest.mark.parametrize("environment", [{}, {"KEY_A": ""}, {"KEY_A": "  "}])
def test_a_key_that_is_not_set_is_named_by_its_program_and_not_by_what_may_be_the_secret(
    environment: dict[str, str],
) -> None:
    with pytest.raises(ApiKeyMissing, match=r"http\.openai\.keys names for 'editor' is not set") as told:
        ApiKeys.from_environment({"editor": "KEY_A"}, environment)
    assert "KEY_A" not in str(told.value)


def test_two_programs_do_not_share_a_key() -> None:
    with pytest.raises(ApiKeyMissing, match="The key of 'phone' is also another program's") as told:
        ApiKeys.from_environment({"editor": "KEY_A", "phone": "KEY_B"}, {"KEY_A": "sesame", "KEY_B": "sesame"})
    assert "sesame" not in str(told.value)


def test_keys_are_not_kept_in_the_open() -> None:
    assert "sesame" not in repr(vars(KEYS))
