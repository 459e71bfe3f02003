"""The check of a file against its SHA-256, remembered until the file changes."""

import hashlib
import json
from pathlib import Path

from models.fetch_job import FetchJob

_CHUNK_BYTES = 1 << 20


def sha256_of(path: Path, fetching: FetchJob) -> str:
    """The SHA-256 of a file in lower-case hex, with progress."""
    total = path.stat().st_size
    digest = hashlib.sha256()
    done = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
            done += len(chunk)
            fetching.report_progress(path.name, "checking", done, total)
    return digest.hexdigest()


def cached_sha256(path: Path, cache_folder: Path, fetching: FetchJob) -> str:
    """As `sha256_of`, but remembered in the cache while the file keeps its size and time.

    Hashing 5 GB takes longer than loading it (0.4 GB/s on a small machine), too long for every start.
    """
    try:
        noted = json.loads(_cache_file(path, cache_folder).read_text("utf-8"))
        if noted["state"] == _file_state(path):
            return str(noted["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    digest = sha256_of(path, fetching)
    cache_sha256(path, digest, cache_folder)
    return digest


def cache_sha256(path: Path, digest: str, cache_folder: Path) -> None:
    """Note the SHA-256 that a file was found to have."""
    note = _cache_file(path, cache_folder)
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(json.dumps({"state": _file_state(path), "sha256": digest}), "utf-8")


def _cache_file(path: Path, cache_folder: Path) -> Path:
    name = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:32]
    return cache_folder / "checked" / f"{name}.json"


def _file_state(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]
