"""Access rules of one list, and of several lists together."""

import pytest

from adapters.intake.access_list import AccessList, AccessVerdict, is_allowed


@pytest.mark.parametrize(
    ("rules", "names", "verdict"),
    [
        ({}, (1,), AccessVerdict.UNRESTRICTED),
        ({"allow": [1]}, (1,), AccessVerdict.ALLOWED),
        ({"allow": [1]}, (2,), AccessVerdict.NOT_ALLOWED),
        ({"allow": [1]}, (), AccessVerdict.NOT_ALLOWED),
        ({"allow": [1]}, (2, 1), AccessVerdict.ALLOWED),
        ({"block": [1]}, (2, 1), AccessVerdict.BLOCKED),
        ({"allow": [2], "block": [1]}, (2, 1), AccessVerdict.BLOCKED),
        ({"allow": [1], "block": [1]}, (1,), AccessVerdict.BLOCKED),
    ],
)
def test_block_wins_and_one_name_is_enough(
    rules: dict[str, list[int]], names: tuple[int, ...], verdict: AccessVerdict
) -> None:
    access = AccessList[int].model_validate(rules)
    assert access.verdict(*names) is verdict
    assert access.allows(*names) is (verdict in (AccessVerdict.ALLOWED, AccessVerdict.UNRESTRICTED))


def test_a_number_is_no_pattern() -> None:
    assert AccessList[int](allow=(12,)).allows(12)
    assert not AccessList[int](allow=(12,)).allows(123)


@pytest.mark.parametrize(
    ("verdicts", "allowed"),
    [
        ((), True),
        ((AccessVerdict.UNRESTRICTED, AccessVerdict.UNRESTRICTED), True),
        ((AccessVerdict.ALLOWED, AccessVerdict.NOT_ALLOWED), True),
        ((AccessVerdict.ALLOWED, AccessVerdict.UNRESTRICTED), True),
        ((AccessVerdict.NOT_ALLOWED, AccessVerdict.UNRESTRICTED), False),
        ((AccessVerdict.NOT_ALLOWED, AccessVerdict.NOT_ALLOWED), False),
        ((AccessVerdict.ALLOWED, AccessVerdict.BLOCKED), False),
        ((AccessVerdict.UNRESTRICTED, AccessVerdict.BLOCKED), False),
    ],
)
def test_several_lists_together_let_in_by_any_allow_list_and_keep_out_by_any_block(
    verdicts: tuple[AccessVerdict, ...], allowed: bool
) -> None:
    assert is_allowed(*verdicts) is allowed
