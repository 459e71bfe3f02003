"""The bench harness: medians against bars, a failed arm is a missed bar, and the exit code tells."""

import json
import math
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

from tests.benchmarks import __main__ as command
from tests.benchmarks import harness
from tests.benchmarks.figures import Arm, Figure, Samples, judged
from tests.benchmarks.lag import Lag, sampled
from tests.benchmarks.table import ARMS

SPEED = Figure("speed", "ratio", ">=", bar=0.9, aim=0.98)
WAIT = Figure("wait", "s", "<=", bar=2)
PLAIN = Figure("plain", "MB")


def arm(*figures: Figure, module: str = "bench_of_the_test") -> Arm:
    return Arm("test", module, figures)


def whole(monkeypatch: pytest.MonkeyPatch, measured: Samples, *figures: Figure) -> dict[str, object]:
    monkeypatch.setattr(harness, "_run", lambda *_: measured)
    return harness.report([arm(*figures)])


def test_the_median_is_held_against_the_bar_not_the_best_round() -> None:
    told = SPEED.verdict([0.99, 0.5, 0.6])
    assert (told["value"], told["minimum"], told["maximum"]) == (0.6, 0.5, 0.99)
    assert told["passed"] is False
    assert told["bar"] == ">= 0.9"


@pytest.mark.parametrize(("figure", "value"), [(SPEED, 0.9), (WAIT, 2.0)])
def test_a_bar_that_is_just_met_is_met(figure: Figure, value: float) -> None:
    assert figure.verdict([value])["passed"] is True


@pytest.mark.parametrize(("figure", "value"), [(SPEED, 0.89), (WAIT, 2.01)])
def test_a_bar_that_is_just_missed_is_missed(figure: Figure, value: float) -> None:
    assert figure.verdict([value])["passed"] is False


def test_an_aim_is_told_apart_from_the_bar() -> None:
    told = SPEED.verdict([0.95])
    assert (told["passed"], told["aim_reached"]) == (True, False)


def test_a_figure_without_a_bar_is_told_and_not_judged() -> None:
    assert "passed" not in PLAIN.verdict([1e9])


@pytest.mark.parametrize("samples", [[], [math.nan, 1.0], [math.inf]])
def test_a_figure_that_was_not_measured_is_missed(samples: list[float]) -> None:
    assert SPEED.verdict(samples)["passed"] is False
    assert SPEED.verdict(samples)["value"] is None


def test_a_figure_the_table_does_not_name_is_refused() -> None:
    with pytest.raises(ValueError, match="surprise"):
        judged(arm(SPEED), {"speed": [1.0], "surprise": [1.0]})


def test_all_bars_met_is_exit_0_and_one_json_object(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert harness.show(whole(monkeypatch, {"speed": [0.95], "wait": [0.1], "plain": [3]}, SPEED, WAIT, PLAIN)) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["passed"] is True
    assert told["figures"]["speed"]["value"] == 0.95
    assert {"machine", "python", "commit"} <= told.keys()


def test_one_bar_missed_is_exit_1_and_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert harness.show(whole(monkeypatch, {"speed": [0.95], "wait": [3.5]}, SPEED, WAIT)) == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["passed"] is False
    assert "wait is 3.5 s, the bar is <= 2" in err


def test_an_arm_that_crashes_has_missed_its_bars(capsys: pytest.CaptureFixture[str]) -> None:
    assert harness.show(harness.report([arm(SPEED)])) == 1  # there is no arm of that name to be run
    assert json.loads(capsys.readouterr().out)["figures"]["speed"]["passed"] is False


def test_an_arm_prints_its_samples_and_its_folder_goes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folders: list[Path] = []

    def measure(folder: Path) -> Samples:
        folders.append(folder)
        return {"speed": (0.5, 0.75)}

    module = ModuleType("bench_of_the_test")
    module.measure = measure  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "bench_of_the_test", module)
    harness.measure_here(arm(SPEED))
    assert json.loads(capsys.readouterr().out) == {"speed": [0.5, 0.75]}
    assert not folders[0].exists()


def test_an_unknown_arm_is_refused_with_the_names_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["warp"])
    assert "there is no warp; there are streaming" in capsys.readouterr().err


def test_every_arm_of_the_table_can_be_imported_and_names_its_figures_once() -> None:
    names = [figure.name for arm in ARMS for figure in arm.figures]
    assert len(names) == len(set(names))
    assert all((harness.ROOT / f"{arm.module.replace('.', '/')}.py").is_file() for arm in ARMS)


async def test_a_blocked_loop_shows_in_the_lag() -> None:
    import asyncio

    async with sampled() as lag:
        await asyncio.sleep(0.02)
        time.sleep(0.05)
        await asyncio.sleep(0.02)
    assert max(lag.late_s) >= 0.03


def test_the_p99_leaves_out_one_in_a_hundred_and_no_more() -> None:
    assert Lag([0.001] * 199 + [5.0]).p99_ms == 1.0
    assert Lag([0.001] * 195 + [5.0] * 5).p99_ms == 5000.0
    with pytest.raises(ValueError, match="too few"):
        assert Lag([0.001] * 50).p99_ms
