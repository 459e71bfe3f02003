from pathlib import Path

import pytest

from models.llama.plan.hardware import free_memory_bytes, usable_cores


def test_a_container_without_limits_leaves_the_machine_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert usable_cores(tmp_path) == usable_cores(tmp_path / "nowhere") >= 1


@pytest.mark.parametrize(("quota", "cores"), [("100000 100000", 1), ("50000 100000", 1), ("nonsense", None)])
def test_a_container_quota_bounds_the_threads(tmp_path: Path, quota: str, cores: int | None) -> None:
    (tmp_path / "cpu.max").write_text(quota)
    assert usable_cores(tmp_path) == (cores or usable_cores(tmp_path / "nowhere"))


def test_a_container_limit_bounds_the_memory_and_file_pages_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("1000000\n")
    (tmp_path / "memory.current").write_text("700000\n")
    (tmp_path / "memory.stat").write_text("anon 300000\ninactive_file 400000\n")
    assert free_memory_bytes(tmp_path) == 700_000


def test_without_a_container_limit_free_memory_is_the_machines(tmp_path: Path) -> None:
    assert free_memory_bytes(tmp_path) > 1_000_000
