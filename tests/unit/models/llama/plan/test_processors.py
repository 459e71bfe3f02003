from pathlib import Path

import pytest

from models.llama.plan.processors import fast_core_count, processor_count


def _machine(root: Path, siblings: list[str], capacities: list[int] | None = None, performance: str = "") -> Path:
    """Processors, each with the list of those on its core; and what tells the fast ones."""
    for number, together in enumerate(siblings):
        folder = root / f"sys/devices/system/cpu/cpu{number}"
        (folder / "topology").mkdir(parents=True)
        (folder / "topology" / "thread_siblings_list").write_text(f"{together}\n")
        if capacities:
            (folder / "cpu_capacity").write_text(f"{capacities[number]}\n")
    if performance:
        (root / "sys/devices/cpu_core").mkdir(parents=True)
        (root / "sys/devices/cpu_core/cpus").write_text(f"{performance}\n")
    return root


_FOUR_OF_TWO = ["0-1", "0-1", "2-3", "2-3", "4-5", "4-5", "6-7", "6-7"]


def test_threads_of_one_core_count_once(tmp_path: Path) -> None:
    assert fast_core_count(_machine(tmp_path, _FOUR_OF_TWO), range(8)) == 4


def test_only_allowed_processors_count(tmp_path: Path) -> None:
    assert fast_core_count(_machine(tmp_path, _FOUR_OF_TWO), [0, 1, 2]) == 2


def test_efficiency_cores_of_a_hybrid_processor_do_not_count(tmp_path: Path) -> None:
    root = _machine(tmp_path, ["0-1", "0-1", "2-3", "2-3", "4", "5", "6", "7"], performance="0-3")
    assert fast_core_count(root, range(8)) == 2


def test_a_process_that_may_use_efficiency_cores_alone_uses_them(tmp_path: Path) -> None:
    root = _machine(tmp_path, ["0-1", "0-1", "2", "3"], performance="0,1")
    assert fast_core_count(root, [2, 3]) == 2


@pytest.mark.parametrize(
    ("capacities", "cores"), [([430, 430, 1024, 1024], 2), ([1024] * 4, 4), ([850, 850, 1024, 1024], 4)]
)
def test_slow_cores_of_arm_processors_do_not_count(tmp_path: Path, capacities: list[int], cores: int) -> None:
    assert fast_core_count(_machine(tmp_path, ["0", "1", "2", "3"], capacities), range(4)) == cores


def test_efficiency_cores_of_apples_processors_do_not_count(tmp_path: Path) -> None:
    stated = {"hw.perflevel0.physicalcpu": 6, "hw.perflevel1.physicalcpu": 2}
    assert fast_core_count(tmp_path, range(8), stated.__getitem__) == 6


def test_a_machine_that_tells_nothing_has_a_core(tmp_path: Path) -> None:
    assert 1 <= fast_core_count(tmp_path) <= processor_count()
