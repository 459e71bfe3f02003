import pytest

from models.llama.scheduling.step_costs import StepCosts


def _measured(**steps: float) -> StepCosts:
    """Costs after some steps of each size, named `r<replies>` or `r<replies>t<tokens>`."""
    costs = StepCosts()
    for name, seconds in steps.items():
        replies, _, tokens = name.removeprefix("r").partition("t")
        for _ in range(3):
            costs.record(int(replies), int(tokens or 1), seconds)
    return costs


def test_before_the_first_step_more_tokens_cost_more_and_less_than_one_by_one() -> None:
    costs = StepCosts()
    assert costs.seconds(1, 1) < costs.seconds(2, 1) < 2 * costs.seconds(1, 1)
    assert costs.measured(1, 1) is None


@pytest.mark.parametrize(
    ("costs", "size", "expected"),
    [
        (_measured(r1=10), (1, 1), 10),
        # What was never tried may cost as little as what holds less, and a part as little as its share.
        (_measured(r1=10), (8, 1), 10),
        (_measured(r1=10, r2=30), (4, 1), 30),
        (_measured(r4=40), (1, 1), 10),
        (_measured(r4=40), (2, 1), 20),
        (_measured(r4=40), (3, 1), 20),
        (_measured(r1=10, r1t4=21), (1, 9), 21),
        (_measured(r2t4=40), (1, 4), 20),
        (_measured(r2t4=40), (2, 2), 20),
        (_measured(r1=10, r8=90), (8, 1), 90),
    ],
)
def test_sizes_that_were_not_measured_cost_the_least_that_they_can(
    costs: StepCosts, size: tuple[int, int], expected: float
) -> None:
    assert costs.seconds(*size) == pytest.approx(expected)


def test_a_size_is_tried_twice_and_the_faster_counts() -> None:
    costs = _measured(r1=10)
    costs.record(2, 1, 90)
    assert costs.seconds(2, 1) < 90
    assert costs.measured(2, 1) is None
    costs.record(2, 1, 12)
    assert costs.seconds(2, 1) == 12


def test_one_disturbed_step_changes_little_and_a_slower_machine_is_noticed() -> None:
    costs = _measured(r1=10)
    costs.record(1, 1, 1000)
    assert costs.seconds(1, 1) <= 13
    for _ in range(30):
        costs.record(1, 1, 40)
    assert costs.seconds(1, 1) == pytest.approx(40, rel=0.05)


def test_a_machine_that_is_busy_now_makes_no_size_look_worse_than_another() -> None:
    costs = _measured(r1=10, r2=17, r4=17)
    for _ in range(50):
        costs.record(1, 1, 40)
    assert costs.seconds(2, 1) == pytest.approx(17 * 4, rel=0.4)
    assert costs.seconds(4, 1) < 4 * costs.seconds(1, 1)


def test_what_did_not_pay_is_tried_again_now_and_then() -> None:
    costs = _measured(r1=10, r2=50)
    tried = 0
    for _ in range(2000):
        if costs.seconds(2, 1) < 20:
            tried += 1
            costs.record(2, 1, 50)
        costs.record(1, 1, 10)
    assert 1 <= tried <= 4


def test_what_pays_now_is_found_by_the_trial() -> None:
    costs = _measured(r1=10, r2=50)
    for _ in range(2000):
        if costs.seconds(2, 1) < 20:
            break
        costs.record(1, 1, 10)
    costs.record(2, 1, 12)
    assert costs.seconds(2, 1) == 12
