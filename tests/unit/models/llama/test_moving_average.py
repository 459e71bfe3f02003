import pytest

from models.llama.moving_average import moving_average, moving_average_or_first


def test_the_mean_moves_towards_the_newest_value_by_its_weight() -> None:
    assert moving_average(10.0, 20.0, 0.3) == pytest.approx(13.0)
    assert moving_average(0.0, 20.0, 0.3) == pytest.approx(6.0)


def test_the_first_value_becomes_the_mean() -> None:
    assert moving_average_or_first(0.0, 20.0, 0.3) == 20.0
    assert moving_average_or_first(10.0, 20.0, 0.3) == pytest.approx(13.0)
