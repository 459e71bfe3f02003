"""SHA-256 of files, cached until the file changes."""

import hashlib
import json
from pathlib import Path

from models.fetch_job import FetchJob

_CHUNK_BYTES = 1 << 20


def sha256_of(path: Path, job: FetchJob) -> str:
    """The SHA-256 of a file in lower-case hex; reports progress to the job."""
    total = path.stat().st_size
    digest = hashlib.sha256()
    done = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
            done += len(chunk)
            job.report_progress(path.name, "checking", done, total)
    return digest.hexdigest()


def cached_sha256(path: Path, cache_folder: Path, job: FetchJob) -> str:
    """As `sha256_of`, but cached for as long as the size and modification time of the file stay the same.

    Hashing 5 GB takes longer than loading it (0.4 GB/s on a small machine): too long for every start.
    """
    try:
        cached = json.loads(_cache_file(path, cache_folder).read_text("utf-8"))
        if cached["state"] == _file_state(path):
            return str(cached["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    digest = sha256_of(path, job)
    cache_sha256(path, digest, cache_folder)
    return digest


def cache_sha256(path: Path, digest: str, cache_folder: Path) -> None:
    """Store the SHA-256 of a file in the cache."""
    entry = _cache_file(path, cache_folder)
    entry.parent.mkdir(parents=True, exist_ok=True)
    entry.write_text(json.dumps({"state": _file_state(path), "sha256": digest}), "utf-8")


def _cache_file(path: Path, cache_folder: Path) -> Path:
    name = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:32]
    return cache_folder / "checked" / f"{name}.json"


def _file_state(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]
